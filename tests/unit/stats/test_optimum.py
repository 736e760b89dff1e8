"""The set of the best level at each given level, by what was planted."""

import numpy as np
import pytest
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.levels import Level
from batchlaw.stats.optimum import ridge, ridge_of
from batchlaw.stats.surface import Surface
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.stats.conftest import planted, wall


def found(surface, seed=0, **options):
    return ridge(surface, np.random.default_rng(seed), **options)


def changed(surface, scores=None, unstable=None, **options):
    scores = surface.scores if scores is None else scores
    unstable = surface.unstable if unstable is None else unstable
    return Surface(surface.given, surface.tuned, scores, unstable & ~np.isnan(scores), **options)


def diverged(surface, cells, score=None):
    """The surface with some cells, (n_given, n_tuned), all of whose runs diverged and are as bad as the worst."""
    unstable = surface.unstable | cells[:, :, None]
    worst = np.nanmin(surface.scores) if score is None else score
    return changed(surface, np.where(unstable, worst, surface.scores), unstable)


@pytest.mark.parametrize(
    ("curve", "width"), [(lambda off: -((off / 2) ** 2), 3.0), (wall, 2.0)], ids=["parabola", "wall"]
)
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_sets_cover_the_planted_optima_and_are_narrow(slope, curve, width):
    inside = n = 0
    for seed in range(6):
        surface, best = planted(slope, noise=0.15, seed=seed, curve=curve)
        result = found(surface)
        closed = result.identified
        inside += ((result.low <= best) & (best <= result.high))[closed].sum()
        n += closed.sum()
        assert closed.sum() >= 4 and np.median((result.high - result.low)[closed]) < width + 0.01
    assert inside >= 0.95 * n


def test_an_identified_set_is_half_a_spacing_wide_at_least_and_contains_its_best():
    for seed in range(8):
        result = found(planted(0.4, noise=1e-3, seed=seed, seeds=10)[0])
        closed = result.identified
        assert closed.any() and (result.high - result.low)[closed].min() >= 0.5 - 1e-9
        assert (result.low <= result.best).all() and (result.best <= result.high).all()


@pytest.mark.parametrize(
    ("ends", "dead", "expected"),
    [
        ((3.0, 3.1), [], (2.8, 3.3)),
        ((3.0, 4.5), [], (3.0, 4.5)),
        ((0.0, 0.1), [], (0.0, 0.5)),  # not beyond the levels tried
        ((5.9, 6.0), [], (5.5, 6.0)),
        ((3.9, 4.0), [4], (3.0, 3.98)),  # with the last level that trains, and short of the first that does not
        ((2.0, 2.1), [2], (2.02, 3.0)),
        ((1.0, 5.0), [1, 5], (1.02, 4.98)),
    ],
)
def test_a_set_is_half_a_spacing_wide_and_ends_short_of_dead_levels(ends, dead, expected):
    places = np.arange(7.0)
    level = Level(places, -np.abs(places - 3), np.ones(7), np.isin(places, dead), 9.0)
    result = level.optimum(np.array(ends), 2.0**places)
    assert (result.low, result.high) == pytest.approx(expected)


def test_the_best_is_the_best_level_tried_that_the_set_contains():
    surface, _ = planted(0.5, noise=0.05)
    result = found(surface)
    top = np.log2(surface.tuned)[surface.means.argmax(axis=1)]
    np.testing.assert_array_equal(result.best, np.clip(top, result.low, result.high))


@pytest.mark.parametrize(("middle", "status"), [(-1.0, "left_censored"), (11.0, "right_censored")])
def test_an_optimum_beyond_the_levels_is_censored_with_a_true_bound(middle, status):
    surface, best = planted(0.0, noise=0.05, middle=middle)
    result = found(surface)
    assert set(result.status) == {status} and result.slope is None and "0 of 8 levels" in result.lack
    assert (result.high > best).all() if status == "left_censored" else (result.low < best).all()
    for row in result.rows("lr", "batch_size"):
        assert (row["ci_low"] is None) == (status == "left_censored")
        assert (row["ci_high"] is None) == (status == "right_censored")


@pytest.mark.parametrize("seed", range(4))
def test_a_flat_surface_identifies_nothing(seed):
    surface, _ = planted(0.0, noise=1.0, curve=lambda off: 0 * off, seed=seed)
    result = found(surface)
    assert not result.identified.any() and result.slope is None and "undecided" in result.status
    row = result.rows("lr", "batch_size")[result.status.index("undecided")]
    assert row["ci_low"] is None and row["ci_high"] is None


def test_a_wide_set_is_undecided():
    """Flat over five octaves between two walls: bounded on both sides, but by nothing that would be an optimum."""
    surface, _ = planted(0.0, noise=0.05, curve=lambda off: -(np.maximum(np.abs(off) - 2.5, 0) ** 2))
    result = found(surface)
    assert set(result.status) == {"undecided"}
    assert (result.high - result.low > 3).all() and (result.low > 1).all() and (result.high < 9).all()


def test_a_level_whose_curve_has_two_turns_says_nothing_of_its_own():
    surface, _ = planted(0.0, noise=0.02, n_given=3)
    scores = surface.scores.copy()
    scores[1] -= 3 * np.exp(-((np.arange(9.0) - 4) ** 2))[:, None]
    assert found(changed(surface, scores)).status == ("identified", "undecided", "identified")


def test_rows_that_all_diverged_or_were_not_run_are_no_optima_and_do_not_disturb_the_others():
    surface, best = planted(0.5, noise=0.1)
    cells = np.zeros((8, 9), dtype=bool)
    cells[0] = True
    scores = diverged(surface, cells).scores.copy()
    scores[7] = np.nan
    result = found(changed(surface, scores, diverged(surface, cells).unstable))
    assert result.status[0] == "diverged" and result.status[7] == "missing"
    inner = slice(1, 7)
    assert result.identified[inner].sum() >= 4 and result.slope.ci_low < 0.5 < result.slope.ci_high
    assert ((result.low <= best) & (best <= result.high))[inner][result.identified[inner]].all()
    for row in (result.rows("lr", "batch_size")[at] for at in (0, 7)):
        assert row["ci_low"] is None and row["ci_high"] is None
    assert np.isfinite(result.resampled).all() and np.isfinite(result.best).all()


def test_a_surface_that_diverged_everywhere_says_so():
    surface, _ = planted(0.5)
    result = found(diverged(surface, np.ones((8, 9), dtype=bool)))
    assert set(result.status) == {"diverged"} and result.slope is None and "0 of 8 levels" in result.lack


def test_without_noise_at_all_nothing_fails():
    surface, best = planted(0.5, noise=0.0)
    result = found(surface)
    assert result.identified.sum() >= 6 and ((result.low <= best) & (best <= result.high))[result.identified].all()


def test_equal_scores_everywhere_decide_nothing():
    surface, _ = planted(0.0, noise=0.0, curve=lambda off: 0 * off)
    assert set(found(surface).status) == {"undecided"}


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("gap", [0.05, 0.5, 0.95])
def test_a_set_never_contains_a_level_at_which_every_run_diverged(side, gap):
    """A cliff beside the optimum, `gap` octaves beyond it in every row; the slope is one, so that phases are alike."""
    for seed in range(4):
        surface, best = planted(1.0, noise=0.15, middle=5.0 - side * gap, seed=seed)
        off = (np.log2(surface.tuned)[None] - best[:, None]) * side
        cells = off >= gap - 1e-9
        result = found(diverged(surface, cells))
        live = ~cells.all(axis=1)
        assert live.sum() >= 6
        for row in np.flatnonzero(live):
            dead = np.log2(surface.tuned)[cells[row]]
            assert not ((result.low[row] <= dead) & (dead <= result.high[row])).any()
            edge = dead.min() - 1 if side > 0 and len(dead) else dead.max() + 1 if len(dead) else np.nan
            beyond = (result.best[row] - edge) * side
            assert not len(dead) or beyond <= 1e-9, "the best lies between a live level and a dead one"
            assert result.low[row] <= edge <= result.high[row] or not beyond > 0
        closed = result.identified & live
        assert closed.any() and (result.high - result.low)[closed].min() >= 0.5 - 1e-9


@given(st.data())
def test_no_set_contains_a_dead_level_whatever_is_known(data):
    n = data.draw(st.integers(2, 7))
    dead = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    means = np.array(data.draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)), dtype=float)
    half = st.one_of(st.just(np.inf), st.integers(-4, 4 * n + 4).map(lambda at: at / 4), st.floats(-2, n + 2))
    low, high = -data.draw(half), data.draw(half)
    if np.isfinite(low):
        low = -low
    if not low < high:
        low, high = (high, low) if low > high else (-np.inf, high)
    places = np.arange(float(n))
    level = Level(places, means, np.ones(n), dead, 9.0)
    result = level.optimum(np.array([low, high]), 2.0**places)
    if dead.all():
        assert result.status == "diverged"
        return
    reach = [result.low, result.high]
    if result.status == "left_censored":
        reach[0] = -np.inf
    if result.status == "right_censored":
        reach[1] = np.inf
    if result.status != "undecided":
        assert not dead[(places >= reach[0]) & (places <= reach[1])].any()
    assert 0 <= result.low <= result.best <= result.high <= n - 1
    if result.status == "identified":
        assert result.high - result.low >= 0.5 - 1e-9
    # Walking from the best level tried to `best` meets no dead level, and does not end beside one.
    top = int(np.where(dead, -np.inf, means).argmax())
    between = sorted((float(top), result.best))
    assert not dead[int(np.floor(between[0])) : int(np.ceil(between[1])) + 1].any()


def test_the_upper_edge_is_the_highest_level_below_one_that_diverges():
    surface, _ = planted(0.0, noise=0.1, middle=4.3)
    cells = np.zeros((8, 9), dtype=bool)
    cells[:4, 7:] = True
    cells[2, 6] = True
    cells[5, 0] = True  # below: no upper edge
    unstable = diverged(surface, cells).unstable.copy()
    unstable[6, 8, :4] = True  # one of five runs was stable: this level is not dead
    edges = found(changed(surface, diverged(surface, cells).scores, unstable)).edges[:, 1, 0]
    assert edges.tolist() == [7.0, 7.0, 6.0, 7.0, np.inf, np.inf, np.inf, np.inf]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_tuned": 4}, "the tuned factor has 4 levels over 3.0 octaves; a slope needs 5 over 4"),
        ({"n_given": 2}, "2 of 2 levels have an optimum that is bounded on both sides; a slope needs 3"),
        ({"noise": 50.0}, "0 of 8 levels have an optimum that is bounded on both sides; a slope needs 3"),
        ({"seeds": 1}, "one run a cell says nothing of the noise; a slope needs several seeds"),
    ],
    ids=["few tuned", "few given", "noise", "single runs"],
)
def test_what_is_missing_for_a_slope_is_said(options, sentence):
    result = found(planted(0.0, **options)[0])
    assert result.lack == sentence and result.slope is None
    if options.get("seeds") == 1:
        assert set(result.status) == {"undecided"}


def test_levels_too_close_for_a_slope_are_said():
    surface, _ = planted(0.5, n_given=4)
    near = Surface(2.0 ** (np.arange(4) / 2), surface.tuned, surface.scores, surface.unstable)
    assert "span 1.5 octaves; a slope needs 2" in found(near).lack


def test_a_kink_that_no_line_meets_gives_no_slope_but_a_law_may_bend():
    x, y = np.arange(10.0), np.arange(12.0)
    best = 3 + np.abs(x - 4.5)
    scores = -2 * ((y[None] - best[:, None]) ** 2)[:, :, None]
    scores = scores + 0.1 * np.random.default_rng(0).normal(size=(10, 12, 5))
    result = found(Surface(2.0**x, 2.0**y, scores, np.zeros(scores.shape, dtype=bool)))
    assert result.slope is None and result.lack == "the levels' sets contradict one another: no line meets all of them"
    assert result.identified.all() and result.lack_of_law is None


def test_three_levels_make_a_line_and_no_curve_and_few_tuned_levels_neither():
    three, coarse = found(planted(0.0, n_given=3)[0]), found(planted(0.0, n_tuned=4)[0])
    assert three.slope is not None and three.lack_of_law is None
    assert three.lack_of_curve == "3 of 3 levels have an identified optimum; a curve through them needs 4"
    assert coarse.lack_of_law == "the tuned factor has 4 levels over 3.0 octaves; a slope needs 5 over 4"


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.05, 0.4, 0.9]))
def test_missing_scores_anywhere_do_no_harm(seed, share):
    surface, _ = planted(0.5, noise=0.2, n_given=5, n_tuned=6, seeds=3, seed=seed)
    generator = np.random.default_rng(seed)
    scores = np.where(generator.random(surface.scores.shape) < share, np.nan, surface.scores)
    scores[0, 0, 0] = 0.0
    unstable = (generator.random(scores.shape) < 0.1) & ~np.isnan(scores)
    result = found(changed(surface, scores, unstable))
    missing = np.isnan(scores).all(axis=(1, 2))
    assert [status == "missing" for status in result.status] == missing.tolist()
    for column in (result.best, result.low, result.high, result.standard_error, result.resampled):
        assert np.isfinite(column).all()


def test_holes_of_single_runs_or_cells_leave_the_optima_covered():
    inside = n = 0
    for seed in range(6):
        surface, best = planted(0.5, noise=0.15, seed=seed)
        generator = np.random.default_rng(seed)
        scores = np.where(generator.random(surface.scores.shape) < 0.15, np.nan, surface.scores)
        scores[generator.random((8, 9)) < 0.08] = np.nan
        result = found(changed(surface, scores))
        assert result.slope.ci_low < 0.5 < result.slope.ci_high
        inside += ((result.low <= best) & (best <= result.high))[result.identified].sum()
        n += result.identified.sum()
    assert n > 30 and inside >= 0.95 * n


def test_the_result_follows_its_seed_and_no_order():
    surface, _ = planted(0.5, noise=0.4)
    one, again, other = found(surface, 1), found(surface, 1), found(surface, 2)
    assert (one.resampled == again.resampled).all() and (one.resampled != other.resampled).any()
    assert one.status == other.status and (one.low == other.low).all()
    shuffled = np.random.default_rng(0).permuted(surface.scores, axis=2)
    first, second = (found(changed(surface, scores, paired=False), 1) for scores in (surface.scores, shuffled))
    np.testing.assert_allclose(first.low, second.low)
    np.testing.assert_allclose(first.resampled, second.resampled)
    assert first.status == second.status


def test_paired_seeds_cancel_what_they_do_to_the_whole_surface():
    surface, _ = planted(0.5, noise=0.1)
    shaken = surface.scores + 10 * np.random.default_rng(1).normal(size=surface.n_replicates)
    assert found(changed(surface, shaken)).status == found(surface).status
    assert "identified" not in found(changed(surface, shaken, paired=False)).status


def test_more_noise_and_fewer_seeds_widen_the_sets_and_less_confidence_narrows_them():
    def widths(alpha=0.05, **options):
        results = [found(planted(0.5, n_given=6, seed=seed, **options)[0], alpha=alpha) for seed in range(3)]
        return np.mean([result.high - result.low for result in results])

    assert widths(noise=0.1) < widths(noise=0.4) < widths(noise=1.5)
    assert widths(noise=0.5, seeds=12) < widths(noise=0.5, seeds=2)
    assert widths(noise=0.4, alpha=0.3) < widths(noise=0.4, alpha=0.001)


def test_draws_lie_about_as_their_error_says_and_around_the_optima():
    surface, best = planted(0.5, noise=0.2)
    result = found(surface)
    closed = result.identified & result.exact
    assert closed.any() and result.copies
    drawn = result.resampled[:, closed]
    np.testing.assert_allclose(drawn.std(axis=0), result.standard_error[closed])
    assert (np.abs(drawn.mean(axis=0) - best[closed]) < 3 * result.standard_error[closed]).all()


def test_cells_of_a_full_grid_give_what_its_surface_gives():
    surface, _ = planted(0.5, noise=0.2)
    cells = Cells.of(Runs.of(surface))
    one, other = found(surface), ridge_of(cells, surface.given, surface.tuned, np.random.default_rng(0))
    np.testing.assert_array_equal(one.resampled, other.resampled)
    assert one.status == other.status and one.slope == other.slope


def test_transposing_twice_is_the_same_surface():
    surface, _ = planted(0.5)
    there = surface.transposed()
    assert (there.means == surface.means.T).all() and (there.given == surface.tuned).all()
    assert (there.transposed().scores == surface.scores).all()
