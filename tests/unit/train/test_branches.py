"""Branches of a trunk: they go on from its state, on its examples, at the rate that the rule gives."""

import numpy as np
import pytest
from batchlaw.errors import BatchlawError
from batchlaw.measure.branches import branched, design, seconds_of
from batchlaw.objectives.runtime import Runtime
from batchlaw.study.critical import Branched

from tests.conftest import tiny_spec
from tests.unit.train.conftest import CPU, NOWHERE, run


def plan_of(optimizer="momentum", **options):
    spec = tiny_spec(
        budget={"epochs": 4}, task={"train_size": 128, "model_options": {"widths": [16]}},
        space={"batch_size": 4, "base_lr": 0.05, "optimizer": optimizer}, search={"replicates": 3},
    )  # fmt: skip
    return design(spec, batch_size=4, base_lr=0.05, **options)


def runtime():
    return Runtime(CPU, NOWHERE)


def test_checkpoints_halve_the_budget_and_windows_have_whole_batches():
    plan = plan_of(checkpoints=3, window=200)
    assert plan.checkpoints == (128, 256, 512)
    assert plan.sizes == (4, 8, 16) and plan.window == 192
    assert plan.steps == 128 + 3 * (48 + 24 + 12)
    assert plan.examples == 512 + 3 * 3 * 192


@pytest.mark.parametrize(("optimizer", "rule", "factor"), [("momentum", "linear", 4), ("adam", "sqrt", 2)])
def test_the_rate_moves_by_the_rule_of_the_family(optimizer, rule, factor):
    plan = plan_of(optimizer, window=200)
    assert plan.rule == rule
    assert plan.rate(16) == pytest.approx(factor * plan.rate(4))


def test_a_branch_of_the_trunks_batch_size_is_the_trunk_trained_on():
    plan = plan_of(checkpoints=2, window=256)
    first, second = branched(plan, runtime())
    assert np.isfinite(first.end).all() and first.end.shape == (len(plan.sizes), 3)
    # The second checkpoint comes 256 examples after the first, at which the window of the first ends as well.
    assert second.start.mean() < first.end[0].mean() < first.start.mean()
    assert plan.checkpoints[1] - plan.checkpoints[0] == plan.window
    again = branched(plan, runtime())
    assert (again[1].end == second.end).all()


def test_the_trunk_is_the_plain_run():
    plan = plan_of(checkpoints=1, window=200)
    (found,) = branched(plan, runtime())
    trained = run(plan.config, stacked=False)
    assert found.start == pytest.approx([each["train_loss"] for each in trained.replicates], rel=1e-4)


def test_cost_is_told_and_a_schedule_grows():
    plan = plan_of(checkpoints=2, window=256)
    told = Branched(plan, seconds_of(plan, runtime()), tuple(branched(plan, runtime())), 0.99)
    assert told.seconds > 0 and "for each of 3 seeds" in told.cost[-1]
    phases = told.schedule["phases"]
    assert phases[0]["batch_size"] == 4 and phases[0]["from_examples"] == 0
    assert [each["batch_size"] for each in phases] == sorted(each["batch_size"] for each in phases)
    assert len(told.measured) == 4


def test_a_window_without_room_is_refused():
    with pytest.raises(BatchlawError, match="window: got 64; must be at least 128 examples"):
        plan_of(window=64)
