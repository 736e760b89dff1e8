"""The other statistics, each against an independent oracle."""

import numpy as np
import pytest
import statsmodels.api as sm
from batchlaw.stats.cliff import cliff_ratio, cliffs
from batchlaw.stats.collapse import collapse, spline_basis
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.holm import holm
from batchlaw.stats.optimum import ridge
from batchlaw.stats.pooling import pool
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Surface
from batchlaw.stats.two_lines import two_lines
from scipy import optimize, stats
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from tests.unit.stats.conftest import planted


def test_equivalence_is_statsmodels_tost():
    sample = np.random.default_rng(0).normal(0.1, 1, 12)
    slope = Slope(sample.mean(), 0, 0, stats.sem(sample), 11)
    expected = DescrStatsW(sample).ttost_mean(-0.6, 0.9)[0]
    assert equivalence_p(slope, -0.6, 0.9) == pytest.approx(expected)


def test_an_interval_within_the_band_is_p_at_most_half_alpha():
    reach = stats.t.ppf(0.975, 7) * 0.1
    assert equivalence_p(Slope(1.0, 1 - reach, 1 + reach, 0.1, 7), 1 - reach, 1 + reach) == pytest.approx(0.025)


def test_holm_is_r_p_adjust():
    # R 4.3: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") is 0.05 0.08 0.09 0.09 0.09
    assert holm(np.array([0.05, 0.01, 0.03, 0.02, 0.04])) == pytest.approx([0.09, 0.05, 0.09, 0.08, 0.09])
    assert holm(np.array([])).size == 0


def test_holm_is_statsmodels():
    p = np.random.default_rng(0).random(20) ** 3
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_pooling_is_paule_mandel_with_hartung_knapp():
    slopes, errors = np.array([0.4, 0.9, 0.6, 0.1, 0.75]), np.array([0.1, 0.15, 0.1, 0.2, 0.12])

    def q(tau2):
        weights = 1 / (errors**2 + tau2)
        mean = (weights * slopes).sum() / weights.sum()
        return (weights * (slopes - mean) ** 2).sum()

    tau2 = optimize.brentq(lambda t: q(t) - 4, 0, 10)
    weights = 1 / (errors**2 + tau2)
    mean = (weights * slopes).sum() / weights.sum()
    error = np.sqrt((weights * (slopes - mean) ** 2).sum() / 4 / weights.sum())
    found = pool(slopes, errors)
    assert (found.slope, found.tau) == pytest.approx((mean, np.sqrt(tau2)), rel=1e-3)
    assert found.ci_high - found.slope == pytest.approx(stats.t.ppf(0.975, 4) * error, rel=1e-3)
    reach = stats.t.ppf(0.975, 3) * np.sqrt(tau2 + error**2)
    assert found.prediction_high - found.slope == pytest.approx(reach, rel=1e-3)
    assert pool(slopes[:2], errors[:2]) is None


def test_groups_that_agree_by_chance_are_not_surer_than_their_errors():
    found = pool(np.full(3, 0.5), np.full(3, 0.1))
    assert found.standard_error == pytest.approx(0.1 / np.sqrt(3))


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_a_planted_collapse_is_found_and_fits(alpha):
    surface, _ = planted(1 / alpha, noise=0.1)
    found = collapse(surface)
    assert found.ci_low <= alpha <= found.ci_high and found.ci_high - found.ci_low < 0.2
    assert found.lack_of_fit_p > 0.01
    assert 0.9 < found.r2 <= found.r2_surface < 1


def test_a_collapse_that_holds_for_the_ridge_alone_is_seen_to_misfit():
    """B_opt ∝ ε, but the score at the best batch size falls with ε, so the ratio alone does not decide the score."""
    surface, _ = planted(1.0, noise=0.1)
    scores = surface.scores - 0.3 * np.arange(8)[:, None, None]
    assert collapse(Surface(surface.given, surface.tuned, scores, surface.unstable)).lack_of_fit_p < 1e-6


def test_the_lack_of_fit_test_is_the_classical_one():
    surface, _ = planted(0.7, noise=0.5)
    found = collapse(surface)
    runs = (surface.scores - surface.scores.mean(axis=(0, 1)) + surface.scores.mean()).reshape(72, 5)
    x, y = (axis.ravel() for axis in np.meshgrid(np.log2(surface.given), np.log2(surface.tuned), indexing="ij"))
    curve = np.repeat(spline_basis(x - found.alpha * y, 8), 5, axis=0)
    cells = np.repeat(np.eye(72), 5, axis=0)
    table = anova_lm(*(sm.OLS(runs.ravel(), design).fit() for design in (curve, cells)))
    # α was estimated as well, which takes one more degree of freedom from the 60 of the comparison.
    f = table["ss_diff"][1] / 59 / (table["ssr"][1] / 288)
    assert found.lack_of_fit_p == pytest.approx(stats.f.sf(f, 59, 288), rel=1e-6)


def test_too_few_cells_have_no_collapse():
    assert collapse(planted(0.5, n_given=2, n_tuned=4)[0]) is None


def test_two_lines_finds_an_inverted_u():
    generator = np.random.default_rng(0)
    x = np.repeat(np.arange(9.0), 5)
    found = two_lines(x, -((x - 5) ** 2) / 4 + 0.3 * generator.normal(size=45))
    assert found.rises_then_falls() and 4 <= found.breakpoint <= 6
    assert two_lines(x[x < 4], x[x < 4]) is None
    for top in (0, 1, 7, 8):  # a peak near an end leaves a line of two levels
        assert two_lines(x, -np.abs(x - top) + 0.1 * generator.normal(size=45)) is not None


def test_two_lines_is_not_taken_in_by_a_curve_that_only_flattens():
    """A quadratic regression sees a U in almost every sample (Simonsohn 2018), this test in alpha of them at most."""
    x = np.repeat(np.arange(9.0), 5)
    wrong = quadratic = 0
    for seed in range(200):
        y = np.log(x + 1) + 0.1 * np.random.default_rng(seed).normal(size=45)
        wrong += two_lines(x, y).rises_then_falls()
        fit = sm.OLS(y, np.vander(x, 3)).fit()
        quadratic += fit.params[0] < 0 and fit.pvalues[0] < 0.05 and -fit.params[1] / 2 / fit.params[0] < 8
    assert wrong <= 16 and quadratic > 100


def test_the_cliff_is_the_smallest_batch_size_from_which_on_all_is_stable():
    surface, _ = planted(0.0, noise=0.01, middle=5.0)
    unstable = surface.unstable.copy()
    unstable[0, 0, 2] = unstable[1, :2] = unstable[2, 3] = unstable[3, :] = True
    shaken = Surface(surface.given, surface.tuned, surface.scores, unstable)
    np.testing.assert_array_equal(cliffs(shaken)[:5], [4.0, 8.0, 32.0, np.nan, np.nan])
    found = ridge(shaken, np.random.default_rng(0))
    assert found.identified[:3].all()
    # The median of 32/4, 32/8 and 32/32, of the levels that are identified and have a cliff.
    assert cliff_ratio(shaken, found) == pytest.approx(4.0, rel=0.1)
    assert cliff_ratio(surface, found) is None
