"""The analysis of an adaptive design, against least squares by another library and by simulation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from batchlaw.stats.adaptive import adaptive_ridge, fit_parabolas
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.optimum import ridge
from batchlaw.stats.slope import censored_slope, shortfall
from batchlaw.stats.surface import Surface

TUNED = 2.0 ** np.arange(1, 10)


def designed(slope, noise=0.1, rounds=15, seed=0, curvature=lambda x: -0.25 + 0 * x, score=None, middle=5.2):
    """Rounds of 8 rates: first both ends and the middle, then the optimum and two octaves to either side."""
    generator = np.random.default_rng(seed)
    x = np.arange(8.0)
    best = middle + slope * (x - x.mean())
    rows = []
    for turn in range(rounds):
        common = noise * generator.normal()
        for rate in range(8):
            y = (
                (1, 9, 5)[(turn + rate) % 3]
                if turn < 3
                else np.round(best[rate]) + (-2, 0, 2)[(turn + rate * (1 + turn // 3 % 2)) % 3]
            )
            y = float(np.clip(y, 1, 9))
            value = curvature(x[rate]) * (y - best[rate]) ** 2 if score is None else score(x[rate], y)
            rows.append((2 ** (x[rate] - 8), 2**y, turn, value + common + noise * generator.normal()))
    given, tuned, seeds, scores = (np.array(column) for column in zip(*rows, strict=True))
    return Runs(given, tuned, seeds.astype(int), scores, np.zeros(len(scores), dtype=bool)), best


def analysed(runs):
    return adaptive_ridge(runs, TUNED, np.random.default_rng(0))


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_planted_slope_is_found(slope):
    runs, _ = designed(slope)
    found = analysed(runs)
    assert shortfall(found) is None
    line = censored_slope(found)
    assert line.ci_low - 0.02 < slope < line.ci_high + 0.02 and line.ci_high - line.ci_low < 0.15


def test_the_optima_are_those_of_least_squares_with_seeds_in_common():
    """Curvatures that differ by much more than their errors are hardly shrunk."""
    runs, _ = designed(0.0, noise=0.02, rounds=24, curvature=lambda x: -0.15 - 0.1 * x)
    found = analysed(runs)
    frame = pd.DataFrame({"rate": runs.given, "o": np.log2(runs.tuned) - 5, "seed": runs.seeds, "score": runs.scores})
    frame = frame[frame["o"].abs() <= 3]
    frame["o2"] = frame["o"] ** 2
    fitted = smf.ols("score ~ 0 + C(rate) + C(seed) + C(rate):o + C(rate):o2", frame).fit().params
    slopes, curvatures = (
        fitted[[f"C(rate)[{rate}]:{name}" for rate in found.given]].to_numpy() for name in ("o", "o2")
    )
    np.testing.assert_allclose(found.best, 5 - slopes / (2 * curvatures), atol=0.01)


def test_errors_are_as_large_as_optima_scatter():
    z = []
    for seed in range(60):
        runs, best = designed(0.0, noise=0.25, seed=seed)
        found = analysed(runs)
        z += list(((found.best - best) / found.standard_error)[found.identified])
    assert len(z) > 400 and 0.88 < np.std(z) < 1.15 and abs(np.mean(z)) < 0.15


def test_what_a_seed_does_to_all_rates_moves_no_optimum():
    runs, _ = designed(0.0, noise=0.02)
    shift = 0.05 * np.sin(runs.seeds)
    moved = Runs(runs.given, runs.tuned, runs.seeds, runs.scores + shift, runs.unstable)
    np.testing.assert_allclose(analysed(moved).best, analysed(runs).best, atol=0.02)
    others = np.arange(len(runs.seeds)) // 3  # as if they were other seeds: now it counts
    assert np.ptp(analysed(Runs(runs.given, runs.tuned, others, runs.scores + shift, runs.unstable)).best) > 0.02


def test_the_order_of_runs_does_not_matter():
    runs, _ = designed(0.5)
    order = np.random.default_rng(1).permutation(len(runs.scores))
    turned = Runs(*(column[order] for column in (runs.given, runs.tuned, runs.seeds, runs.scores, runs.unstable)))
    one, other = analysed(runs), analysed(turned)
    assert one.status == other.status
    np.testing.assert_allclose(one.best, other.best, atol=1e-6)


def test_a_flat_surface_identifies_nothing():
    for seed in range(10):
        runs, _ = designed(0.0, seed=seed, score=lambda x, y: 0.0)
        assert analysed(runs).identified.sum() <= 1
        assert shortfall(analysed(runs)) is not None


def test_a_monotone_surface_is_censored_on_its_side():
    runs, _ = designed(0.0, score=lambda x, y: -y / 2, middle=1.4)  # runs gather at the low end
    found = analysed(runs)
    assert not found.identified.any() and set(found.status) <= {"left_censored", "undecided"}
    assert "left_censored" in found.status


def test_cells_over_a_cliff_have_no_part_in_a_parabola():
    runs, best = designed(0.0, noise=0.02, rounds=24)
    below = np.log2(runs.tuned) < 3.5
    # Two octaves below the best: over the cliff, where an octave below it is not.
    scores = np.where(below, -9.0, runs.scores)
    near = np.log2(runs.tuned) == 3
    moved = near & (runs.seeds // 3 % 2 == 0)  # half of those runs were an octave further in
    tuned = np.where(moved, 16.0, runs.tuned)
    scores = np.where(moved, -0.25 * (4 - 5.2) ** 2, scores)
    unstable = below & (tuned < 16)
    found = analysed(Runs(runs.given, tuned, runs.seeds, scores, unstable))
    assert found.identified.all()
    np.testing.assert_allclose(found.best, best, atol=0.1)


def walled(off):
    """A loss on a log scale that rises eightfold within half an octave."""
    return -0.3 * off**2 / (1 + 0.7 * np.maximum(off, 0)) - 4 / (1 + np.exp(np.minimum((1.6 + off) / 0.12, 99)))


def on_a_full_grid(curve, slope=0.5, noise=0.1, seeds=4, seed=0):
    """A factorial, and the same runs as those of an adaptive design."""
    generator, (x, y) = np.random.default_rng(seed), np.meshgrid(np.arange(8.0), np.arange(1.0, 10), indexing="ij")
    common = generator.normal(size=seeds)
    scores = curve(y - 5.2 - slope * (x - 3.5))[:, :, None] + noise * (
        common + generator.normal(size=(*x.shape, seeds))
    )
    surface = Surface(2.0 ** np.arange(8), TUNED, scores, np.zeros(scores.shape, dtype=bool))
    given, tuned, seeds_of = (index.ravel() for index in np.indices(scores.shape))
    runs = Runs(surface.given[given], TUNED[tuned], seeds_of, scores.ravel(), np.zeros(scores.size, dtype=bool))
    return surface, runs


def test_beside_a_wall_the_optima_are_the_factorials():
    surface, runs = on_a_full_grid(walled)
    found, reference = analysed(runs), ridge(surface, np.random.default_rng(0))
    np.testing.assert_allclose(found.best, reference.best, atol=1e-9)
    assert found.exact.tolist() == reference.exact.tolist()
    assert found.identified[2:7].all()
    # Where parabolas fit, their wider window makes other optima, with smaller errors.
    surface, runs = on_a_full_grid(lambda off: -0.25 * off**2, seed=1)
    found, reference = analysed(runs), ridge(surface, np.random.default_rng(0))
    assert np.abs(found.best - reference.best)[2:7].min() > 1e-6
    assert (found.standard_error < reference.standard_error)[2:7].mean() > 0.5


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_two_seeds_find_the_planted_slope_beside_a_wall(slope):
    surface, runs = on_a_full_grid(walled, slope, noise=0.05, seeds=2)
    line, reference = (censored_slope(found) for found in (analysed(runs), ridge(surface, np.random.default_rng(0))))
    assert line.ci_low - 0.02 < slope < line.ci_high + 0.02
    # Two seeds of each cell are one degree of freedom, where the errors of all cells together have many.
    assert line.ci_high - line.ci_low < 0.5 * (reference.ci_high - reference.ci_low)


def test_the_lack_of_fit_is_as_rare_as_its_p_says_and_seen_where_it_is():
    def p_of(curve, seed):
        return fit_parabolas(Cells.of(on_a_full_grid(curve, seeds=2, seed=seed)[1]), 8)[1]

    p = np.array([p_of(lambda off: -0.25 * off**2, seed) for seed in range(60)])
    assert 0.35 < p.mean() < 0.65 and (p < 0.05).mean() < 0.15
    assert max(p_of(walled, seed) for seed in range(5)) < 1e-6
