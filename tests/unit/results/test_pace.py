"""When a study will end, where its trials are alike and where later ones have larger batches and take less time."""

import dataclasses
from datetime import datetime, timedelta

import numpy as np
import pytest
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import cells
from batchlaw.results.pace import batch_sizes_of, pace_of
from batchlaw.results.records import TrialBrief

from tests.conftest import tiny_spec

BEGAN = datetime(2026, 1, 1)
SIZES = [size for size in (1, 2, 4, 8, 16, 32, 64, 128) for _ in range(27)]


def ended(seconds):
    """Trials that ran one after another."""
    ends = np.cumsum(seconds)
    return [
        TrialBrief(
            number=number, outcome=Outcome.COMPLETE, value=1.0, started=BEGAN + timedelta(seconds=end - length),
            ended=BEGAN + timedelta(seconds=end),
        )
        for number, (end, length) in enumerate(zip(ends, seconds, strict=True))
    ]  # fmt: skip


def test_what_is_left_of_a_budget_of_seconds_bounds_the_time_left():
    found = pace_of(ended([2.0, 2.2, 1.9, 2.1]), 100)
    by_clock = found.within(30, open_ended=False)
    assert (by_clock.seconds_left, by_clock.low, by_clock.high) == (30, 30, 30) and "0:00:30 to go" in str(by_clock)
    assert found.within(1000, open_ended=False) == found
    assert found.within(1000, open_ended=True).seconds_left == 1000
    between = found.within(found.seconds_left, open_ended=False)
    assert (between.low, between.high) == (found.low, found.seconds_left)


@pytest.mark.parametrize("power", [0.45, 0.6, 0.95])
@pytest.mark.parametrize("done", [5, 24, 40, 60, 120])
def test_trials_of_larger_batches_are_expected_to_be_shorter(power, done):
    generator = np.random.default_rng(0)
    seconds = 20 * np.array(SIZES, float) ** -power * np.exp(0.1 * generator.normal(size=len(SIZES)))
    found = pace_of(ended(seconds[:done]), len(SIZES) - done, None, SIZES)
    left = seconds[done:].sum()
    assert found.low < left < found.high and found.seconds_left == pytest.approx(left, rel=0.8)
    alike = pace_of(ended(seconds[:done]), len(SIZES) - done)
    assert alike.seconds_left > 1.5 * left


def test_trials_that_are_alike_take_what_the_latest_took():
    found = pace_of(ended([2.0] * 10), 5)
    assert found.trials_a_minute == pytest.approx(30) and found.seconds_left == pytest.approx(10)
    assert str(pace_of(ended([2.0] * 10), 5, None, [8] * 15)) == str(found)


def test_numbers_of_lost_trials_do_not_shift_the_batch_sizes():
    briefs = ended([10.0] * 10)
    later = [dataclasses.replace(each, number=each.number + 10) for each in briefs]
    sizes = [4] * 10 + [256] * 10
    assert str(pace_of(later, 10, None, sizes)) == str(pace_of(briefs, 10, None, sizes))


def test_a_factorial_design_of_epochs_has_the_batch_sizes_of_its_cells():
    space = {"batch_size": [2**n for n in range(8)], "base_lr": [0.01 * 2**n for n in range(8)], "momentum": 0.9}
    design = {"search": None, "claim": {"hypotheses": ["H9"]}, "space": space}
    task = {"dataset": "digits", "model": "mlp", "train_size": 256}
    spec = tiny_spec(**design, task=task)
    assert batch_sizes_of(spec) == [cell["batch_size"] for cell in cells(spec)] == sorted(batch_sizes_of(spec))
    assert set(batch_sizes_of(spec)) == set(space["batch_size"])
    assert batch_sizes_of(tiny_spec(**design, task=task, budget={"steps": 50})) == batch_sizes_of(tiny_spec()) == []
