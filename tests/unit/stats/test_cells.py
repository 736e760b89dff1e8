"""Means of uneven cells, against statsmodels' mixed model and planted values."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from batchlaw.stats.cells import Cells, Runs, _Seeds, common_variance
from batchlaw.stats.levels import Level
from batchlaw.stats.surface import Surface
from statsmodels.robust.scale import Huber

from tests.unit.stats.conftest import planted

LEVELS, PLACES, SEEDS = 6, 8, 14


def uneven(noise, seed=0, loud=1.0):
    """One run for each level and seed, at a random place; runs at the last place have a larger error by a factor."""
    generator = np.random.default_rng(seed)
    level, seeds = (index.ravel() for index in np.indices((LEVELS, SEEDS)))
    place = generator.integers(PLACES, size=level.size)
    truth = 1.5 * level - place**2 / 7.0
    spread = np.where(place == PLACES - 1, loud, 1.0) * noise
    scores = truth + generator.normal(size=SEEDS)[seeds] + spread * generator.normal(size=level.size)
    runs = Runs(2.0**level, 2.0**place, seeds, scores, np.zeros(level.size, dtype=bool))
    return runs, lambda cells: 1.5 * cells.level - cells.place**2 / 7.0


def contrasts(n):
    return np.eye(n) - 1 / n


@pytest.mark.parametrize("seed", range(3))
def test_effects_are_those_of_statsmodels_mixed_model(seed):
    runs, _ = uneven(0.5, seed)
    cells = Cells.of(runs)
    frame = pd.DataFrame({"cell": runs.given * 1000 + runs.tuned, "seed": runs.seeds, "score": runs.scores})
    fitted = smf.mixedlm("score ~ 0 + C(cell)", frame, groups="seed").fit()
    # Which also weighs the cells by variances of their own, and takes the likeliest of some ratios.
    n, contrast = len(cells.means), contrasts(len(cells.means))
    covariances = np.diag(cells.own_variances), fitted.cov_params().iloc[:n, :n].to_numpy()
    ours, theirs = (np.sqrt(np.diag(contrast @ each @ contrast)) for each in covariances)
    error = contrast @ (cells.means - fitted.fe_params.to_numpy())
    assert np.abs(error).max() < 0.8 * theirs.mean() and np.sqrt((error**2).mean()) < 0.3 * theirs.mean()
    assert np.median(ours / theirs) == pytest.approx(1.0, abs=0.35)


def test_with_all_seeds_in_every_cell_means_are_plain_and_differences_have_the_paired_variance():
    surface, _ = planted(0.5, noise=0.3, seeds=40)
    shaken = surface.scores + 5 * np.random.default_rng(1).normal(size=40)
    cells = Cells.of(Runs.of(Surface(surface.given, surface.tuned, shaken, surface.unstable)))
    np.testing.assert_allclose(cells.means, shaken.mean(axis=2).ravel(), atol=1e-9)
    one, other = shaken.reshape(-1, 40)[[3, 50]]
    paired = np.var(one - other, ddof=1) / 40
    # The classic variance of a paired difference, but for what each cell takes from cells like it.
    assert cells.own_variances[[3, 50]].sum() == pytest.approx(paired, rel=0.35)
    apart = cells.own_variances.reshape(8, 9) * 40
    assert apart.mean() == pytest.approx(0.3**2, rel=0.1)


def test_variances_follow_noise_that_grows_with_the_loss():
    surface, _ = planted(0.0, noise=0.0, seeds=6)
    spread = 0.1 * (1 - surface.scores[:, :, :1])  # one tenth at the best, half of one at the edge
    noise = spread * np.random.default_rng(3).normal(size=surface.scores.shape)
    noisy = Surface(surface.given, surface.tuned, surface.scores + noise, surface.unstable)
    cells = Cells.of(Runs.of(noisy))
    found, truth = np.sqrt(cells.own_variances * 6).reshape(8, 9), spread[:, :, 0]
    assert found[:, 0].mean() / found[:, 4].mean() == pytest.approx(truth[0, 0] / truth[0, 4], rel=0.3)
    assert np.abs(np.log2(found / truth)).max() < 1


def rows_with_a_bound(n_repeated):
    """Of a flat surface: single runs, but for some cells that have two; and the degrees of freedom of its noise."""
    bounded = []
    for seed in range(100):
        surface, _ = planted(0.0, noise=0.3, seeds=2, seed=seed, curve=lambda off: 0 * off)
        scores = surface.scores.copy()
        single = np.random.default_rng(seed).permutation(72)[n_repeated:]
        scores.reshape(72, 2)[single, 1] = np.nan
        cells = Cells.of(Runs.of(Surface(surface.given, surface.tuned, scores, surface.unstable)))
        assert cells.replicated
        bounded += [np.isfinite(Level.of(cells, level).own_set(0.05)).any() for level in surface.given]
    return np.mean(bounded)


@pytest.mark.parametrize("n_repeated", [1, 2, 72])
def test_noise_is_known_no_better_than_the_repeated_runs_tell(n_repeated):
    assert rows_with_a_bound(n_repeated) < 0.07


def test_what_seeds_do_leaves_little_trace_in_the_means():
    runs, truth = uneven(0.02)
    cells = Cells.of(runs)
    assert len(cells.means) == len(set(zip(runs.given.tolist(), runs.tuned.tolist(), strict=True)))
    error = contrasts(len(cells.means)) @ (cells.means - truth(cells))
    assert np.abs(error).max() < 0.1  # where seeds differ by 1
    others = Cells.of(Runs(runs.given, runs.tuned, np.arange(len(runs.seeds)), runs.scores, runs.unstable))
    assert np.abs(contrasts(len(cells.means)) @ (others.means - truth(cells))).max() > 0.5


def quiet_errors(loud):
    """For contrasts of cells without the larger error: actual errors over expected ones, and the expected ones."""
    z, expected = [], []
    for seed in range(40):
        runs, truth = uneven(0.3, seed, loud)
        cells = Cells.of(runs)
        own = cells.place < PLACES - 1
        contrast = contrasts(own.sum())
        errors = np.sqrt(np.diag(contrast @ np.diag(cells.own_variances[own]) @ contrast))
        z += list(contrast @ (cells.means - truth(cells))[own] / errors)
        expected.append(np.median(errors))
    return np.array(z), np.median(expected)


def test_errors_are_as_large_as_means_scatter():
    z, expected = quiet_errors(1.0)
    assert 0.75 < z.std() < 1.1  # errors from a run or two a cell are somewhat cautious
    # An eighth of the cells that varies five times as much would double them, were all taken together.
    z, cautious = quiet_errors(5.0)
    assert z.std() < 1.1 and cautious < 1.6 * expected


def test_a_diverged_run_has_hardly_a_part_in_the_others():
    runs, _ = uneven(0.1)
    unstable = np.zeros(len(runs.scores), dtype=bool)
    unstable[:3] = True
    one, other = [
        Cells.of(Runs(runs.given, runs.tuned, runs.seeds, np.where(unstable, guess, runs.scores), unstable))
        for guess in (-9.0, -90.0)
    ]
    assert 0 < (~one.usable).sum() <= 3 and not one.dead[one.usable].any()
    error = np.sqrt(one.own_variances)
    assert (np.abs(one.means - other.means)[one.usable] < 0.25 * error[one.usable]).all()
    assert (other.means[~one.usable] < one.means[~one.usable] - 10).all()


def test_a_cell_is_dead_where_every_run_diverged():
    surface, _ = planted(0.0)
    unstable = surface.unstable.copy()
    unstable[0, 0], unstable[1, 1, :4] = True, True
    cells = Cells.of(Runs.of(Surface(surface.given, surface.tuned, surface.scores, unstable)))
    assert cells.dead.nonzero()[0].tolist() == [0] and (~cells.usable).nonzero()[0].tolist() == [0, 10]


def test_the_order_of_runs_changes_nothing():
    runs, _ = uneven(0.3)
    order = np.random.default_rng(1).permutation(len(runs.scores))
    turned = Cells.of(Runs(*(column[order] for column in vars(runs).values())))
    cells = Cells.of(runs)
    for name in ("level", "place", "means", "own_variances", "degrees_of_freedom", "common_shift"):
        np.testing.assert_allclose(getattr(turned, name), getattr(cells, name), atol=1e-9)


def test_some_levels_are_those_cells():
    surface, _ = planted(0.5)
    cells = Cells.of(Runs.of(surface))
    part = cells.of_levels(surface.given[[1, 4, 7]])
    rows = np.isin(cells.level, [1, 4, 7])
    assert part.level.tolist() == np.repeat([0, 1, 2], 9).tolist()
    np.testing.assert_array_equal(part.means, cells.means[rows])
    np.testing.assert_array_equal(part.own_variances, cells.own_variances[rows])


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_how_far_seeds_move_all_optima_together_is_found(shift):
    generator, found = np.random.default_rng(0), []
    for _ in range(20):
        surface, best = planted(0.0, noise=0.0, seeds=8)
        off = np.log2(surface.tuned)[:, None] - best[0] - shift * generator.normal(size=8)
        scores = -((off / 2) ** 2) + 0.05 * generator.normal(size=(8, 9, 8))
        moved = Surface(surface.given, surface.tuned, scores, surface.unstable)
        found.append(Cells.of(Runs.of(moved)).common_shift)
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(shift / np.sqrt(8), rel=0.2, abs=0.02)


def test_runs_of_a_surface_are_those_that_have_a_score():
    surface, _ = planted(0.5, seeds=3)
    scores = surface.scores.copy()
    scores[2, 3], scores[5, 1, 2] = np.nan, np.nan
    runs = Runs.of(Surface(surface.given, surface.tuned, scores, surface.unstable))
    assert len(runs.scores) == 8 * 9 * 3 - 4 and np.isfinite(runs.scores).all() and set(runs.seeds) == {0, 1, 2}
    cells = Cells.of(runs)
    assert len(cells.means) == 71
    assert 3 not in np.log2(surface.tuned).searchsorted(cells.place[cells.level == 2])
    unpaired = Runs.of(Surface(surface.given, surface.tuned, scores, surface.unstable, paired=False))
    assert len(set(unpaired.seeds)) == 1  # no run has anything in common with another cell's alone


def test_the_common_variance_is_hubers():
    values = np.random.default_rng(0).standard_t(3, size=500)
    _, scale = Huber(c=1.5, tol=1e-9, maxiter=500)(values, mu=np.zeros(1))
    assert common_variance(values**2, np.ones(500)) == pytest.approx(float(scale) ** 2, rel=1e-6)
    assert common_variance(np.zeros(0), np.zeros(0)) == 0.0
    loud = np.concatenate([np.ones(85), np.full(15, 25.0)]) * values[:100] ** 2
    assert common_variance(loud, np.ones(100)) < 0.5 * loud.mean()


@pytest.mark.parametrize(("n_cells", "n_seeds"), [(5, 9), (9, 5), (6, 6), (3, 200)])
def test_effects_of_seeds_are_those_of_the_whole_equations_whichever_are_fewer(n_cells, n_seeds):
    generator = np.random.default_rng(n_seeds)
    both = generator.uniform(0.5, 1.5, (n_cells, n_seeds)) * (generator.uniform(size=(n_cells, n_seeds)) < 0.7)
    of_cell, of_seed = both.sum(axis=1) + 0.1, both.sum(axis=0) + 0.3
    whole = np.block([[np.diag(of_cell), both], [both.T, np.diag(of_seed)]])
    inverse, right = np.linalg.inv(whole), generator.normal(size=n_seeds)
    seeds = _Seeds.of(of_cell, of_seed, both)
    np.testing.assert_allclose(seeds.solve(right), inverse[n_cells:, n_cells:] @ right, rtol=1e-9, atol=1e-12)
    expected = np.linalg.slogdet(whole)[1] - np.log(of_cell).sum()
    assert seeds.log_determinant == pytest.approx(expected)
    own, cross, of_effects = seeds.variances()
    np.testing.assert_allclose(own, np.diag(inverse)[:n_cells], rtol=1e-9)
    np.testing.assert_allclose(cross, inverse[:n_cells, n_cells:], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(of_effects, np.diag(inverse)[n_cells:], rtol=1e-9)
