"""Forecasts of the best rate: bends of the law, when they are told, and what they do to an interval."""

import numpy as np
import pytest
from batchlaw.stats.batch_forecast import batch_forecast
from batchlaw.stats.departures import Bend, Departures
from batchlaw.stats.forecast import BENT, Group, forecast
from batchlaw.stats.valleys import Shape, Valleys

SIZES = np.arange(4.0, 12.0)


def groups_of(generator, *, change=0.0, axes=1, n=5, offset=0.1, error=0.07, tilt=0.0):
    """Groups whose exponent of the horizon changes by so much an octave, and log₂ of the best rate an octave beyond."""
    middle, groups = (n - 1) / 2, []

    def best(d, m):
        below = 7 + 0.6 * d - 0.3 * m - SIZES
        own = generator.normal(scale=offset) + generator.normal(scale=0.05) * (SIZES - 7.5)
        own += tilt * (d - middle) * (SIZES - 7.5)
        return -9 + 0.3 * d - 0.5 * m - 0.25 * np.logaddexp2(0, 3 * below) + own + change / 2 * (d - middle) ** 2

    for d in range(n):
        for m in range(n if axes == 2 else 1):
            off = best(d, m) + generator.normal(scale=error, size=len(SIZES))
            blank = np.zeros(len(SIZES))
            optima = Valleys(SIZES, off, np.eye(len(SIZES)) * error**2, blank, 0.0, 1.0, Shape(0, 0, 0, 0))
            groups.append(Group(np.array([d - middle, m - middle][:axes]), optima))
    return groups, np.full(axes, n - middle), best(n, n if axes == 2 else 0)


def test_a_bend_is_an_integrated_wiener_process_less_its_line():
    levels, asked = np.array([0.3, 1.0, 2.5, 3.0, 4.2]), np.array([5.0, 1.7])
    places = np.append(levels, asked)
    least, most = np.minimum.outer(places, places), np.maximum.outer(places, places)
    process = least**2 * (3 * most - least) / 6  # of one that starts at 0
    contrast = np.eye(7) - np.pad(np.vander(places, 2) @ np.linalg.pinv(np.vander(levels, 2)), ((0, 0), (0, 2)))
    told = contrast @ process @ contrast.T
    seen, new, between = told[:5, :5], told[5:, 5:], told[5:, :5]
    bend = Bend.of(levels)
    columns = bend.columns(levels)
    assert columns.shape == (5, 3) and columns @ columns.T == pytest.approx(seen, abs=1e-9)
    assert bend.columns(asked) @ columns.T == pytest.approx(between, abs=1e-9)
    left = new - between @ np.linalg.pinv(seen, rcond=1e-9) @ between.T
    assert bend.unseen(asked) == pytest.approx(np.diag(left), abs=1e-9) and bend.unseen(levels) == pytest.approx(
        0, abs=1e-9
    )


def test_two_levels_show_no_bend_and_leave_its_doubt():
    departures = Departures.of(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]), of_size=True)
    assert departures.n_columns == 2  # the models
    sizes, bends = np.array([0.1]), np.array([[0.5, 0.0]])
    beyond = [departures.unseen(np.array([x, 2.0]), sizes, bends)[0] for x in (1.0, 2.0, 3.0)]
    assert beyond[0] == pytest.approx(0, abs=1e-12) and beyond[2] > 4 * beyond[1] > 0
    new_model = departures.unseen(np.array([1.0, 3.0]), sizes, bends)[0]
    assert new_model == pytest.approx(0.1**2)


@pytest.mark.parametrize(("axes", "n"), [(1, 5), (2, 4)])
def test_a_bend_is_told_where_one_is_planted_and_not_elsewhere(axes, n):
    told = {0.0: 0, 0.4: 0}
    held = []
    for change in told:
        for seed in range(4):
            groups, place, truth = groups_of(np.random.default_rng(seed), change=change, axes=axes, n=n)
            found = forecast(groups, of_size=axes == 2)
            told[change] += bool(found.bend_odds[0] >= BENT)
            assert (found.bend_odds[1:] < BENT).all()
            low, high = found.rate(place, SIZES).interval(0.05)
            held += ((low <= truth) & (truth <= high)).tolist()
            if change:
                first, last = found.ends(0)
                assert last > first
    assert told == {0.0: 0, 0.4: 4} and np.mean(held) >= 0.85


def test_the_interval_is_wider_for_a_bend_and_grows_with_the_distance():
    def width(change, beyond):
        groups, place, _ = groups_of(np.random.default_rng(1), change=change)
        low, high = forecast(groups).rate(place + beyond, np.array([7.0])).interval(0.05)
        return float(high[0] - low[0])

    assert width(0.4, 0) > 1.5 * width(0.0, 0)
    assert width(0.4, 2) - width(0.4, 0) > 2 * (width(0.0, 2) - width(0.0, 0)) > 0


def test_groups_that_agree_are_forecast_closer_than_groups_that_do_not():
    widths = []
    for offset in (0.0, 0.1, 0.3):
        found = forecast(groups_of(np.random.default_rng(2), axes=2, n=3, offset=offset)[0], of_size=True)
        low, high = found.rate(np.zeros(2), np.array([7.0])).interval(0.05)
        widths.append(float(high[0] - low[0]))
    assert widths == sorted(widths) and widths[2] > 2 * widths[0]


def test_a_slope_on_the_batch_size_that_moves_with_the_horizon_is_forecast():
    held = []
    for seed in range(6):
        groups, place, truth = groups_of(np.random.default_rng(seed), axes=2, n=3, tilt=-0.1)
        found = forecast(groups, of_size=True)
        mean, deviation = found.parameters["tilt 0"]
        assert mean == pytest.approx(-0.1, abs=2.5 * deviation) and mean < -deviation
        low, high = found.rate(place, SIZES).interval(0.05)
        held += ((low <= truth) & (truth <= high)).tolist()
    assert np.mean(held) >= 0.85


def bottoms_of(generator, sizes, of_size):
    """Groups over three horizons and these sizes, whose best batch size goes with the root of the horizon."""
    groups = []
    for d in (-1.0, 0.0, 1.0):
        for m in sizes:
            best = 7.5 + 0.5 * d + of_size * m
            lowest = 2.5 + 0.004 * (SIZES - best) ** 2 + generator.normal(scale=0.001, size=len(SIZES))
            optima = Valleys(SIZES, SIZES, np.eye(len(SIZES)), lowest, 0.002, 1.0, Shape(0, 0, 0, 0))
            groups.append(Group(np.array([d, m]), optima))
    return groups


@pytest.mark.parametrize("of_size", [-0.4, 0.0])
def test_the_best_batch_size_hardly_moves_with_the_size_unless_runs_tell_so(of_size):
    apart = {close: bottoms_of(np.random.default_rng(0), sizes, of_size)
             for close, sizes in {True: (-0.15, 0.15), False: (-1.0, 0.0, 1.0)}.items()}  # fmt: skip
    widths = {}
    for close, groups in apart.items():
        for known in (False, True):
            predicted = batch_forecast(groups, of_size=known).predict(np.array([1.0, 1.0]))
            low, high = (each[0] for each in predicted.interval(0.05))
            assert low <= 8 + of_size <= high
            widths[close, known] = high - low
    assert widths[True, True] < 0.9 * widths[True, False]
    assert widths[False, True] == pytest.approx(widths[False, False], rel=0.05)
