"""How many runs train fastest as one network, measured once for each kind of run in a process."""

import time
from collections.abc import Hashable, Sequence
from math import ceil, inf

import torch

from batchlaw.errors import DeviceMemoryError
from batchlaw.recipe.schedule import Schedule, schedule_of
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.train import networks
from batchlaw.train.examples import Examples
from batchlaw.train.parallel_runs import ParallelRuns

_STEPS = 12  # of one timing at most; the fastest of three timings counts
_SHARE = 8  # a timing takes at most 1/8 of a run's steps, so that with its warm-up a measurement takes at most half
_FASTEST: dict[Hashable, int] = {}

_LR_FIELDS = ("base_lr", "peak_lr", "lr_per_example", "noise_scale")


def can_stack(configs: Sequence[TrainConfig]) -> bool:
    """Whether the runs of configurations can train as one network: they differ in the learning rate only.

    The optimizer must allow it, too.
    """
    first = configs[0]
    stacks = FAMILIES[first.optimizer].stacks
    if stacks == "nothing" or (stacks == "seeds" and len(configs) > 1):
        return False
    same = first.model_dump(exclude=set(_LR_FIELDS))
    return (
        first.task is not None
        and networks.can_stack(first.task)
        and all(config.model_dump(exclude=set(_LR_FIELDS)) == same for config in configs[1:])
    )


def stack_size(configs: Sequence[TrainConfig], train: Examples, schedule: Schedule) -> int:
    """How many runs train fastest as one network: 1, all seeds of one configuration, of a third of them, or of all.

    A few steps of each size are timed on networks that are thrown away, from the smallest size until a larger one is no
    longer faster. The result is 1 for runs that are too short to time.

    Args:
        configs: `can_stack` is true for them.
        train: the training examples.
        schedule: of the configurations.
    """
    config, n_seeds = configs[0], len(configs[0].seeds)
    steps = min(_STEPS, schedule.steps // _SHARE)
    if steps == 0:
        return 1
    key = (train.inputs.device, torch.get_num_threads(), config.task, config.optimizer, config.batch_size, n_seeds,
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
    """How many of the configurations train fastest as one network; 1 if they cannot be stacked."""
    if not can_stack(configs):
        return 1
    return max(stack_size(configs, train, schedule_of(configs[0])) // len(configs[0].seeds), 1)


def stack_of(configs: Sequence[TrainConfig], size: int, train: Examples, schedule: Schedule) -> ParallelRuns:
    """The first `size` runs of the configurations as one network: seeds of the first, or all seeds of several."""
    config = configs[0]
    assert config.task is not None
    peak_lrs = tuple(each.peak_lr for each in configs[: ceil(size / len(config.seeds))])
    return ParallelRuns(config, config.task, config.seeds[:size], schedule, train, peak_lrs)


def seconds_a_step(stack: ParallelRuns, steps: int) -> float:
    """Seconds for each of the first `steps` steps: the fastest of three timings after a warm-up.

    The stack cannot be used for training afterwards.
    """
    stack.advance(0, steps)
    timings = []
    for _ in range(3):
        began = time.perf_counter()
        stack.advance(0, steps)
        stack.loss_sum.tolist()  # waits for the device
        timings.append(time.perf_counter() - began)
    return min(timings) / steps
