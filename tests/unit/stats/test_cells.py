"""Means of uneven cells, against statsmodels' mixed model and planted values."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from batchlaw.stats.cells import Cells, Runs, common_variance
from statsmodels.robust.scale import Huber

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


def test_effects_are_those_of_statsmodels_mixed_model():
    runs, _ = uneven(0.5)
    cells = Cells.of(runs)
    frame = pd.DataFrame({"cell": runs.given * 1000 + runs.tuned, "seed": runs.seeds, "score": runs.scores})
    fitted = smf.mixedlm("score ~ 0 + C(cell)", frame, groups="seed").fit()
    # Which also weighs the cells by variances of their own, and takes the likeliest of some ratios.
    error = contrasts(len(cells.means)) @ (cells.means - fitted.fe_params.to_numpy())
    assert np.abs(error).max() < 0.25 * np.sqrt(np.diag(cells.covariance)).mean()


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
        errors = np.sqrt(np.diag(contrast @ cells.covariance[np.ix_(own, own)] @ contrast))
        z += list(contrast @ (cells.means - truth(cells))[own] / errors)
        expected.append(np.median(errors))
    return np.array(z), np.median(expected)


def test_errors_are_as_large_as_means_scatter():
    z, expected = quiet_errors(1.0)
    assert 0.85 < z.std() < 1.15
    # An eighth of the cells that varies five times as much would double them, were all taken together.
    z, cautious = quiet_errors(5.0)
    assert z.std() < 1.1 and cautious < 1.6 * expected


def test_draws_scatter_as_the_covariance_says():
    cells = Cells.of(uneven(0.3)[0])
    drawn = cells.draws(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=0), cells.means, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), cells.covariance, atol=0.01)


def test_an_unstable_run_has_no_part_in_the_others():
    runs, _ = uneven(0.1)
    unstable = np.zeros(len(runs.scores), dtype=bool)
    unstable[:3] = True
    others = [Cells.of(Runs(runs.given, runs.tuned, runs.seeds, np.where(unstable, guess, runs.scores), unstable))
              for guess in (-9.0, -90.0)]  # fmt: skip
    one, other = others
    assert 0 < (~one.usable).sum() <= 3
    np.testing.assert_allclose(one.means[one.usable], other.means[one.usable])
    assert (other.means[~one.usable] < one.means[~one.usable] - 10).all()


def test_the_common_variance_is_hubers():
    values = np.random.default_rng(0).standard_t(3, size=500)
    _, scale = Huber(c=1.5, tol=1e-9, maxiter=500)(values, mu=np.zeros(1))
    assert common_variance(values**2, np.ones(500)) == pytest.approx(float(scale) ** 2, rel=1e-6)
    assert common_variance(np.zeros(0), np.zeros(0)) == 0.0
    loud = np.concatenate([np.ones(85), np.full(15, 25.0)]) * values[:100] ** 2
    assert common_variance(loud, np.ones(100)) < 0.5 * loud.mean()
