"""Pruners compare trials at the same share of their budgets, however seldom their code tells its metric."""

from dataclasses import dataclass

import numpy as np
import optuna
import pytest
from batchlaw.errors import Pruned
from batchlaw.interrupts import Interrupts
from batchlaw.sampling import pruner
from batchlaw.workers.trial import Reporter

from tests.conftest import tiny_spec

PRUNERS = ("hyperband", "asha", "median")
SIZES = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Ended:
    size: int
    quality: float
    pruned: bool
    first: float  # share of the budget at which it first told its metric
    reports: dict[int, float]


def run(name, trials, curve, *, every):
    """Trials that tell their metric every so many steps of 16,000 / batch size, as loops do."""
    spec = tiny_spec(
        task=None, objective="own:train", train_size=2000,
        search={"metric": "error", "direction": "minimize", "pruner": name, "reports": 10},
    )  # fmt: skip
    # Its name decides the brackets of Hyperband.
    study = optuna.create_study(study_name="pruned", pruner=pruner(spec), direction="minimize")
    ended = []
    for size, quality in trials:
        trial, steps = study.ask(), 16_000 // size
        reporter = Reporter(trial, spec, Interrupts())
        try:
            for done in [*range(every, steps, every), steps]:
                reporter(done / steps, {"error": curve(size, quality, done / steps)})
        except Pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            for value, number in reporter.unwritten:
                trial.report(value, number)
            study.tell(trial, curve(size, quality, 1.0))
        found, first = study.trials[-1], reporter.curve[0]["progress"]
        was_pruned = found.state == optuna.trial.TrialState.PRUNED
        ended.append(Ended(size, quality, was_pruned, first, found.intermediate_values))
    return ended


def drawn(trials):
    generator = np.random.default_rng(0)
    return [(int(generator.choice(SIZES)), float(generator.random())) for _ in range(trials)]


@pytest.mark.parametrize("name", PRUNERS)
def test_a_late_report_is_not_filed_under_earlier_shares(name):
    """The error falls in proportion to progress, and small batches end five times better."""

    def curve(size, quality, share):
        return 1 - (0.9 if size <= 8 else 0.5) * share

    for every in (100, 70):
        ended = run(name, drawn(60), curve, every=every)
        for each in ended:
            assert all(number / 10 >= each.first - 1e-9 for number in each.reports)
            for number, value in each.reports.items():
                assert value == pytest.approx(curve(each.size, 0.0, number / 10))
        if every == 100:  # at 70 values that are equal differ by rounding
            assert not any(each.pruned for each in ended if each.size <= 8)
            assert any(each.pruned for each in ended)


@pytest.mark.parametrize("name", PRUNERS)
def test_curves_of_one_shape_are_pruned_alike_at_every_batch_size(name):
    """How well a trial ends has nothing to do with its batch size, and neither has whether it is pruned."""
    ended = run(name, drawn(400), lambda size, quality, share: 1 - (0.2 + 0.7 * quality) * share**0.5, every=100)
    last = 0.3 if name == "hyperband" else 0.4  # share of the budget at which it last decides
    judged = {size: [each.pruned for each in ended if each.size == size and each.first <= last] for size in SIZES}
    shares = [sum(pruned) / len(pruned) for pruned in judged.values() if pruned]
    assert len(shares) >= 4 and max(shares) - min(shares) < 0.25 and min(shares) > 0.4
    assert not any(each.pruned for each in ended if each.first > last)
