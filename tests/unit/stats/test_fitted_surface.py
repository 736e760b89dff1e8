"""The surface through single runs: its noise, its sets, and when it says nothing."""

import numpy as np
import pytest
from batchlaw.stats.fitted_surface import FittedSurface, Lack, fitted_surface
from batchlaw.stats.scattered import Scattered

RATES, SIZES = 2.0 ** np.arange(-9, 0), 2.0 ** np.arange(2, 10)


def grid(seed=0, *, slope=0.5, noise=0.02, holes=0.0, wall=False, rates=RATES, sizes=SIZES):
    """One run a cell of a grid, with the best log₂ rate at each batch size."""
    generator = np.random.default_rng(seed)
    lr, size = (level.ravel() for level in np.meshgrid(rates, sizes))
    kept = generator.random(len(lr)) >= holes
    lr, size = lr[kept], size[kept]
    best = slope * (np.log2(sizes) - 5.5) - 4.8 + generator.uniform(-0.4, 0.4)
    off = np.log2(lr) - np.interp(np.log2(size), np.log2(sizes), best)
    height = np.where(off > 0, 8 * -np.expm1(-((off / 0.3) ** 2)), 0.15 * off**2) if wall else 0.15 * off**2
    losses = 2 + height + noise * generator.normal(size=len(lr))
    return Scattered(lr, size, -losses, np.zeros(len(lr), bool), np.zeros(len(lr), int)), best


@pytest.mark.parametrize("noise", [0.01, 0.05])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_the_noise_is_that_of_the_runs(noise, holes):
    found = [fitted_surface(grid(seed, noise=noise, holes=holes)[0]).noise for seed in range(8)]
    assert 0.7 * noise < np.median(found) < 1.5 * noise


@pytest.mark.parametrize("wall", [False, True])
def test_the_sets_contain_the_planted_optima(wall):
    within = []
    for seed in range(4):
        runs, best = grid(seed, holes=0.1, wall=wall)
        ridge = fitted_surface(runs).ridge("batch_size")
        known = ridge.identified
        assert known.sum() >= 4
        within += list((ridge.low <= best)[known] & (best <= ridge.high)[known])
        assert ridge.slope.ci_low <= 0.5 <= ridge.slope.ci_high
    assert np.mean(within) >= 0.93


def test_an_optimum_beyond_the_rates_tried_is_censored():
    runs, _ = grid(slope=1.0, rates=RATES[:6])
    ridge = fitted_surface(runs).ridge("batch_size")
    assert ridge.status[-1] == "right_censored" and "identified" in ridge.status


def test_rates_written_with_different_digits_are_one_level():
    runs, _ = grid()
    digits = np.array([float(f"{rate:.3g}") for rate in runs.lr])
    written = np.where(np.arange(len(digits)) % 2, runs.lr, digits)
    other = Scattered(written, runs.batch_size, runs.scores, runs.diverged, runs.block)
    assert len(fitted_surface(other).ridge("lr").given) == len(RATES)


def test_a_finite_score_of_a_run_that_diverged_moves_no_optimum():
    runs, _ = grid()
    high = runs.lr > 2.0**-3
    scores = runs.scores.copy()
    scores[high] = -40.0
    one = fitted_surface(Scattered(runs.lr, runs.batch_size, scores, runs.diverged, runs.block))
    other = fitted_surface(Scattered(runs.lr, runs.batch_size, runs.scores, high, runs.block))
    assert one.noise == pytest.approx(other.noise, rel=0.5)
    both = [surface.ridge("batch_size").best[:5] for surface in (one, other)]
    np.testing.assert_allclose(*both, atol=1.0)


def test_blocks_have_levels_of_their_own():
    generator, (runs, _) = np.random.default_rng(0), grid(noise=0.01)
    block = generator.integers(0, 3, len(runs.lr))
    moved = Scattered(runs.lr, runs.batch_size, runs.scores + 5.0 * block, runs.diverged, block)
    found, plain = fitted_surface(moved), fitted_surface(runs)
    assert found.noise < 5 * plain.noise
    assert found.ridge("batch_size").slope.ci_low <= 0.5 <= found.ridge("batch_size").slope.ci_high
    assert not found.decides


def test_random_designs_are_a_guide():
    generator = np.random.default_rng(1)
    x, y = generator.uniform(-9, -1, 90), generator.uniform(2, 9, 90)
    best = 0.5 * (y - 5.5) - 4.8
    scores = -(0.15 * (x - best) ** 2 + 0.02 * generator.normal(size=90))
    found = fitted_surface(Scattered(2**x, 2**y, scores, np.zeros(90, bool), np.zeros(90, int)))
    assert isinstance(found, FittedSurface) and not found.decides and "no grid" in found.guide
    ridge = found.ridge("batch_size")
    truth = 0.5 * (np.log2(ridge.given) - 5.5) - 4.8
    known = ridge.identified
    assert known.sum() >= 4 and ((ridge.low <= truth) & (truth <= ridge.high))[known].mean() >= 0.8
    slope = found.slope("batch_size")
    assert slope.ci_low <= 0.5 <= slope.ci_high and slope.ci_high - slope.ci_low < 0.8


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (grid(rates=RATES[:2])[0], "2 learning rates"),
        (grid(rates=RATES[:3], sizes=SIZES[:4])[0], "12 runs"),
        (Scattered(SIZES.repeat(3), SIZES.repeat(3), np.arange(24.0), np.zeros(24, bool), np.zeros(24, int)), "moved"),
    ],
)
def test_too_little_is_said(runs, told):
    found = fitted_surface(runs)
    assert isinstance(found, Lack) and told in found.reason and found.n_more > 0


@pytest.mark.parametrize(
    ("runs", "guide"),
    [
        (grid(holes=0.2)[0], None),
        (grid(holes=0.42)[0], "of the cells of the grid have no run"),
        (grid(sizes=SIZES[:5])[0], "5 batch sizes"),
    ],
)
def test_only_what_was_calibrated_decides(runs, guide):
    found = fitted_surface(runs)
    assert found.decides == (guide is None) and (guide is None or guide in found.guide)
