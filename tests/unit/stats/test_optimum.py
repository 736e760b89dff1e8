"""The optimum at each given level, and the gate that makes it identified."""

import numpy as np
import pytest
from batchlaw.stats.optimum import ridge
from batchlaw.stats.surface import Surface
from scipy import stats

from tests.unit.stats.conftest import planted


def found(surface, seed=0, **options):
    return ridge(surface, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_vertex_of_a_parabola_is_found_exactly_without_noise(slope):
    surface, best = planted(slope, noise=1e-9)
    result = found(surface)
    inside = result.identified
    assert inside.sum() >= 6
    np.testing.assert_allclose(result.best[inside], best[inside], atol=1e-6)


def test_the_parabola_is_numpys():
    surface, _ = planted(0.3, noise=0.2)
    result = found(surface)
    y, n_compared = np.log2(surface.tuned), 0
    for row, means in enumerate(surface.means):
        best = means.argmax()
        near = np.abs(y - y[best]) <= 2
        a, b, _ = np.polyfit(y[near], means[near], 2)
        if 0 < best < len(y) - 1 and a < 0:
            assert result.best[row] == pytest.approx(np.clip(-b / (2 * a), y[best - 1], y[best + 1]))
            n_compared += 1
    assert n_compared >= 4


def test_the_standard_error_is_that_of_repeated_studies():
    errors, estimates = [], []
    for seed in range(150):
        surface, best = planted(0.0, noise=0.2, n_given=1, seed=seed)
        result = found(surface, n_resamples=200)
        errors.append(result.standard_error[0])
        estimates.append(result.best[0] - best[0])
    # The standard error of a standard deviation of 150 values is 6 %.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(estimates), rel=0.25)


def test_what_only_beats_one_end_is_censored_towards_the_other():
    surface, _ = planted(0.0, noise=0.05, middle=-1.0)
    result = found(surface)
    assert set(result.status) == {"left_censored"}
    # All that is known is an upper bound, which is no tighter than the grid.
    assert (result.high >= np.log2(surface.tuned[1])).all()
    high, _ = planted(0.0, noise=0.05, middle=11.0)
    assert set(found(high).status) == {"right_censored"}


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_surface_identifies_nothing(seed):
    surface, _ = planted(0.0, noise=1.0, curve=lambda off: 0 * off, seed=seed)
    assert set(found(surface).status) == {"undecided"}


def test_an_optimum_that_only_holm_rejects_is_not_identified():
    # Each level alone passes t > 3 at p just below .05 / 2, which does not survive eight levels.
    scores = np.zeros((8, 5, 3))
    difference = np.array([1.0, 1.0, 1.0]) + np.array([-0.4, 0.0, 0.4])
    t = difference.mean() / (difference.std(ddof=1) / np.sqrt(3))
    assert t > 3 and 0.05 / 8 < stats.t.sf(t, 2) < 0.05
    scores[:, 2] = difference
    surface = Surface(2.0 ** np.arange(8), 2.0 ** np.arange(5), scores, np.zeros(scores.shape, dtype=bool))
    assert set(found(surface).status) == {"undecided"}
    alone = Surface(surface.given[:1], surface.tuned, scores[:1], surface.unstable[:1])
    assert found(alone).status == ("identified",)


def test_a_cliff_has_no_part_in_the_parabola():
    surface, best = planted(0.0, noise=1e-6, middle=4.3)
    scores, unstable = surface.scores.copy(), surface.unstable.copy()
    scores[:, :3], unstable[:, :3] = -50.0, True
    cliff = Surface(surface.given, surface.tuned, scores, unstable)
    np.testing.assert_allclose(found(cliff).best, best, atol=1e-3)
    blind = Surface(surface.given, surface.tuned, scores, surface.unstable)
    assert np.abs(found(blind).best - best).max() > 0.1


def test_the_result_follows_its_seed_and_no_order():
    surface, _ = planted(0.5, noise=0.4)
    one, again, other = found(surface, 1), found(surface, 1), found(surface, 2)
    assert (one.resampled == again.resampled).all() and (one.resampled != other.resampled).any()
    shuffled = np.random.default_rng(0).permuted(surface.scores, axis=2)
    unpaired = [
        Surface(surface.given, surface.tuned, scores, surface.unstable, paired=False)
        for scores in (surface.scores, shuffled)
    ]
    first, second = (found(s, 1) for s in unpaired)
    np.testing.assert_allclose(first.resampled, second.resampled)
    assert first.status == second.status


def test_paired_seeds_cancel_what_they_do_to_the_whole_surface():
    surface, _ = planted(0.5, noise=0.1)
    shaken = surface.scores + 10 * np.random.default_rng(1).normal(size=surface.n_replicates)
    paired = Surface(surface.given, surface.tuned, shaken, surface.unstable)
    assert found(paired).status == found(surface).status
    apart = Surface(surface.given, surface.tuned, shaken, surface.unstable, paired=False)
    assert "identified" not in found(apart).status


def test_transposing_twice_is_the_same_surface():
    surface, _ = planted(0.5)
    there = surface.transposed()
    assert (there.means == surface.means.T).all() and (there.given == surface.tuned).all()
    assert (there.transposed().scores == surface.scores).all()
