"""What follows from a fall and a rise alone: scikit-learn's isotonic regression, and coverage by simulation."""

import numpy as np
import pytest
from batchlaw.stats.unimodal import bounds, fitted, misfits
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

PLACES = np.arange(9.0)
CURVES = {
    "flat": 0 * PLACES,
    "parabola": (PLACES - 4) ** 2 / 8,
    "wall": np.where(PLACES < 4, 6.0, (PLACES - 4) / 8),
    "falling": -PLACES / 4,
    "at an end": PLACES / 4,
}
values = st.lists(st.integers(-20, 20).map(lambda n: n / 4), min_size=1, max_size=12)


def isotonic(y, weights, increasing):
    if not len(y):
        return np.array([])
    return IsotonicRegression(increasing=increasing).fit_transform(np.arange(len(y)), y, sample_weight=weights)


@given(values, st.data())
def test_fits_and_misfits_are_those_of_scikit_learn_at_every_turn(y, data):
    weights = data.draw(st.lists(st.floats(0.1, 10.0), min_size=len(y), max_size=len(y)))
    falling, rising = misfits(y, weights)
    assert len(falling) == len(rising) == len(y) + 1
    y_, w = np.array(y), np.array(weights)
    for turn in range(len(y) + 1):
        left, right = isotonic(y_[:turn], w[:turn], False), isotonic(y_[turn:], w[turn:], True)
        np.testing.assert_allclose(fitted(y, weights, turn), [*left, *right], atol=1e-8)
        assert falling[turn] == pytest.approx(w[:turn] @ (y_[:turn] - left) ** 2, abs=1e-7)
        assert rising[turn] == pytest.approx(w[turn:] @ (y_[turn:] - right) ** 2, abs=1e-7)


@given(values)
def test_a_curve_that_turns_once_is_missed_by_nothing(y):
    turn = len(y) // 2
    curve = sorted(y[:turn], reverse=True) + sorted(y[turn:])
    falling, rising = misfits(curve, [1.0] * len(curve))
    assert falling[turn] + rising[turn] == 0.0
    np.testing.assert_array_equal(fitted(curve, [1.0] * len(curve), turn), curve)


def studies(curve, n, seed, common=0.0, seeds=5, growth=0.0):
    """Sets of the minimum of curves whose runs have noise of their own, and a part in common with those of their seed.

    The noise of the cells grows from the first to the last.
    """
    generator = np.random.default_rng(seed)
    spread = 1 + growth * PLACES / 8
    for _ in range(n):
        noise = spread[:, None] * generator.normal(size=(len(curve), seeds))
        runs = curve[:, None] + noise + common * generator.normal(size=seeds)
        left = runs - runs.mean(axis=0)
        variances = left.var(axis=1, ddof=1) * len(curve) / (len(curve) - 1) / seeds
        yield bounds(PLACES, runs.mean(axis=1), variances, seeds - 1, 0.1)


@pytest.mark.parametrize("growth", [0.0, 2.0], ids=["even", "growing"])
@pytest.mark.parametrize("name", list(CURVES)[1:])
def test_sets_cover_the_minimum(name, growth):
    best = PLACES[CURVES[name].argmin()]
    covered = np.mean([low <= best <= high for low, high in studies(CURVES[name], 400, 1, growth=growth)])
    assert covered > 0.86  # 90 % less 2.7 standard errors


@pytest.mark.parametrize("place", range(9))
def test_every_cell_of_a_flat_curve_is_in_the_set_as_often_as_it_says(place):
    found = [low <= place <= high for low, high in studies(CURVES["flat"], 400, 2)]
    assert np.mean(found) > 0.86


def test_a_flat_curve_is_seldom_bounded_and_a_clear_one_on_both_sides():
    flat, clear = (np.isfinite(list(studies(curve, 200, 2))) for curve in (CURVES["flat"], 4 * CURVES["parabola"]))
    assert 0.05 < flat.any(axis=1).mean() < 0.2 and clear.all(axis=1).mean() > 0.95


def test_what_all_cells_of_a_seed_have_in_common_does_not_count():
    still, shaken = (list(studies(CURVES["parabola"], 40, 3, common)) for common in (1e-9, 50.0))
    assert np.isfinite(still).any()
    losses = 3 * CURVES["parabola"]
    np.testing.assert_array_equal(*(bounds(PLACES, losses + off, np.full(9, 0.1), 9, 0.05) for off in (0.0, 64.0)))
    assert np.mean(np.isfinite(shaken)) == pytest.approx(np.mean(np.isfinite(still)), abs=0.15)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.sampled_from([1, 4, 20]))
def test_a_mirrored_curve_has_the_mirrored_set(losses, degrees_of_freedom):
    losses, places = np.array(losses), PLACES[: len(losses)]
    variances = 0.1 + places / 10
    one = bounds(places, losses, variances, degrees_of_freedom, 0.05)
    other = -bounds(-places[::-1], losses[::-1], variances[::-1], degrees_of_freedom, 0.05)[::-1]
    np.testing.assert_array_equal(one, other)


def test_without_noise_the_set_ends_at_the_neighbours_of_the_least_loss():
    for best in range(9):
        found = bounds(PLACES, np.abs(PLACES - best), np.full(9, 1e-6), 9, 0.05)
        assert found.tolist() == [PLACES[best - 1] if best else -np.inf, PLACES[best + 1] if best < 8 else np.inf]


def test_a_noisy_cell_sets_no_bound():
    losses = np.array([9.0, 5.0, 1.0, 0.9, 1.1, 1.0, 6.0, 9.0, 9.5])
    variances = np.full(9, 0.01)
    assert bounds(PLACES, losses, variances, 50, 0.05).tolist() == [1.0, 6.0]
    variances[6] = 100.0
    assert bounds(PLACES, losses, variances, 50, 0.05).tolist() == [1.0, 7.0]


def test_less_confidence_is_a_smaller_set_and_fewer_degrees_of_freedom_a_larger_one():
    losses, variances = 3 * CURVES["parabola"], np.full(9, 0.5)
    loose, strict, unsure = (bounds(PLACES, losses, variances, *each) for each in ((20, 0.4), (20, 1e-3), (2, 1e-3)))
    assert np.ptp(np.clip(loose, -1, 9)) < np.ptp(np.clip(strict, -1, 9)) < np.ptp(np.clip(unsure, -1, 9))


def test_a_curve_that_turns_twice_says_nothing():
    losses = np.array([0.0, 3.0, 5.0, 3.0, 0.0, 3.0, 5.0, 6.0, 7.0])
    assert bounds(PLACES, losses, np.full(9, 0.01), 50, 0.05).tolist() == [-np.inf, np.inf]
    assert np.isfinite(bounds(PLACES, np.abs(PLACES - 4), np.full(9, 0.01), 50, 0.05)).all()


def test_one_cell_has_no_bounds():
    assert bounds(PLACES[:1], PLACES[:1], np.ones(1), 4, 0.05).tolist() == [-np.inf, np.inf]


@given(values, st.floats(0.0, 50.0))
def test_errors_above_the_most_that_is_asked_for_are_infinite_and_the_others_the_same(y, most):
    weights = [1.0] * len(y)
    for every, cut in zip(misfits(y, weights), misfits(y, weights, most), strict=True):
        for error, told in zip(every, cut, strict=True):
            assert told == error or (told == np.inf and error > most)
