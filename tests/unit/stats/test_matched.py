"""Curves at the same training loss, and the partial rank correlation, against closed forms and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from batchlaw.stats.matched import at_loss, lowest_common
from batchlaw.stats.partial import partial_spearman, partial_spearman_over_seeds
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats


def test_the_lowest_common_loss_is_what_the_share_of_every_group_reaches_with_all_seeds():
    fast = np.array([[[1.0, 0.2], [1.0, 0.1]], [[1.0, 0.5], [1.0, 0.4]]])  # (2 cells, 2 seeds, 2 reports)
    slow = np.array([[[2.0, 0.9], [2.0, 0.8]], [[2.0, np.nan], [2.0, np.inf]]])
    assert lowest_common([fast], 0.5, 2.3) == 0.2
    assert lowest_common([fast], 1.0, 2.3) == 0.5
    assert lowest_common([fast, slow], 0.5, 2.3) == 0.9
    assert lowest_common([fast, slow], 1.0, 2.3) == 2.0  # where the diverging cell was before
    assert lowest_common([fast, slow], 1.0, 1.2) == 0.9  # that cell does not train
    assert lowest_common([fast, slow], 1.0, 0.8) == np.inf
    assert lowest_common([np.full((1, 1, 2), np.nan)], 1.0, 2.3) == np.inf


@given(st.floats(0.05, 0.9), st.integers(2, 30), st.floats(0.5, 3.0))
def test_a_power_of_the_training_loss_is_interpolated_exactly_in_its_log(target, reports, rate):
    times = np.linspace(0.01, 1.0, reports)
    train = np.exp(-4 * times)
    found = at_loss(train, 3 + rate * np.log(train), target)
    if train[-1] <= target <= train[0]:
        assert found == pytest.approx(3 + rate * np.log(target), rel=1e-9)
    else:
        assert np.isnan(found)


def test_what_never_comes_so_far_or_was_past_it_is_missing():
    train = np.array([[3.0, 2.0, 1.0], [0.5, 0.4, 0.3], [np.nan, 2.0, 1.0], [3.0, 1.5, 1.6]])
    other = np.tile([10.0, 20.0, 30.0], (4, 1))
    found = at_loss(train, other, 1.5)
    assert np.isnan(found[1]) and found[3] == 20.0
    assert found[0] == pytest.approx(20 + 10 * np.log(2 / 1.5) / np.log(2))
    assert np.isnan(at_loss(train, other, 0.1)).all()
    assert at_loss(np.array([1.5, 1.0]), np.array([7.0, 8.0]), 1.5) == 7.0


def test_the_partial_correlation_is_that_of_the_residuals_of_ranks():
    """Against ordinary least squares on ranks (statsmodels 0.15) and Pearson's correlation (SciPy 1.17)."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=60)
    x, y = z + generator.normal(size=60), np.exp(-z + generator.normal(size=60))
    ranks = [stats.rankdata(values) for values in (x, y, z)]
    residuals = [sm.OLS(r, sm.add_constant(ranks[2])).fit().resid for r in ranks[:2]]
    assert partial_spearman(x, y, z) == pytest.approx(stats.pearsonr(*residuals).statistic, abs=1e-12)


@pytest.mark.slow
def test_its_interval_covers_and_narrows_with_seeds():
    """The interval covers the correlation of the planted cell means, which only the noise of seeds moves."""
    generator = np.random.default_rng(1)
    x, z = generator.normal(size=(2, 24))
    mean = x + 0.5 * generator.normal(size=24)
    truth = partial_spearman(x, mean, z)
    covered, widths = 0, {5: [], 20: []}
    for _ in range(100):
        for n, kept in widths.items():
            y = mean[:, None] + 0.5 * generator.normal(size=(24, n))
            found = partial_spearman_over_seeds(x, y, z, generator)
            kept.append(found.ci_high - found.ci_low)
            covered += n == 20 and found.ci_low <= truth <= found.ci_high
    assert covered >= 85 and np.median(widths[20]) < np.median(widths[5])
