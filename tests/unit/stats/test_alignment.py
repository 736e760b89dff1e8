"""Slopes from aligned curves: planted slopes, what cannot change them, and shapes that are not one."""

from dataclasses import replace

import numpy as np
import pytest
from batchlaw.stats.alignment import align
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.optimum import ridge
from batchlaw.stats.surface import Surface

from tests.unit.stats.conftest import planted, wall

ALLOWED = (-2.0, 3.0)


def log_cosh(off):
    """Four times as steep below the best as above it."""
    return -np.log(np.cosh(off / np.where(off < 0, 0.4, 1.6)))


CURVES = {"parabola": lambda off: -((off / 2) ** 2), "log-cosh": log_cosh, "wall": wall}
shapes = pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)


def aligned(surface, alpha=0.05):
    return align(Cells.of(Runs.of(surface)), np.log2(surface.given), ALLOWED, alpha)


def same(one, other, atol=1e-9):
    np.testing.assert_allclose(one.interval, other.interval, atol=atol)
    np.testing.assert_allclose(one.turns, other.turns, atol=atol)
    assert one.copies == other.copies


def drifting(seed, steepening=6.0, slope=0.7, noise=0.1):
    """A log-cosh whose lower flank gets steeper from row to row, by this factor over all of them."""
    x, y = np.arange(8.0), np.arange(1.0, 10)
    generator = np.random.default_rng(seed)
    best = 5 + generator.uniform(-0.5, 0.5) + slope * (x - x.mean())
    off, width = y[None] - best[:, None], 0.9 * steepening ** -((x - x.mean()) / 7)[:, None]
    curve = -np.log(np.cosh(np.clip(off / np.where(off < 0, width, 1.6), -30, 30)))
    scores = np.maximum(curve, -8)[:, :, None] + noise * generator.normal(size=(8, 9, 5))
    return Surface(2.0**x, 2.0**y, scores, np.zeros(scores.shape, dtype=bool))


@shapes
@pytest.mark.parametrize("slope", [0.0, 0.5, 0.7, 1.0])
def test_the_planted_slope_and_turning_point_are_kept(slope, curve):
    for seed in range(4):
        surface, best = planted(slope, noise=0.1, seed=seed, curve=curve)
        found = aligned(surface)
        assert found.copies
        assert found.interval[0] <= slope <= found.interval[1] and np.ptp(found.interval) < 1.0
        slopes, low, high = np.array(found.turns).T
        middle = best.mean()  # the place of the turn at the middle level, for the planted slope
        at = np.abs(slopes - slope).argmin()
        assert low[at] - 0.15 <= middle <= high[at] + 0.15 and high[at] - low[at] <= 3.0


@shapes
def test_less_confidence_keeps_fewer_slopes(curve):
    surface, _ = planted(0.5, noise=0.3, curve=curve)
    loose, strict = (aligned(surface, alpha) for alpha in (0.3, 0.001))
    assert loose.limit < strict.limit and loose.least == pytest.approx(strict.least, rel=0.05)
    kept = [each.slopes[each.misfits <= each.limit] for each in (loose, strict)]
    assert kept[1].min() <= kept[0].min() <= kept[0].max() <= kept[1].max() and np.ptp(kept[0]) < np.ptp(kept[1])


@shapes
def test_the_misfits_are_least_at_slopes_that_are_kept(curve):
    found = aligned(planted(0.5, noise=0.2, curve=curve)[0])
    assert np.all(np.diff(found.slopes) > 0) and found.misfits.min() == 0.0 and found.least > 0
    assert ALLOWED[0] == found.slopes[0] and ALLOWED[1] == found.slopes[-1]
    assert found.misfits[[0, -1]].min() > found.limit


@shapes
def test_common_offsets_of_rows_and_the_scale_of_scores_change_nothing(curve):
    surface, _ = planted(0.5, noise=0.2, curve=curve)
    found = aligned(surface)
    offsets = 4.0 * np.random.default_rng(0).normal(size=(8, 1, 1))
    # The seeds' variance is one of some multiples, so a change of units must be exact to leave it where it is.
    for scores in (surface.scores * 8, surface.scores / 1024, surface.scores + 64):
        same(aligned(replace(surface, scores=scores)), found, atol=1e-6)
    # Offsets of rows change which cells have like scores, whose noise is pooled.
    np.testing.assert_allclose(
        aligned(replace(surface, scores=surface.scores + offsets)).interval, found.interval, atol=0.15
    )


@shapes
def test_a_common_shift_of_the_levels_moves_the_turn_and_not_the_slope(curve):
    surface, _ = planted(0.5, noise=0.2, curve=curve)
    moved = Surface(surface.given * 16, surface.tuned * 8, surface.scores, surface.unstable)
    one, other = aligned(surface), aligned(moved)
    np.testing.assert_allclose(other.interval, one.interval, atol=1e-9)
    np.testing.assert_allclose(np.array(other.turns) - [0, 3, 3], one.turns, atol=1e-9)


@shapes
def test_a_flipped_surface_has_the_flipped_turns(curve):
    surface, _ = planted(0.5, noise=0.2, curve=curve)
    along = Surface(surface.given, 1 / surface.tuned[::-1], surface.scores[:, ::-1], surface.unstable)
    both = Surface(1 / surface.given[::-1], along.tuned, along.scores[::-1], surface.unstable)
    one, other = aligned(surface), aligned(both)
    np.testing.assert_allclose(other.interval, one.interval, atol=5e-3)
    low, high = np.array(one.turns).T[1:]
    np.testing.assert_allclose(np.array(other.turns).T[1:], [-high, -low], atol=5e-3)
    back = align(Cells.of(Runs.of(along)), np.log2(along.given), (-ALLOWED[1], -ALLOWED[0]), 0.05)
    np.testing.assert_allclose(np.array(back.interval)[::-1], -np.array(one.interval), atol=5e-3)


def test_the_order_of_runs_changes_nothing():
    surface, _ = planted(0.5, noise=0.3)
    runs = Runs.of(surface)
    order = np.random.default_rng(0).permutation(len(runs.scores))
    mixed = Runs(*(column[order] for column in vars(runs).values()))
    one, other = (align(Cells.of(each), np.log2(surface.given), ALLOWED, 0.05) for each in (runs, mixed))
    same(one, other, atol=1e-6)


def test_one_row_that_is_no_copy_is_refused():
    surface, _ = planted(0.5, noise=0.05, curve=log_cosh)
    scores = surface.scores.copy()
    scores[3] = np.roll(scores[3], 3, axis=0)  # its optimum lies elsewhere
    assert aligned(surface).copies and not aligned(replace(surface, scores=scores)).copies


@pytest.mark.parametrize("noise", [0.03, 0.25])
def test_a_change_of_shape_is_refused_or_the_interval_covers(noise):
    """A log-cosh at the lower half of the rows, a wall at the upper half; each has its optimum on the line."""
    x, y, wrong, refused = np.arange(8.0), np.arange(1.0, 10), 0, 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        slope = (0.5, 0.7, 1.0)[seed % 3]
        off = y[None] - (5 + generator.uniform(-0.5, 0.5) + slope * (x - x.mean()))[:, None]
        curve = np.where(np.arange(8)[:, None] < 4, np.maximum(log_cosh(off), -8), wall(off))
        scores = curve[:, :, None] + noise * generator.normal(size=(8, 9, 5))
        found = ridge(Surface(2.0**x, 2.0**y, scores, np.zeros(scores.shape, dtype=bool)), generator)
        refused += not found.copies
        wrong += found.slope is not None and not found.slope.ci_low <= slope <= found.slope.ci_high
    assert wrong <= 1 and (refused > 0 or noise > 0.1)


@pytest.mark.slow
def test_a_flank_that_grows_steeper_extends_the_interval_to_the_planted_slope():
    covered, widths = 0, []
    for seed in range(12):
        found = aligned(drifting(seed))
        covered += found.interval[0] <= 0.7 <= found.interval[1] or not found.copies
        widths.append(np.ptp(found.interval))
    assert covered >= 11
    still = []
    for seed in range(12):
        found = aligned(drifting(seed, steepening=1.0))
        still.append(np.ptp(found.interval))
        assert found.interval[0] <= 0.7 <= found.interval[1]
    assert np.median(widths) > 2 * np.median(still)  # where shapes do not change, hardly


def test_a_scale_of_zero_noise_and_equal_rows_are_no_faults():
    surface, _ = planted(0.0, noise=0.0)
    found = aligned(surface)
    assert found.interval[0] <= 0.0 <= found.interval[1] and found.copies
    flat = replace(surface, scores=np.zeros(surface.scores.shape))
    assert np.isfinite(aligned(flat).interval).all()


def test_a_row_of_few_cells_or_one_is_taken_as_it_is():
    surface, _ = planted(0.5, noise=0.1)
    scores = surface.scores.copy()
    scores[0, 1:] = np.nan
    scores[3, [0, 2, 4, 6, 8]] = np.nan
    found = aligned(replace(surface, scores=scores))
    assert found.copies and found.interval[0] <= 0.5 <= found.interval[1]
