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


def studies(curve, n, seed, correlation=0.0, seeds=5, spread=None):
    """Sets of the minimum of curves with noise in every run and a part that all cells of a seed have in common."""
    generator = np.random.default_rng(seed)
    spread = np.ones(len(curve)) if spread is None else spread
    for _ in range(n):
        common = np.sqrt(correlation) * generator.normal(size=(1, seeds))
        own = np.sqrt(1 - correlation) * generator.normal(size=(len(curve), seeds))
        runs = curve[:, None] + spread[:, None] * own + common
        own = runs - runs.mean(axis=0)
        variance = own.var(axis=1, ddof=1) * len(curve) / (len(curve) - 1) / seeds
        covariance = np.diag(variance) + np.full((len(curve), len(curve)), correlation / seeds)
        yield bounds(PLACES[: len(curve)], runs.mean(axis=1), covariance, seeds - 1, 0.1)


@pytest.mark.parametrize("correlation", [0.0, 0.9], ids=["independent", "correlated"])
@pytest.mark.parametrize("name", ["parabola", "wall", "falling", "at an end"])
def test_sets_cover_the_minimum(name, correlation):
    curve = CURVES[name]
    best = PLACES[curve.argmin()]
    covered = np.mean([low <= best <= high for low, high in studies(curve, 400, 1, correlation)])
    assert covered > 0.86  # 90 % less 2.7 standard errors


def test_a_flat_curve_is_bounded_as_often_as_alpha_says_on_each_side():
    found = np.array(list(studies(CURVES["flat"], 1000, 2)))
    for bounded in np.isfinite(found).T:
        assert 0.025 < bounded.mean() < 0.075  # 5 % a side


def test_errors_in_common_do_not_widen_a_set():
    def width(correlation):
        curve = 4 * CURVES["parabola"]
        return np.mean([np.ptp(np.clip(found, 0, 8)) for found in studies(curve, 60, 3, correlation)])

    assert width(0.9) < 0.8 * width(0.0)  # the errors of differences are smaller
    losses = 2 * CURVES["parabola"]
    apart, common = np.eye(9) * 0.2, np.eye(9) * 0.2 + 50.0
    np.testing.assert_array_equal(bounds(PLACES, losses, apart, 20, 0.05), bounds(PLACES, losses, common, 20, 0.05))
    assert np.isinf(bounds(PLACES, losses, apart + 50 * np.eye(9), 20, 0.05)).all()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.sampled_from([1, 4, 20]))
def test_a_mirrored_curve_has_the_mirrored_set(losses, degrees_of_freedom):
    losses, places = np.array(losses), PLACES[: len(losses)]
    covariance = np.diag(0.1 + places / 10) + 0.05
    one = bounds(places, losses, covariance, degrees_of_freedom, 0.05)
    other = bounds(-places[::-1], losses[::-1], covariance[::-1, ::-1], degrees_of_freedom, 0.05)
    np.testing.assert_array_equal(one, -other[::-1])


def test_ends_are_the_first_cell_above_an_earlier_one_and_the_last_above_a_later_one():
    losses = np.array([9.0, 5.0, 1.0, 0.9, 1.1, 1.0, 6.0, 9.0, 0.0])[:8]
    found = bounds(PLACES[:8], losses, np.eye(8) * 0.01, 50, 0.05)
    assert found.tolist() == [1.0, 6.0]
    # The level that is passed counts, not the one that passes it: one very noisy cell sets no bound.
    loud = np.eye(8) * 0.01
    loud[6, 6] = 100.0
    assert bounds(PLACES[:8], losses, loud, 50, 0.05).tolist() == [1.0, 7.0]


def test_less_confidence_is_a_smaller_set_and_fewer_degrees_of_freedom_a_larger_one():
    losses, covariance = 3 * CURVES["parabola"], np.eye(9) * 0.5
    loose, strict, unsure = (bounds(PLACES, losses, covariance, *each) for each in ((20, 0.4), (20, 1e-3), (2, 1e-3)))
    assert np.ptp(np.clip(loose, -1, 9)) < np.ptp(np.clip(strict, -1, 9)) < np.ptp(np.clip(unsure, -1, 9))


def test_one_cell_or_none_has_no_bounds():
    for n in (0, 1):
        assert bounds(PLACES[:n], PLACES[:n], np.eye(n), 4, 0.05).tolist() == [-np.inf, np.inf]
