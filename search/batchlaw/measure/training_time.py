"""How long configurations of a built-in task take to train on this machine, from a few measured steps."""

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch

from batchlaw.objectives.own_optimizers import load_optimizers
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.train.data import load_parts
from batchlaw.train.stacking import can_stack, seconds_a_step, stack_of, stack_size

Stacks = Sequence[Sequence[TrainConfig]]


def seconds_together(spec: StudySpec, runtime: Runtime, workers: int, stacks: Stacks, *, times: float = 1.0) -> float:
    """Seconds until so many workers have trained all configurations, their start included.

    All workers measure at the same time, since they slow each other down.

    Args:
        spec: the study, of a built-in task.
        runtime: where to train.
        workers: processes of this machine.
        stacks: each configuration, followed by those that may train together with it.
        times: how often all are trained.
    """
    began = time.time()
    places = (runtime.torch_device, runtime.data_dir, runtime.code_folder)
    options = (spec, places, runtime.threads.given or 1, began, stacks)
    with _isolated(), ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        measured = [pool.submit(_seconds, *options) for _ in range(workers)]
        seconds = [future.result() for future in measured]
    return max(starting for starting, _ in seconds) + times * sum(training for _, training in seconds) / workers**2


@contextmanager
def _isolated() -> Iterator[None]:
    """Keep processes that start in this context from importing modules of the working folder."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _seconds(
    spec: StudySpec, places: tuple[torch.device, Path, Path | None], threads: int, began: float, stacks: Stacks
) -> tuple[float, float]:
    """Seconds until this process had started, and of training all configurations one after the other."""
    assert spec.task is not None
    device, data_dir, code_folder = places
    torch.set_num_threads(threads)
    if code_folder is not None:
        load_optimizers(spec, code_folder)
    train = load_parts(spec.task, device, data_dir).train
    starting = time.time() - began
    runs_a_second: dict[tuple[int, str], float] = {}  # steps of single runs in a second
    total = 0.0
    for together in stacks:
        config = together[0]
        key = (config.batch_size, config.optimizer)
        if key not in runs_a_second:
            schedule = schedule_of(config)
            size = stack_size(together, train, schedule) if can_stack(together) else 1
            stack = stack_of(together, size, train, schedule)
            runs_a_second[key] = size / seconds_a_step(stack, min(12, schedule.steps))
        total += config.steps * len(config.seeds) / runs_a_second[key]
    return starting, total
