"""Which number of threads a measurement chooses, with steps whose seconds are given, and that it changes nothing."""

import pytest
import torch
from batchlaw.train.data import load_parts
from batchlaw.train.threads import Measurements, fastest_threads, free_threads

from tests.unit.train.conftest import CPU, NOWHERE, config_of, run


class Bench:
    """Measurements whose clock moves only while a step runs, by the seconds that it takes with its threads."""

    def __init__(self, seconds):
        self.now, self.seconds, self.threads = 0.0, seconds, []
        self.measurements = Measurements(lambda: self.now)

    def _step(self):
        self.threads.append(torch.get_num_threads())
        self.now += self.seconds(self.threads[-1])

    def fastest(self, most, kind="steps", size=1):
        return self.measurements.fastest(kind, size, most, lambda: self._step)


@pytest.mark.parametrize(
    ("seconds", "most", "threads"),
    [
        (lambda n: 0.001 / n, 1, 1),
        (lambda n: 0.001 / n, 8, 8),
        (lambda n: 0.001 / n, 6, 6),
        (lambda n: 0.001 / min(n, 4), 16, 4),
        (lambda n: 0.001 * n, 16, 1),  # a small network
        (lambda n: 0.001 if n == 1 else 0.00095, 2, 1),  # too little to tell from noise
        (lambda n: 0.001 if n == 1 else 0.1, 2, 1),  # beside a busy program
        (lambda n: 2.0 / n, 2, 2),
    ],
)
def test_threads_are_doubled_as_long_as_that_makes_steps_faster(seconds, most, threads):
    assert Bench(seconds).fastest(most) == threads


def test_a_measurement_is_short():
    slow = Bench(lambda n: 2.0 / n)  # as of a large network
    slow.fastest(2)
    assert slow.threads == [1, 1, 2]
    losing = Bench(lambda n: 0.001 if n == 1 else 0.1)
    losing.fastest(2)
    assert losing.threads.count(2) == 1
    quick = Bench(lambda n: 0.0001 / n)
    quick.fastest(2)
    assert len(quick.threads) <= 7 * 12


def test_it_is_made_anew_after_a_minute_and_for_every_kind():
    bench = Bench(lambda n: 0.0001 / n)
    assert [bench.fastest(2) for _ in range(3)] == [2, 2, 2]
    measured = len(bench.threads)
    bench.seconds = lambda n: 0.0001 * n
    assert bench.fastest(2) == 2 and len(bench.threads) == measured
    assert bench.fastest(2, kind="others") == 1
    bench.now += 61
    assert bench.fastest(2) == 1


def test_measuring_takes_a_twentieth_of_the_time_and_the_nearest_size_speaks_until_then():
    bench = Bench(lambda n: 1.0 / n)
    assert bench.fastest(2, size=64) == 2
    spent, bench.seconds = bench.now, lambda n: 1.0 * n
    assert (bench.fastest(2, size=128), bench.fastest(2, size=1)) == (2, 2)
    assert bench.fastest(2, kind="others") == 1  # nothing is known of these
    assert bench.now == spent
    bench.now += 20 * spent
    assert (bench.fastest(2, size=1), bench.fastest(2, size=2), bench.fastest(2, size=128)) == (1, 1, 2)


def test_a_real_measurement_changes_neither_the_scores_nor_the_threads():
    before = run(config := config_of(batch_size=2, budget={"steps": 80}))
    generator = torch.get_rng_state()
    train = load_parts(config.task, CPU, NOWHERE).train
    assert fastest_threads([config], train, 2) in (1, 2)
    assert fastest_threads([config, config_of(batch_size=2, budget={"steps": 80}, base_lr=0.01)], train, 2) in (1, 2)
    assert free_threads(2) in (1, 2)
    assert torch.get_num_threads() == 1 and torch.equal(torch.get_rng_state(), generator)
    assert run(config).replicates == before.replicates


def test_a_run_too_short_to_time_has_one():
    config = config_of(batch_size=2, budget={"steps": 63})
    assert fastest_threads([config], load_parts(config.task, CPU, NOWHERE).train, 16) == 1
