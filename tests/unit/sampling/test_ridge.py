"""The rules of an adaptive design, on planted surfaces."""

import numpy as np
import pytest
from batchlaw.sampling.ridge import Design, Stack, Tried

RATES, SIZES = np.arange(-5.0, 3), np.arange(9.0)
DEAR_BELOW = np.stack([5 * 2.0**-SIZES, 2.0**-SIZES], axis=1)  # as with a budget of epochs
EQUAL = np.ones((len(SIZES), 2))


def loss(rate, size):
    """Best at log₂ B = 4.5 + log₂ ε / 2."""
    return (SIZES[size] - 4.5 - RATES[rate] / 2) ** 2 / 4


def searched(n, *, costs=DEAR_BELOW, most=8, seed=0, noise=0.05, cliff=None):
    """The runs of stacks one after another, with noise; below `cliff` octaves from the best a run is unstable."""
    design, generator, runs = Design(RATES, SIZES, costs), np.random.default_rng(seed), []
    while len(runs) < n:
        stack = design.look(len(runs)) or design.choose(tried(runs), np.random.default_rng([seed, len(runs)]), most)
        for rate in stack.rates[:most]:
            unstable = cliff is not None and SIZES[stack.size] - 4.5 - RATES[rate] / 2 < cliff
            score = -9.0 if unstable else -loss(rate, stack.size) + noise * generator.normal()
            runs.append((rate, stack.size, stack.turn, score, unstable))
    return runs


def tried(runs):
    table = np.array(runs, dtype=float).reshape(len(runs), 5)
    return Tried(*table[:, :3].astype(int).T, table[:, 3], table[:, 4] > 0)


def off(run):
    return SIZES[run[1]] - 4.5 - RATES[run[0]] / 2


def test_the_first_look_has_each_rate_in_the_middle_and_at_the_cheaper_end_and_is_bound_to_slots():
    design, n = Design(RATES, SIZES, DEAR_BELOW), len(RATES)
    assert design.look(0) == Stack(4, tuple(range(n)), 0) and design.look(3) == Stack(4, tuple(range(3, n)), 0)
    assert design.look(n) == Stack(8, tuple(range(n)), 0) and design.look(2 * n) is None
    assert Design(RATES, SIZES, DEAR_BELOW[::-1]).look(n).size == 0


@pytest.mark.parametrize("most", [1, len(RATES)])
def test_runs_gather_about_the_planted_ridge(most):
    later = [off(run) for run in searched(160, most=most)[2 * len(RATES) :]]
    assert np.mean(np.abs(later) <= 3) > 0.9
    shares = np.histogram(later, np.arange(-2.5, 3))[0] / len(later)
    assert (shares > 0.05).all()


def test_no_cell_is_run_twice_on_the_same_seeds_and_cells_of_a_rate_share_most_of_theirs():
    runs = searched(160)
    assert len({run[:3] for run in runs}) == len(runs)
    turns = {}
    for rate, size, turn, *_ in runs:
        turns.setdefault((rate, size), set()).add(turn)
    # Their difference is paired where they have seeds in common: those that the one with fewer runs has.
    pairs = [(turns[i, j], turns[i, j + 1]) for i, j in turns if (i, j + 1) in turns]
    assert np.mean([len(a & b) / min(len(a), len(b)) for a, b in pairs]) > 0.8


def test_dear_batch_sizes_have_fewer_runs_of_a_rate():
    def share(costs):
        return np.mean([off(run) < 0 for run in searched(160, costs=costs)[2 * len(RATES) :]])

    assert share(DEAR_BELOW) < share(EQUAL) - 0.05


def test_rates_with_the_best_at_an_edge_have_fewer_runs():
    """The best log₂ B is 4.5 + log₂ ε, where 0 to 5 are tried: at both ends of the rates it is beyond."""
    design, generator, runs = Design(RATES, SIZES[:6], EQUAL[:6]), np.random.default_rng(1), []
    while len(runs) < 160:
        stack = design.look(len(runs)) or design.choose(tried(runs), np.random.default_rng(len(runs)), 3)
        for rate in stack.rates[:3]:
            score = -((SIZES[stack.size] - 4.5 - RATES[rate]) ** 2) / 4 + 0.05 * generator.normal()
            runs.append((rate, stack.size, stack.turn, score, False))
    counts = np.bincount([run[0] for run in runs], minlength=len(RATES))
    assert counts[[0, -1]].max() < counts[2:5].min() / 2


def test_a_stack_under_way_counts_as_runs_without_a_score():
    runs, design = searched(80), Design(RATES, SIZES, DEAR_BELOW)
    stack = design.choose(tried(runs), np.random.default_rng(0), len(RATES))
    under_way = [(rate, stack.size, stack.turn, np.nan, False) for rate in stack.rates]
    other = design.choose(tried(runs + under_way), np.random.default_rng(0), len(RATES))
    assert other.size != stack.size or (other.turn != stack.turn and other.rates != stack.rates)


def test_the_same_runs_and_seed_give_the_same_stack_and_another_seed_another_study():
    assert searched(96, seed=3, noise=0) == searched(96, seed=3, noise=0) != searched(96, seed=4, noise=0)


def test_unstable_cells_are_not_run_again():
    runs = searched(160, cliff=-1.5)
    over = [run[:2] for run in runs[2 * len(RATES) :] if run[4]]
    assert len(over) == len(set(over)) < 16


@pytest.mark.parametrize("unstable", [False, True])
def test_without_a_score_or_a_stable_cell_something_is_run_all_the_same(unstable):
    runs = [(rate, size, 0, np.nan, unstable) for rate in range(len(RATES)) for size in range(len(SIZES))]
    stack = Design(RATES, SIZES, EQUAL).choose(tried(runs), np.random.default_rng(0), 3)
    assert stack.turn == 1 and 1 <= len(stack.rates) <= 3
