"""What a search may still gain by going on."""

import numpy as np
import pytest
from batchlaw.recipe.result import Outcome
from batchlaw.results.gain import gain_of
from batchlaw.results.posterior import expected_first
from batchlaw.results.search_run import SearchRun

from tests.conftest import tiny_spec


def spec_of(direction="minimize"):
    return tiny_spec(
        task=None, objective="mine:train", train_size=64,
        space={
            "batch_size": 32, "base_lr": {"low": 0.01, "high": 1.0, "log": True}, "optimizer": "sgd", "momentum": 0.0
        },
        search={"metric": "loss", "direction": direction},
    )  # fmt: skip


def runs_at(rates, sign=1, scale=1.0, noise=0.0):
    """A valley whose bottom is at a rate of 0.1."""
    drawn = np.random.default_rng(0).normal(size=len(rates)) * noise
    values = [sign * scale * (np.log10(rate) + 1) ** 2 + error for rate, error in zip(rates, drawn, strict=True)]
    return [
        SearchRun(
            number=number, outcome=Outcome.COMPLETE, value=value, scores=[value], params={"base_lr": float(rate)},
            seconds=1.0, confirms=None,
        )
        for number, (rate, value) in enumerate(zip(rates, values, strict=True))
    ]  # fmt: skip


FAR = np.geomspace(0.2, 1.0, 14)  # the bottom has not been seen: it is lower by 0.09
NEAR = np.geomspace(0.02, 0.5, 29)


def test_it_is_large_where_the_best_lies_beyond_what_was_tried_and_small_where_it_was_found():
    far, near = gain_of(runs_at(FAR), spec_of(), 30), gain_of(runs_at(NEAR), spec_of(), 30)
    assert far.expected < far.high and far.high > 0.09
    assert 0 <= near.expected < near.high < 0.01
    assert str(near).startswith("30 more trials would gain less than ") and str(near).endswith(" with 0.95 confidence")


def test_it_is_in_the_metric_and_the_same_whichever_way_is_better():
    one = gain_of(runs_at(NEAR), spec_of(), 30)
    scaled = gain_of(runs_at(NEAR, sign=-1, scale=1024.0), spec_of("maximize"), 30)
    near = {"rel": 0.05}  # rounding moves the fit of the kernel a little
    assert scaled.high == pytest.approx(1024 * one.high, **near)
    assert scaled.expected == pytest.approx(1024 * one.expected, **near)


def test_more_trials_and_more_confidence_mean_more():
    runs = runs_at(FAR, noise=0.02)
    assert gain_of(runs, spec_of(), 100).expected > gain_of(runs, spec_of(), 2).expected
    assert gain_of(runs, spec_of(), 30, 0.99).high > gain_of(runs, spec_of(), 30, 0.6).high
    assert gain_of(runs, spec_of(), 30) == gain_of(runs, spec_of(), 30)


def test_it_is_not_told_where_there_is_nothing_to_tell_it_by():
    assert gain_of(runs_at(FAR[:11]), spec_of(), 30) is None
    assert gain_of(runs_at(FAR), spec_of(), 0) is None


def test_equal_scores_have_no_gain():
    gain = gain_of(runs_at(np.full(20, 0.2)), spec_of(), 30)
    assert gain.expected == gain.high == 0


def test_the_order_of_contenders_is_still_that_of_ranks():
    """Numbers of the version before there was a gain."""
    assert expected_first(runs_at(FAR, noise=0.05), spec_of()) == [0, 1, 2, 3, 4, 5, 6, 8, 7, 9, 10, 11, 13, 12]
