"""The hyperbola of steps to a target: a published fit, coverage, bounds, and batch sizes that do not arrive."""

import numpy as np
import pytest
from batchlaw.stats.hyperbola import fit_hyperbola
from scipy import optimize

SIZES = 2.0 ** np.arange(6, 15)
# Steps of an 85M model to a loss of 3.42 (arXiv:2410.21676, repository hlzhang109/critical-batch-size, MIT).
PUBLISHED = np.array([46000, 23000, 13282, 7000, 3840, 2528, 1917, 1600, 1600.0])


def test_a_published_series_has_the_figures_of_its_authors():
    found = fit_hyperbola(SIZES, PUBLISHED)
    assert found.critical.value == pytest.approx(2191, rel=0.005)
    assert found.overhead(0.2, 256).value == pytest.approx(745, rel=0.005)
    assert found.critical.low < 2191 < found.critical.high
    assert found.overhead(0.2, 256).low == pytest.approx(307.2 + found.critical.low / 5)


def test_it_is_the_least_squares_fit_of_scipy():
    def curve(size, a, b):
        return np.log(np.exp(a) + np.exp(b) / size)

    (a, b), covariance = optimize.curve_fit(curve, SIZES, np.log(PUBLISHED), p0=[7.0, 15.0])
    found = fit_hyperbola(SIZES, PUBLISHED)
    assert found.steps_min.value == pytest.approx(np.exp(a), rel=0.01)
    assert found.examples_min.value == pytest.approx(np.exp(b), rel=0.01)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    width = np.log(found.critical.high / found.critical.low)
    assert width == pytest.approx(2 * 2.365 * error, rel=0.05)  # t of 7 degrees of freedom


@pytest.mark.parametrize("stops", [False, True])
def test_intervals_cover(stops):
    """Of 100 series with noise; with `stops` a budget of examples that the largest batch sizes overrun."""
    generator, inside, n = np.random.default_rng(0), 0, 100
    for _ in range(n):
        critical = 2.0 ** generator.uniform(8, 11)
        steps = 1000 * (1 + critical / SIZES) * np.exp(generator.normal(scale=0.05, size=len(SIZES)))
        run = 1000 * critical * 4 / SIZES if stops else np.full(len(SIZES), np.inf)
        reached = steps <= run
        found = fit_hyperbola(SIZES, np.minimum(steps, run), reached)
        low, high = found.critical.low or 0, found.critical.high or np.inf
        inside += low <= critical <= high
    assert 0.89 <= inside / n <= 0.99


def test_batch_sizes_that_do_not_arrive_raise_the_steps_of_large_batches():
    steps = 1000 * (1 + 200 / SIZES)
    seen = steps <= 1300
    without = fit_hyperbola(SIZES[:6], steps[:6] * [1, 1.05, 0.95, 1.05, 0.95, 1.05])
    told = fit_hyperbola(
        SIZES[:7], np.append(steps[:6] * [1, 1.05, 0.95, 1.05, 0.95, 1.05], 4000), np.array([True] * 6 + [False])
    )
    assert seen.any() and told.critical.value < without.critical.value


def test_a_side_that_the_batch_sizes_leave_open_is_told():
    perfect = fit_hyperbola(SIZES, 1e6 / SIZES * np.exp(0.02 * np.cos(np.arange(9))))
    assert perfect.critical.high is None and perfect.critical.low > SIZES[-1]
    constant = fit_hyperbola(SIZES, 1000 * np.exp(0.02 * np.cos(np.arange(9))))
    assert constant.critical.low is None and constant.critical.high < SIZES[0]
    assert constant.steps_min.low < 1000 < constant.steps_min.high
    assert "at least" in str(perfect.critical) and "at most" in str(constant.critical)


def test_fewer_than_three_batch_sizes_that_arrive_have_none():
    assert fit_hyperbola(SIZES[:4], PUBLISHED[:4], np.array([True, True, False, False])) is None


def test_replicates_tell_lack_of_fit_and_noise_that_residuals_hide():
    steps = 1000 * (1 + 500 / SIZES)
    lucky = fit_hyperbola(SIZES, steps, variance=np.full(9, 0.05**2), degrees_of_freedom=36)
    assert lucky.lack_of_fit > 0.99 and lucky.deviation == pytest.approx(0.05)
    bent = fit_hyperbola(SIZES, steps * SIZES**0.2, variance=np.full(9, 0.01**2), degrees_of_freedom=36)
    assert bent.lack_of_fit < 1e-3 and bent.deviation > 0.05
