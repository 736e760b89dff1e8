"""Ridges by a Gaussian process, of the scattered points of a search."""

import numpy as np
import pytest
from batchlaw.stats.curves import MCCANDLISH
from batchlaw.stats.law import law_of
from batchlaw.stats.smoothed import scattered_ridge


def searched(slope, seed=0, n=150, noise=0.2):
    """Points of which half are spread out and half lie near the ridge; other hyperparameters lower some scores."""
    generator = np.random.default_rng(seed)
    x = generator.integers(1, 10, n).astype(float)
    best = slope * (x - 5) - 6
    y = np.where(generator.random(n) < 0.5, generator.uniform(-13, 1, n), best + generator.normal(size=n))
    scores = -(((y - best) / 2) ** 2) + noise * generator.normal(size=n) - 0.3 * generator.random(n)
    return 2**x, 2**y, scores


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_planted_slope_is_found(slope):
    found = scattered_ridge(*searched(slope), np.random.default_rng(0))
    assert found.lack_of_law is None and found.slope is None
    exponent = law_of(found, MCCANDLISH).exponent
    assert exponent.slope == pytest.approx(slope, abs=0.2) and exponent.ci_high - exponent.ci_low < 0.6


def test_the_scale_of_the_scores_does_not_matter():
    batch_sizes, lrs, scores = searched(0.5)
    one = scattered_ridge(batch_sizes, lrs, scores, np.random.default_rng(0))
    other = scattered_ridge(batch_sizes, lrs, np.exp(scores), np.random.default_rng(0))
    np.testing.assert_array_equal(one.best, other.best)


def test_an_optimum_at_the_end_of_what_was_tried_is_censored():
    batch_sizes, lrs, scores = searched(1.0, n=300)
    kept = lrs < 2.0**-4
    found = scattered_ridge(batch_sizes[kept], lrs[kept], scores[kept], np.random.default_rng(0))
    status = dict(zip(found.given, found.status, strict=True))
    assert status[256.0] == "right_censored" and status[16.0] == "identified", status


def test_too_few_points_give_none():
    batch_sizes, lrs, scores = searched(0.5, n=11)
    assert scattered_ridge(batch_sizes, lrs, scores, np.random.default_rng(0)) is None
    same = np.full(40, 8.0)
    assert scattered_ridge(same, 2.0 ** np.arange(40), np.arange(40.0), np.random.default_rng(0)) is None
