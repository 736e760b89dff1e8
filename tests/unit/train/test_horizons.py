"""A branch of a trunk against a run of its own over the shorter budget."""

import math

import pytest
import torch
from batchlaw.errors import Diverged, Interrupted
from batchlaw.recipe.schedule import config_at, schedule_of
from batchlaw.train import train_together

from tests.unit.train.conftest import CNN, CPU, NOWHERE, config_of, run
from tests.unit.train.test_checkpoint import InterruptingReport, checkpoint_in, timeless

TRUNK = {"decay": "wsd", "warmup_fraction": 0.05, "budget": {"epochs": 16}, "batch_size": 8}


def trunk_of(horizons=(0.25, 0.5, 1.0), fraction=0.25, **point):
    config = config_of(schedule={"cooldown_fraction": fraction}, **(TRUNK | point))
    return config.model_copy(update={"horizons": horizons})


def plain(metrics, horizon):
    end = f"@{horizon:g}"
    return {name.removesuffix(end): value for name, value in metrics.items() if name.endswith(end)}


@pytest.mark.parametrize(
    "point",
    [{}, {"optimizer": "adamw", "weight_decay": 0.1}, {"optimizer": "muon"}, {"task": CNN, "optimizer": "adam"},
     {"seeds": (1, 2)}],
    ids=["momentum", "adamw", "muon", "cnn", "seeds"],
)  # fmt: skip
def test_each_horizon_has_the_scores_of_a_run_of_its_own_to_the_bit(point):
    config = trunk_of(**point)
    trunk = run(config, stacked=False)
    for horizon in (0.25, 0.5):
        alone = run(config_at(config, horizon), stacked=False)
        for branch, own in zip(trunk.replicates, alone.replicates, strict=True):
            found = plain(branch, horizon)
            assert found == {name: own[name] for name in found} and len(found) == 4
    without = run(config.model_copy(update={"horizons": ()}), stacked=False)
    for branch, own in zip(trunk.replicates, without.replicates, strict=True):
        assert {name: branch[name] for name in own} == own  # the trunk does not notice its branches


def test_a_trunk_trains_the_steps_that_horizons_share_once():
    config = trunk_of(horizons=(0.5, 0.75, 1.0), fraction=0.2, batch_size=4)
    alone = [schedule_of(config_at(config, horizon)) for horizon in (0.5, 0.75, 1.0)]
    trained = alone[-1].steps + sum(schedule.cooldown_steps for schedule in alone[:-1])
    assert trained / sum(schedule.steps for schedule in alone) < 0.6


def test_stacked_rates_branch_together():
    configs = [trunk_of(seeds=(1, 2), base_lr=rate) for rate in (0.05, 0.1)]
    ignore = [lambda *_: None] * 2
    together = train_together(configs, ignore, device=CPU, data_dir=NOWHERE, size=4)
    for config, result in zip(configs, together, strict=True):
        for stacked, alone in zip(result.replicates, run(config, stacked=False).replicates, strict=True):
            assert plain(stacked, 0.25) == pytest.approx(plain(alone, 0.25), rel=1e-4)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_trunk_goes_on_to_the_same_bits(tmp_path, at):
    config = trunk_of()
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(at), checkpoint=checkpoint_in(tmp_path, config))
    assert timeless(run(config, checkpoint=checkpoint_in(tmp_path, config))) == timeless(run(config))


def test_a_run_that_diverges_after_a_horizon_has_its_score_there(monkeypatch):
    from batchlaw.train.parallel_runs import ParallelRuns

    config = trunk_of(budget={"epochs": 8})
    advance = ParallelRuns.advance

    def breaks_late(self, start, stop):
        advance(self, start, stop)
        if stop > 40:  # of 64; the branch of 0.5 ends at 32
            with torch.no_grad():
                next(iter(self.model.parameters())).fill_(math.nan)

    monkeypatch.setattr(ParallelRuns, "advance", breaks_late)
    result = run(config)
    assert result.diverged == [True] and "diverged@0.5" not in result.replicates[0]
    assert result.replicates[0]["validation_loss@0.5"] < result.replicates[0]["validation_loss"]  # the untrained one
    with pytest.raises(Diverged):
        run(trunk_of(base_lr=1e20))
