"""How many runs train fastest as one network: measured, once for each shape of work."""

import time
from collections.abc import Hashable, Sequence
from math import ceil, inf

import torch

from batchlaw.errors import DeviceMemoryError
from batchlaw.recipe.schedule import Schedule, schedule_of
from batchlaw.spec import TrainConfig
from batchlaw.train import networks
from batchlaw.train.data import Examples
from batchlaw.train.parallel_runs import ParallelRuns

_STEPS = 12  # of a timed stretch at most; three of them, the fastest counts
_SHARE = 8  # and at most this part of the run, so that a measurement costs no more than half of one
_FASTEST: dict[Hashable, int] = {}

_OF_THE_LR = ("base_lr", "peak_lr", "lr_per_example", "noise_scale")


def can_stack(configs: Sequence[TrainConfig]) -> bool:
    """Whether the runs of some configurations have a stacked form: they differ in the learning rate alone."""
    first = configs[0]
    same = first.model_dump(exclude=set(_OF_THE_LR))
    return (
        first.task is not None
        and networks.can_stack(first.task)
        and all(config.model_dump(exclude=set(_OF_THE_LR)) == same for config in configs[1:])
    )


def stack_size(configs: Sequence[TrainConfig], train: Examples, schedule: Schedule) -> int:
    """How many runs train fastest as one network: 1, the seeds of a configuration, those of a third of them, or all.

    Times a few steps of each size in turn, on throw-away networks, from the smallest on until a larger one is no longer
    faster; a run too short to time trains by itself. For configurations of which `can_stack` holds.
    """
    config, n_seeds = configs[0], len(configs[0].seeds)
    steps = min(_STEPS, schedule.steps // _SHARE)
    if steps == 0:
        return 1
    key = (train.images.device, torch.get_num_threads(), config.task, config.optimizer, config.batch_size, n_seeds,
           len(configs))  # fmt: skip
    if key not in _FASTEST:
        best, fastest = 1, inf
        for size in sorted({1, *(n * n_seeds for n in (1, ceil(len(configs) / 3), len(configs)))}):
            try:
                seconds = seconds_a_step(stack_of(configs, size, train, schedule), steps) / size
            except (torch.OutOfMemoryError, DeviceMemoryError):
                break
            if seconds >= fastest:
                break
            best, fastest = size, seconds
        _FASTEST[key] = best
    return _FASTEST[key]


def configs_together(configs: Sequence[TrainConfig], train: Examples) -> int:
    """How many of some configurations train fastest as one network; 1 where they cannot."""
    if not can_stack(configs):
        return 1
    return max(stack_size(configs, train, schedule_of(configs[0])) // len(configs[0].seeds), 1)


def stack_of(configs: Sequence[TrainConfig], size: int, train: Examples, schedule: Schedule) -> ParallelRuns:
    """The first `size` runs of some configurations, which are one or whole configurations, as a stack."""
    config = configs[0]
    assert config.task is not None
    peak_lrs = tuple(each.peak_lr for each in configs[: ceil(size / len(config.seeds))])
    return ParallelRuns(config, config.task, config.seeds[:size], schedule, train, peak_lrs)


def seconds_a_step(stack: ParallelRuns, steps: int) -> float:
    """Of the first `steps` steps: a warm-up, then the fastest of three stretches. Spoils the stack for training."""
    stack.advance(0, steps)
    stretches = []
    for _ in range(3):
        began = time.perf_counter()
        stack.advance(0, steps)
        stack.loss_sum.tolist()  # waits for the device
        stretches.append(time.perf_counter() - began)
    return min(stretches) / steps
