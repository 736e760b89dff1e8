"""Branches with larger batches: planted critical batch sizes, divergence, and trunks that no longer learn."""

import numpy as np
import pytest
from batchlaw.stats.branching import Branches

SIZES = 8.0 * 2.0 ** np.arange(7)


def branches(critical, *, noise=0.02, seeds=5, progress=0.5, seed=0):
    generator = np.random.default_rng(seed)
    share = (1 + SIZES[0] / critical) / (1 + SIZES / critical)
    start = np.exp(generator.normal(scale=0.05, size=seeds))
    gained = progress * share[:, None] + noise * progress * generator.normal(size=(len(SIZES), seeds))
    return Branches(SIZES, start, start * np.exp(-gained))


@pytest.mark.parametrize("critical", [30, 100, 300])
def test_a_planted_critical_batch_size_lies_in_its_interval(critical):
    found = branches(critical).critical()
    assert found.low < critical < found.high and found.high / found.low < 2
    # Where a fifth of the progress is lost: (1 + B₀/B_crit) / (1 + B/B_crit) = .8
    fifth = 1.25 * SIZES[0] + 0.25 * critical
    told = branches(critical).largest_not_worse(0.2)
    assert told.value == max(size for size in SIZES if size <= fifth * 1.1)
    assert told.low <= fifth <= told.high


def test_the_tolerance_moves_the_largest_batch_size_that_is_not_worse():
    found = branches(100)
    values = [found.largest_not_worse(tolerance).value for tolerance in (0.05, 0.2, 0.5)]
    assert values == sorted(values) and values[0] < values[-1]


def test_few_noisy_seeds_leave_a_wide_interval():
    narrow, wide = branches(100).largest_not_worse(0.2), branches(100, noise=0.3, seeds=3).largest_not_worse(0.2)
    assert (wide.high or np.inf) / wide.low > narrow.high / narrow.low


def test_a_branch_that_diverges_ends_the_interval():
    found = branches(1e5)
    end = found.end.copy()
    end[3:] = np.inf
    cut = Branches(SIZES, found.start, end).largest_not_worse(0.2)
    assert (cut.value, cut.low, cut.high) == (SIZES[2], SIZES[2], SIZES[3])
    assert found.largest_not_worse(0.2).high is None


def test_without_progress_nothing_is_told_of_the_hyperbola():
    found = branches(100)
    still = Branches(SIZES, found.start, np.tile(found.start, (len(SIZES), 1)) * 1.01)
    assert still.critical().value is None and str(still.critical()) == "not determined"
