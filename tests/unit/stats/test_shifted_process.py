"""Smooth curves shifted from row to row: planted shifts, curves that change their shape, and rows on one scale."""

from dataclasses import replace

import numpy as np
import pytest
from batchlaw.stats.alignment import align
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.feet import feet
from batchlaw.stats.rows import Rows
from batchlaw.stats.shifted_process import _Errors, _Process, evened, shift
from batchlaw.stats.surface import Surface
from scipy import special, stats

from tests.unit.stats.conftest import planted, wall

NEAR = 0.2  # slopes are sought so far below and above the planted one, and a little beyond


def parabola(off):
    return -((off / 2) ** 2)


def log_cosh(off):
    """Four times as steep below the best as above it."""
    return -np.log(np.cosh(off / np.where(off < 0, 0.4, 1.6)))


def skewing(off, place, change=3.0):
    """A log-cosh whose lower flank grows steeper from row to row and whose upper one grows flatter."""
    width = np.where(off < 0, 0.9 * change**-place, 1.5 * change**place)
    return -np.log(np.cosh(off / width)) * np.log(np.cosh(2 / 1.5))


def drifting(seed, slope=0.7, noise=0.1):
    x, y = np.arange(8.0), np.arange(1.0, 10)
    generator = np.random.default_rng(seed)
    best = 5 + generator.uniform(-0.5, 0.5) + slope * (x - x.mean())
    scores = skewing(y - best[:, None], (x / 7 - 0.5)[:, None])[:, :, None] + noise * generator.normal(size=(8, 9, 5))
    return Surface(2.0**x, 2.0**y, scores, np.zeros(scores.shape, dtype=bool))


def rows_of(surface):
    return Rows.of(Cells.of(Runs.of(surface)), np.log2(surface.given))


def shift_of(rows, slope):
    return shift(rows, slope - NEAR, slope + NEAR, float(special.chdtri(1, 0.05)))


def test_the_likelihood_is_that_of_a_normal_distribution():
    rows = rows_of(planted(0.5, n_given=4, n_tuned=6, curve=log_cosh)[0])
    errors = _Errors.of(rows, 0.5)
    errors_covariance = np.linalg.inv(errors.whitening.T @ errors.whitening)
    u = rows.y - 0.4 * rows.x
    away = np.sqrt(3) * np.abs(u[:, None] - u) / 2.5
    x = rows.x / np.abs(rows.x).max()
    alike = (1 + away) * np.exp(-away) * (1 + 0.3**2 * np.outer(x, x))
    z = rows.heights - rows.heights.mean()
    expected = stats.multivariate_normal(np.zeros(len(z)), errors_covariance + 4 * z.var() * alike).logpdf(z)
    found = _Process(errors, 2.5, 4.0).log_likelihood(0.4, 0.3) - len(z) / 2 * np.log(2 * np.pi)
    assert found == pytest.approx(expected, abs=1e-6)
    # What neighbours of a row have in common: an error of its best height, and a factor of all its heights.
    one, other = np.flatnonzero(rows.row == 1)[[2, 4]]
    base = 3.0 if rows.heights[rows.row == 1].argmin() in (0, 5) else 0.3
    common = base**2 / np.cosh(rows.heights[[one, other]]).prod() + 0.5**2 * np.tanh(rows.heights[[one, other]]).prod()
    far = np.flatnonzero(rows.row == 3)[0]
    assert errors_covariance[one, other] - errors_covariance[one, far] == pytest.approx(common)


@pytest.mark.parametrize("curve", [parabola, log_cosh, wall])
@pytest.mark.parametrize("slope", [0.0, 0.7, 1.0])
def test_the_planted_shift_is_kept_in_a_narrow_interval(slope, curve):
    for seed in range(3):
        surface, _ = planted(slope, noise=0.1, seed=seed, curve=curve, middle=5.0 + 0.3 * seed)
        found = shift_of(evened(rows_of(surface), slope - NEAR, slope + NEAR), slope)
        assert found.low <= slope <= found.high and found.high - found.low < 0.15
        assert found.low <= found.best <= found.high
        assert sum(found.probabilities) < 0.3  # they keep their shape


def test_a_change_of_shape_is_noticed_and_its_feet_tell_the_planted_slope():
    for seed in range(4):
        rows = rows_of(drifting(seed))
        found = shift_of(rows, 0.8)
        assert found.low > 0.75  # the flanks mimic a larger shift
        assert sum(found.probabilities) > 0.3
        moved = feet(rows, found.best, None)
        assert moved and all(abs(foot.slope - 0.7) < 2.5 * foot.error for foot in moved)


def test_rows_of_another_scale_are_put_on_one():
    surface, _ = planted(0.5, noise=0.02, curve=log_cosh)
    factors = 2.0 ** np.linspace(-1.5, 1.5, 8)[:, None, None]
    rows = rows_of(replace(surface, scores=surface.scores * factors))
    even = evened(rows, 0.3, 0.7)
    equal, *tops = (
        np.array([each.heights[own].max() for own in each.cells_of_each]) for each in (rows_of(surface), rows, even)
    )
    assert np.ptp(tops[1] - equal) < 0.3 * np.ptp(tops[0] - equal)
    found = shift_of(even, 0.5)
    assert found.low <= 0.5 <= found.high and sum(found.probabilities) < 0.3


def test_scaling_there_and_back_changes_nothing():
    rows = rows_of(planted(0.5, noise=0.3, curve=log_cosh)[0])
    logs = np.random.default_rng(0).normal(size=8)
    there = rows.scaled(logs)
    np.testing.assert_allclose(np.sinh(there.heights), np.sinh(rows.heights) * np.exp(logs)[rows.row])
    back = there.scaled(-logs)
    np.testing.assert_allclose(back.heights, rows.heights, atol=1e-12)
    np.testing.assert_allclose(back.weights, rows.weights)


def test_of_many_cells_some_are_taken():
    surface, _ = planted(0.5, n_given=20, n_tuned=30, noise=0.1, curve=lambda off: -((off / 4) ** 2))
    rows = rows_of(surface)
    assert len(rows.row) == 600 and len(_Errors.of(rows, 0.1).y) == 200
    found = shift_of(rows, 0.5)
    assert found.low <= 0.5 <= found.high and found.high - found.low < 0.1


def test_a_staircase_with_the_period_of_the_grid_is_no_smooth_curve():
    surface, _ = planted(0.0, noise=0.1, curve=log_cosh, middle=5.2)
    found = align(Cells.of(Runs.of(surface)), np.log2(surface.given), (-1.0, 1.0), 0.05)
    kept = found.slopes[found.misfits <= found.limit]
    assert np.ptp(kept) > 0.2 and np.ptp(found.interval) < 0.12
    assert found.interval[0] <= 0.0 <= found.interval[1]


@pytest.mark.parametrize(("curve", "slope"), [(log_cosh, 0.65), (wall, 0.7)])
def test_a_slope_just_outside_a_band_is_told_from_it(curve, slope):
    surface, _ = planted(slope, noise=0.05, curve=curve, middle=5.1)
    low, high = align(Cells.of(Runs.of(surface)), np.log2(surface.given), (0.3, 1.2), 0.05).interval
    assert low <= slope <= high < 0.75


def test_what_a_change_of_shape_could_hide_is_in_the_interval():
    for seed in range(4):
        found = align(Cells.of(Runs.of(drifting(seed))), np.arange(8.0), (-1.0, 3.0), 0.05)
        assert found.interval[0] <= 0.7 <= found.interval[1] or not found.copies
