"""Ridges of the uneven cells that an adaptive design leaves, by simulation and beside the factorial."""

import numpy as np
import pytest
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.optimum import ridge_of

TUNED = 2.0 ** np.arange(1, 10)
GIVEN = 2.0 ** (np.arange(8.0) - 8)


def designed(slope, noise=0.1, rounds=15, seed=0, score=None, middle=5.2):
    """Rounds of 8 rates: first both ends and the middle, then the optimum and an octave to either side."""
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
                else np.round(best[rate]) + (-1, 0, 1)[(turn + rate * (1 + turn // 3 % 2)) % 3]
            )
            y = float(np.clip(y, 1, 9))
            value = -0.25 * (y - best[rate]) ** 2 if score is None else score(x[rate], y)
            rows.append((2 ** (x[rate] - 8), 2**y, turn, value + common + noise * generator.normal()))
    given, tuned, seeds, scores = (np.array(column) for column in zip(*rows, strict=True))
    return Runs(given, tuned, seeds.astype(int), scores, np.zeros(len(scores), dtype=bool)), best


def analysed(runs):
    return ridge_of(Cells.of(runs), GIVEN, TUNED, np.random.default_rng(0))


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_planted_slope_is_found(slope):
    found = analysed(designed(slope)[0])
    assert found.lack is None
    assert found.slope.ci_low <= slope <= found.slope.ci_high
    assert found.slope.ci_high - found.slope.ci_low < 0.7


def test_sets_cover_the_planted_optima():
    inside = n = slopes = covered = 0
    for seed in range(15):
        runs, best = designed(0.5, noise=0.25, seed=seed)
        found = analysed(runs)
        closed = found.identified
        inside += ((found.low <= best) & (best <= found.high))[closed].sum()
        n += closed.sum()
        slopes += found.slope is not None
        covered += found.slope is not None and found.slope.ci_low <= 0.5 <= found.slope.ci_high
    assert n > 20 and inside >= 0.93 * n
    assert slopes > 5 and covered >= slopes - 1


def test_what_a_seed_does_to_all_rates_moves_no_optimum():
    runs, _ = designed(0.0, noise=0.02)
    shift = 0.5 * np.sin(runs.seeds)
    moved = Runs(runs.given, runs.tuned, runs.seeds, runs.scores + shift, runs.unstable)
    one, other = analysed(runs), analysed(moved)
    np.testing.assert_allclose(other.low, one.low, atol=0.1)
    np.testing.assert_allclose(other.high, one.high, atol=0.1)
    others = np.arange(len(runs.seeds))  # as if they were other seeds: now it counts
    blind = analysed(Runs(runs.given, runs.tuned, others, runs.scores + shift, runs.unstable))
    assert np.mean(blind.high - blind.low) > 1.1 * np.mean(one.high - one.low)


def test_the_order_of_runs_does_not_matter():
    runs, _ = designed(0.5)
    order = np.random.default_rng(1).permutation(len(runs.scores))
    one, other = analysed(runs), analysed(Runs(*(column[order] for column in vars(runs).values())))
    assert one.status == other.status
    np.testing.assert_allclose(one.low, other.low, atol=1e-6)
    assert one.slope.ci_low == pytest.approx(other.slope.ci_low, abs=1e-6)


def test_a_flat_surface_has_no_slope():
    for seed in range(10):
        found = analysed(designed(0.0, seed=seed, score=lambda x, y: 0.0)[0])
        assert found.slope is None and found.identified.sum() <= 1


def test_a_monotone_surface_is_censored_on_its_side():
    found = analysed(designed(0.0, score=lambda x, y: -y / 2, middle=1.4)[0])  # runs gather at the low end
    assert not found.identified.any() and set(found.status) <= {"left_censored", "undecided"}
    assert "left_censored" in found.status


def test_runs_over_a_cliff_leave_the_sets_true():
    runs, best = designed(0.0, noise=0.02, rounds=24, middle=5.2)
    over = np.log2(runs.tuned) < 3.5
    found = analysed(Runs(runs.given, runs.tuned, runs.seeds, np.where(over, -9.0, runs.scores), over))
    assert found.identified.all()
    assert ((found.low <= best) & (best <= found.high)).all() and (found.low > 3).all()


@pytest.mark.parametrize("single", [False, True], ids=["several runs", "one run a cell"])
def test_one_run_a_cell_is_refused_and_only_that(single):
    runs, _ = designed(0.5)
    first = np.unique(np.stack([runs.given, runs.tuned]), axis=1, return_index=True)[1]
    kept = first if single else np.arange(len(runs.scores))
    found = analysed(Runs(*(column[kept] for column in vars(runs).values())))
    assert (found.lack == "one run a cell says nothing of the noise; a slope needs several seeds") == single
    assert (found.slope is None) == single
