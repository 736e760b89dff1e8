"""Slopes: their intervals, and those of ridges by simulation."""

import numpy as np
import pytest
from batchlaw.stats.optimum import ridge
from batchlaw.stats.slope import Slope
from scipy import stats

from tests.unit.stats.conftest import planted, wall


def test_an_interval_is_students():
    found = Slope.of(0.7, 0.1, 9, 0.05)
    assert (found.ci_low, found.ci_high) == pytest.approx(stats.t.interval(0.95, 9, 0.7, 0.1))


def test_a_set_has_the_standard_error_of_a_normal_estimate():
    found = Slope.between(0.2, 0.8, 0.1)
    assert found.slope == 0.5
    assert stats.norm.interval(0.9, found.slope, found.standard_error) == pytest.approx((0.2, 0.8))


def slope_of(slope, seed=0, **options):
    return ridge(planted(slope, seed=seed, **options)[0], np.random.default_rng(0)).slope


def width(**options):
    found = [slope_of(0.5, seed, **options) for seed in range(3)]
    return np.mean([each.ci_high - each.ci_low for each in found])


def test_an_interval_is_wider_with_fewer_seeds_and_more_noise():
    assert width(noise=0.4, seeds=4) > width(noise=0.4, seeds=20)
    assert width(noise=0.4) > width(noise=0.1)


@pytest.mark.parametrize("curve", [lambda off: -((off / 2) ** 2), wall], ids=["parabola", "wall"])
@pytest.mark.parametrize("slope", [0.0, 0.5, 0.7, 1.0])
def test_intervals_cover_the_planted_slope(slope, curve):
    """A small version of tests/benchmarks/claim_calibration.py: 5 % ± 3 × 5.6 % of 15 studies."""
    found = [slope_of(slope, seed, noise=0.25, curve=curve) for seed in range(15)]
    missed = sum(not each.ci_low <= slope <= each.ci_high for each in found if each)
    assert missed <= 2 and sum(each is not None for each in found) >= 10


def test_rows_whose_optima_lie_beyond_the_levels_do_not_bias_the_interval():
    surface, _ = planted(1.0, noise=0.1, n_given=14)
    found = ridge(surface, np.random.default_rng(0))
    assert {"left_censored", "right_censored"} <= set(found.status)
    naive = stats.linregress(np.log2(found.given), np.log2(surface.tuned)[surface.means.argmax(axis=1)])
    assert naive.slope + 3 * naive.stderr < 1  # a line through the best levels tried
    assert found.slope.ci_low < 1 < found.slope.ci_high
