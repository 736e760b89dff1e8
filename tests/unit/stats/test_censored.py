"""Curves through optima and sets, against other ways to compute them."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from batchlaw.stats.censored import Observations, fit
from batchlaw.stats.curves import LINE, MCCANDLISH, SURGE
from batchlaw.stats.optimum import Ridge
from scipy import optimize, stats

X = np.arange(8.0) - 8


def ridge_of(slope, error=0.3, seed=0, statuses=("identified",) * 8, exact=True):
    """A ridge whose optima lie about a line through the middle of the levels, with the sets of these errors."""
    best = 5 + slope * (X - X.mean()) + error * np.random.default_rng(seed).normal(size=8)
    reach = 2 * error
    return Ridge(
        given=2.0**X,
        tuned=2.0 ** np.arange(1, 10),
        status=statuses,
        best=best,
        standard_error=np.full(8, error),
        low=best - reach,
        high=best + reach,
        exact=np.full(8, exact),
        resampled=best + error * np.random.default_rng(1).normal(size=(500, 8)),
        degrees_of_freedom=12,
    )


CENSORED = ("left_censored", "left_censored", *["identified"] * 4, "undecided", "right_censored")


def test_with_exact_optima_alone_the_line_is_that_of_least_squares():
    found = ridge_of(0.5)
    expected = sm.OLS(found.best, sm.add_constant(X)).fit()
    np.testing.assert_allclose(fit(found, LINE).parameters, expected.params, atol=1e-6)


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


@pytest.mark.parametrize("exact", [True, False], ids=["optima", "sets"])
@pytest.mark.parametrize(("slope", "seed"), [(1.0, 0), (0.5, 1), (0.0, 2)])
def test_the_likelihood_has_its_maximum_where_brute_force_finds_it(slope, seed, exact):
    found = ridge_of(slope, seed=seed, statuses=CENSORED, exact=exact)
    np.testing.assert_allclose(fit(found, LINE).parameters, brute_force(found).x[:2], atol=2e-3)


@pytest.mark.parametrize("status", ["undecided", "diverged", "missing"])
def test_a_level_of_which_nothing_is_known_has_no_part(status):
    found = ridge_of(0.5, statuses=("identified",) * 7 + (status,))
    moved = replace(found, best=found.best + 9.0 * (np.arange(8) == 7), low=found.low - 9.0 * (np.arange(8) == 7))
    one, other = fit(found, LINE), fit(moved, LINE)
    np.testing.assert_array_equal(one.parameters, other.parameters)
    assert Observations.of(found).rows.tolist() == list(range(7))


def test_sets_alone_leave_a_line_as_unsure_as_they_are_wide():
    """Draws move optima that are exact; of sets they say nothing, and they would make the line exact."""
    wide, narrow = (fit(ridge_of(0.5, error=error, exact=False), LINE) for error in (0.4, 0.1))
    errors = [each.second()[0] ** 0.5 for each in (wide, narrow)]
    independent = np.array([0.4, 0.1]) / np.sqrt(((X - X.mean()) ** 2).sum())
    assert errors[0] > 3 * errors[1] and (np.array(errors) > 0.5 * independent).all()


def test_lines_through_sets_cover_the_planted_slope():
    covered = 0
    for seed in range(60):
        found = ridge_of(0.5, seed=seed, exact=False)
        line = fit(found, LINE)
        variance, degrees_of_freedom = line.second()
        covered += abs(line.parameters[1] - 0.5) <= stats.t.ppf(0.975, degrees_of_freedom) * variance**0.5
    assert covered >= 54  # 95 % less 2.3 standard errors


@pytest.mark.parametrize(
    ("curve", "at"),
    [(LINE, [9.0, 0.8]), (MCCANDLISH, [6.0, -5.0]), (SURGE, [6.0, -4.0])],
    ids=lambda c: getattr(c, "name", ""),
)
def test_the_derivatives_are_those_of_the_likelihood(curve, at):
    data = Observations.of(ridge_of(1.0, statuses=CENSORED))
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
