"""The slope of a ridge, against other ways to compute it."""

import numpy as np
import pytest
import statsmodels.api as sm
from batchlaw.stats.censored import Observations
from batchlaw.stats.curves import LINE, MCCANDLISH, SURGE
from batchlaw.stats.optimum import ridge
from batchlaw.stats.slope import censored_slope, gated_least_squares, shortfall
from scipy import optimize, stats

from tests.unit.stats.conftest import planted


def ridge_of(slope, **options):
    surface, _ = planted(slope, **options)
    return ridge(surface, np.random.default_rng(0))


def test_least_squares_is_statsmodels():
    found = ridge_of(0.5, noise=0.3)
    chosen = found.identified
    fit = sm.OLS(found.best[chosen], sm.add_constant(np.log2(found.given[chosen]))).fit()
    ours = gated_least_squares(found)
    assert (ours.slope, ours.standard_error) == pytest.approx((fit.params[1], fit.bse[1]))
    assert (ours.ci_low, ours.ci_high) == pytest.approx(tuple(fit.conf_int()[1]))


def brute_force(found):
    """The maximum of the likelihood, written with scipy.stats and found without derivatives."""
    data = Observations.of(found)

    def negative(p):
        spread = np.sqrt(data.error**2 + np.exp(2 * p[2]))
        mean = p[0] + p[1] * data.x
        total = 0.0
        for i in range(len(data.x)):
            if data.exact[i]:
                total += stats.norm.logpdf(data.y[i], mean[i], spread[i])
            else:
                low, high = (stats.norm.cdf(end, mean[i], spread[i]) for end in (data.low[i], data.high[i]))
                total += np.log(max(high - low, 1e-300))
        return -total

    starts = [[-slope * data.x.mean() + data.y.mean(), slope, scatter] for slope in (0, 0.5, 1) for scatter in (-3, -1)]
    options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-9, "fatol": 1e-12}
    return min(
        (optimize.minimize(negative, start, method="Nelder-Mead", options=options) for start in starts),
        key=lambda result: result.fun,
    )


@pytest.mark.parametrize(("slope", "noise"), [(1.0, 0.2), (0.5, 0.4), (1.0, 0.5), (0.0, 0.3)])
def test_the_censored_likelihood_has_its_maximum_where_brute_force_finds_it(slope, noise):
    found = ridge_of(slope, noise=noise)
    assert "left_censored" in found.status or slope < 1
    assert censored_slope(found).slope == pytest.approx(brute_force(found).x[1], abs=2e-3)


def test_censored_levels_bound_the_slope():
    """A line through the identified levels alone is biased if optima lie at the edge of the grid."""
    surface, _ = planted(1.0, noise=0.1, n_given=12)
    found = ridge(surface, np.random.default_rng(0))
    assert {"left_censored", "right_censored"} <= set(found.status)
    naive = stats.linregress(np.log2(found.given), found.best).slope
    assert abs(censored_slope(found).slope - 1) < 0.1 < abs(naive - 1)


@pytest.mark.parametrize(
    ("curve", "at"),
    [(LINE, [9.0, 0.8]), (MCCANDLISH, [6.0, -5.0]), (SURGE, [6.0, -4.0])],
    ids=lambda c: getattr(c, "name", ""),
)
def test_the_derivatives_are_those_of_the_likelihood(curve, at):
    data = Observations.of(ridge_of(1.0, noise=0.4))
    spread = np.sqrt(data.error**2 + 0.04)
    at = np.array(at)

    def value(p):
        return data.log_likelihood(curve.mean(p[None], data.x), spread)[0]

    jacobian = curve.jacobian(at[None], data.x)[0]
    for column in range(2):
        step = np.eye(2)[column] * 1e-6
        slope = (curve.mean((at + step)[None], data.x) - curve.mean((at - step)[None], data.x))[0] / 2e-6
        np.testing.assert_allclose(jacobian[:, column], slope, atol=1e-6)
    score, weight, by_spread = data.derivatives(data.y[None], curve.mean(at[None], data.x), spread)
    np.testing.assert_allclose(score[0] @ jacobian, optimize.approx_fprime(at, value, 1e-6), rtol=1e-3)
    wider = spread * 1e-6
    change = data.log_likelihood(curve.mean(at[None], data.x), spread + wider)[0] - value(at)
    assert (by_spread[0] * wider).sum() == pytest.approx(change, rel=1e-3)
    up = np.array([1e-4, 0.0])  # the curve is linear in its shift
    second = (value(at + up) - 2 * value(at) + value(at - up)) / 1e-8
    assert weight.sum() == pytest.approx(-second, rel=1e-2)


def test_an_interval_is_wider_with_fewer_seeds_and_more_noise():
    def width(**options):
        found = censored_slope(ridge_of(0.5, **options))
        return found.ci_high - found.ci_low

    assert width(noise=0.4, seeds=5) > width(noise=0.4, seeds=20)
    assert width(noise=0.4, seeds=10) > width(noise=0.1, seeds=10)


def test_what_is_missing_for_a_slope_is_said():
    assert shortfall(ridge_of(0.5)) is None
    assert "5 over 4" in shortfall(ridge_of(0.5, n_tuned=4))
    assert "0 of 8 levels" in shortfall(ridge_of(0.0, noise=5.0))
    assert "3 of 3 levels have an identified optimum; a slope needs 4" in shortfall(ridge_of(0.0, n_given=3))


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_intervals_cover_about_as_often_as_they_say(slope):
    """A small version of tests/benchmarks/claim_calibration.py: 5 % ± 3 × 2.2 % of 100 studies."""
    missed = 0
    for seed in range(100):
        surface, _ = planted(slope, noise=0.25, seed=seed)
        found = censored_slope(ridge(surface, np.random.default_rng(seed), n_resamples=300))
        missed += not found.ci_low <= slope <= found.ci_high
    assert missed <= 12
