"""Whether replicates train faster as one stacked network: measured, once for each shape of work."""

import time
from collections.abc import Hashable

import torch

from search.schedule import Schedule
from search.spec import Task, TrainConfig
from search.train.data import Examples
from search.train.lane import Lane

_STEPS = 12  # a timed stretch; three of them, the fastest counts
_PAYS: dict[Hashable, bool] = {}


def can_stack(config: TrainConfig, task: Task) -> bool:
    """Whether replicates have a stacked form: perceptrons do, unless augmented, which each is by itself."""
    return len(config.seeds) > 1 and task.model == "mlp" and not task.augment


def stacking_pays(config: TrainConfig, task: Task, train: Examples, schedule: Schedule) -> bool:
    """Time a few steps of all replicates stacked against the same steps in turn, on throw-away networks.

    A run too short to time trains in turn.
    """
    if schedule.steps < 2 * _STEPS:
        return False
    n = len(config.seeds)
    key = (train.images.device, torch.get_num_threads(), task, config.optimizer, config.batch_size, n)
    if key not in _PAYS:
        stacked = seconds_a_step(Lane(config, task, config.seeds, schedule, train), _STEPS)
        single = seconds_a_step(Lane(config, task, config.seeds[:1], schedule, train), _STEPS)
        _PAYS[key] = stacked < n * single
    return _PAYS[key]


def seconds_a_step(lane: Lane, steps: int) -> float:
    """Of the first `steps` steps: a warm-up, then the fastest of three stretches. Spoils the lane for training."""
    lane.advance(0, steps)
    stretches = []
    for _ in range(3):
        began = time.perf_counter()
        lane.advance(0, steps)
        lane.loss_sum.tolist()  # waits for the device
        stretches.append(time.perf_counter() - began)
    return min(stretches) / steps
