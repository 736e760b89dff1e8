"""How many CPU threads make training faster, measured on networks that are thrown away.

One timing takes 10 ms or one step, whichever is longer; a comparison of two numbers of threads takes at most three
timings of each, and one if the larger number clearly loses. A process spends at most 1/20 of its time on this.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from math import inf, log

import torch

from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig
from batchlaw.train.examples import Examples
from batchlaw.train.stacking import can_stack, stack_of, stack_size

_STEPS, _SECONDS = 12, 0.01  # of one timing at most; at least one step
_ROUNDS = 3
_GAIN = 1.1  # threads are doubled if that makes the steps so much faster
_LOSS = 1.4  # one round is enough if it makes them so much slower, as beside a busy program
_SURE_SECONDS = 0.1  # a timing this long needs no repetition: it is longer than the system's time slices
_FEWEST_STEPS = 64  # of a run: a measurement takes 2 to 8 of them where steps are slow
_VALID_SECONDS = 60.0  # other programs come and go
_SHARE, _START_SECONDS = 1 / 20, 0.25  # of a process's time for measuring, and what it may spend at once

Step = Callable[[], object]


class Measurements:
    """What a process has measured, and what that cost.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._began, self._spent = clock, clock(), 0.0
        self._found: dict[Hashable, dict[float, tuple[float, int]]] = {}  # by kind and size: when, and the threads

    def fastest(self, kind: Hashable, size: float, most: int, step: Callable[[], Step]) -> int:
        """The number of threads with which steps of a kind are fastest.

        Where it is too early to measure again, it is the number of the nearest size, or 1.

        Args:
            kind: of the steps.
            size: of a step, in examples.
            most: the largest number of threads.
            step: makes the step to be timed.
        """
        known, now = self._found.setdefault((kind, most), {}), self._clock()
        fresh = size in known and now - known[size][0] < _VALID_SECONDS
        if not fresh and self._spent <= _SHARE * (now - self._began) + _START_SECONDS:
            before = torch.get_num_threads()
            try:
                known[size] = now, self._doubled(step(), most)
            finally:
                torch.set_num_threads(before)
            self._spent += self._clock() - now
        nearest = min(known, key=lambda other: abs(log(other / size)), default=None)
        return 1 if nearest is None else known[nearest][1]

    def _doubled(self, step: Step, most: int) -> int:
        """Double the threads from 1 as long as that pays."""
        best = 1
        self._seconds_a_step(step, best)  # allocates what later steps use again
        while best < most and self._pays(step, best, min(2 * best, most)):
            best = min(2 * best, most)
        return best

    def _pays(self, step: Step, few: int, many: int) -> bool:
        """Whether more threads are clearly faster: their slowest timing against the fastest of fewer, in turn."""
        fastest, slowest = inf, 0.0
        for _ in range(_ROUNDS):
            fastest = min(fastest, self._seconds_a_step(step, few))
            latest = self._seconds_a_step(step, many)
            slowest = max(slowest, latest)
            if slowest > _LOSS * fastest or latest > _SURE_SECONDS:
                break
        return fastest > _GAIN * slowest

    def _seconds_a_step(self, step: Step, threads: int) -> float:
        torch.set_num_threads(threads)
        n, began = 0, self._clock()
        while True:
            step()
            n, seconds = n + 1, self._clock() - began
            if n == _STEPS or seconds > _SECONDS:
                return seconds / n


_measurements = Measurements()


def fastest_threads(configs: Sequence[TrainConfig], train: Examples, most: int) -> int:
    """The number of threads, at most `most`, with which configurations that train together train fastest.

    It is 1 on an accelerator and for runs too short to time.

    Args:
        configs: one, or several that differ in the learning rate only.
        train: the training examples.
        most: the largest number.
    """
    config, schedule = configs[0], schedule_of(configs[0])
    if most == 1 or train.inputs.device.type != "cpu" or schedule.steps < _FEWEST_STEPS:
        return 1
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        size = 1
        if can_stack(configs):
            n = len(configs)
            size = n * len(config.seeds) if n > 1 else stack_size(configs, train, schedule)

        def step() -> Step:
            stack = stack_of(configs, size, train, schedule)
            return lambda: stack.advance(0, 1)

        kind = (config.task, config.optimizer, size > 1)
        return _measurements.fastest(kind, size * config.batch_size, most, step)
    finally:
        torch.set_num_threads(before)


def free_threads(most: int) -> int:
    """The number of threads, at most `most`, with which a product of matrices is fastest.

    It is for code whose steps cannot be timed beforehand, and tells how many cores are free.
    """

    def step() -> Step:
        matrix = torch.zeros(384, 384)
        return lambda: matrix @ matrix

    return 1 if most == 1 else _measurements.fastest("product", 1, most, step)
