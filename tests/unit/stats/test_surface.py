"""Surfaces in which scores are missing: every statistic against a loop over the scores that are there."""

import numpy as np
import pytest
from batchlaw.stats.cliff import cliffs
from batchlaw.stats.collapse import collapse
from batchlaw.stats.surface import Surface, means_of_others
from batchlaw.stats.transfer import comparable, scores_at
from batchlaw.stats.two_lines import two_lines
from scipy.interpolate import Akima1DInterpolator

from tests.unit.stats.conftest import planted


def with_holes(share=0.2, seed=0, paired=True, **changes):
    """A planted surface, slope 1, with missing scores and one cell without any."""
    surface, _ = planted(1.0, seed=seed, **changes)
    missing = np.random.default_rng(seed).random(surface.scores.shape) < share
    missing[2, 3] = True
    scores = np.where(missing, np.nan, surface.scores)
    return Surface(surface.given, surface.tuned, scores, surface.unstable, paired)


def test_means_are_of_the_scores_that_are_there():
    surface = with_holes()
    for row, column in np.ndindex(surface.means.shape):
        there = [score for score in surface.scores[row, column] if not np.isnan(score)]
        assert surface.counts[row, column] == len(there)
        assert surface.means[row, column] == pytest.approx(np.mean(there) if there else np.nan, nan_ok=True)
        assert surface.usable[row, column] == bool(there)
        for seed in range(surface.n_replicates):
            others = np.delete(surface.scores[row, column], seed)
            others = others[~np.isnan(others)]
            mean = np.mean(others) if len(others) else np.nan
            assert surface.means_of_others[row, column, seed] == pytest.approx(mean, nan_ok=True)


def test_without_holes_the_mean_of_others_is_what_it_was():
    scores = planted(1.0)[0].scores
    np.testing.assert_allclose(means_of_others(scores)[1, 2, 3], np.delete(scores[1, 2], 3).mean())


def test_a_surface_refuses_what_is_no_score():
    surface = planted(1.0)[0]
    for wrong in (np.inf, -np.inf):
        scores = surface.scores.copy()
        scores[0, 0, 0] = wrong
        with pytest.raises(AssertionError):
            Surface(surface.given, surface.tuned, scores, surface.unstable)


def test_rows_can_be_taken():
    surface = with_holes()
    kept = surface.at(np.arange(8) != 2)
    assert kept.given.tolist() == np.delete(surface.given, 2).tolist() and kept.counts.min() > 0
    np.testing.assert_array_equal(kept.scores, np.delete(surface.scores, 2, axis=0))


def test_a_collapse_with_holes_is_near_that_without_and_fits():
    full, _ = planted(1.0, n_given=10, n_tuned=10)
    found, whole = collapse(with_holes(n_given=10, n_tuned=10)), collapse(full)
    assert found.alpha == pytest.approx(whole.alpha, abs=0.05) and found.ci_low < 1 < found.ci_high
    assert found.lack_of_fit_p > 0.01 and found.r2_surface == pytest.approx(whole.r2_surface, abs=0.02)


def test_the_pure_error_of_a_collapse_is_pooled_over_the_runs_that_are_there():
    """Runs whose cells have two or six scores: the p-values of a curve that fits are even on [0, 1]."""
    p_values = []
    for seed in range(60):
        surface, _ = planted(1.0, seeds=6, seed=seed, n_given=8, n_tuned=8, curve=lambda off: -0.1 * off**2)
        few = np.random.default_rng(1000 + seed).random((8, 8)) < 0.5
        scores = surface.scores.copy()
        scores[few, 2:] = np.nan
        p_values.append(collapse(Surface(surface.given, surface.tuned, scores, surface.unstable)).lack_of_fit_p)
    assert 0.3 < np.mean(p_values) < 0.7 and np.mean(np.array(p_values) < 0.05) < 0.15


def test_missing_points_are_no_part_of_two_lines():
    x = np.repeat(np.arange(8.0), 5)
    y = -np.abs(x - 3) + 0.1 * np.random.default_rng(0).normal(size=40)
    y[[3, 17, 30]] = np.nan
    there = ~np.isnan(y)
    assert two_lines(x, y) == two_lines(x[there], y[there])
    y[x >= 4] = np.nan
    assert two_lines(x, y) is None


def test_a_cell_without_a_score_is_no_cliff():
    surface = planted(1.0, n_given=4, n_tuned=6)[0]
    scores, unstable = surface.scores.copy(), surface.unstable.copy()
    scores[0, 0] = np.nan  # no run was unstable
    unstable[1, :2] = True
    unstable[2, 0, 0] = True
    scores[2, 1] = np.nan  # stable from the third level on; nothing is known of the second
    unstable[3, 3] = True
    scores[3, 4:] = np.nan
    found = cliffs(Surface(surface.given, surface.tuned, scores, unstable))
    np.testing.assert_array_equal(found, [np.nan, surface.tuned[2], surface.tuned[2], np.nan])


def test_scores_are_interpolated_between_the_levels_that_are_there():
    surface = with_holes(seeds=3)
    rates = np.random.default_rng(0).uniform(0.5, 9.5, size=(8, 3))
    found = scores_at(surface, rates)
    for row, seed in np.ndindex(8, 3):
        scores = surface.scores[row, :, seed]
        levels = np.log2(surface.tuned)[~np.isnan(scores)]
        expected = Akima1DInterpolator(levels, scores[~np.isnan(scores)])(np.clip(rates[row, seed], *levels[[0, -1]]))
        assert found[row, seed] == pytest.approx(float(expected))


def test_levels_are_comparable_where_every_seed_has_three_scores():
    surface = planted(1.0, seeds=3)[0]
    scores = surface.scores.copy()
    scores[1, 2:, 0] = np.nan
    scores[4] = np.nan
    scores[6, 3:] = np.nan
    rows = comparable(Surface(surface.given, surface.tuned, scores, surface.unstable))
    assert rows.tolist() == [True, False, True, True, False, True, True, True]
