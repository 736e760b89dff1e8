"""Seconds a step against batch size, measured on this machine with the training step of trials."""

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from math import inf, log2
from pathlib import Path

import numpy as np
import torch

from batchlaw.errors import DeviceMemoryError, WorkFailed
from batchlaw.measure.shared_steps import shared_rows
from batchlaw.objectives.runtime import Runtime, versions
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.schedule import schedule_of
from batchlaw.results.step_time import Largest, Profile, Row
from batchlaw.spec import Budget, IntRange, Space, StudySpec, Task, TrainConfig, extremes, levels_of
from batchlaw.spec.families import OptimizerFamily
from batchlaw.spec.knobs import Point
from batchlaw.train import device_name, memory
from batchlaw.train.data import load_parts
from batchlaw.train.examples import Examples
from batchlaw.train.parallel_runs import ParallelRuns

STRETCHES = 7  # timed stretches of steps at each batch size; enough for quartiles (assumption)
_LONG = 1000  # steps of a run in which measuring its threads pays
_WARMUP = 3  # untimed steps before every stretch, in which a new network allocates gradients and optimizer state

Tick = Callable[[int, int], None]  # called with the stretches done and their total number


def batch_sizes_of(space: Space) -> list[int]:
    """The batch sizes to measure, ascending: all choices, or the powers of two within a range.

    A range without a power of two gives its two ends.
    """
    dimension = space.batch_size
    if not isinstance(dimension, IntRange):
        return sorted(levels_of(dimension))
    powers = (2**exponent for exponent in range(int(log2(dimension.high)) + 1))
    return [power for power in powers if power >= dimension.low] or [dimension.low, dimension.high]


def profile_of(
    spec: StudySpec,
    runtime: Runtime,
    *,
    families: tuple[OptimizerFamily, ...] | None = None,
    seconds: float = 1.0,
    devices: Sequence[int] = (),
    tick: Tick = lambda done, total: None,
) -> Profile:
    """Time steps of every batch size with every optimizer of the space, one replicate at a time.

    Args:
        spec: a study of a built-in task.
        runtime: where to measure, each batch size with the CPU threads that a worker would take.
        families: the optimizers; None takes those of the space.
        seconds: of timed steps for each batch size and optimizer, about; a stretch is at least one step.
        devices: further numbers of devices that share every batch, 2 or more each; batch sizes that they cannot share
            equally are left out.
        tick: called after every stretch.

    Raises:
        DataError: the data set is missing.
        WorkFailed: not even one example at a time fits on the device, or the processes of several devices failed.
    """
    assert spec.task is not None
    train = load_parts(spec.task, runtime.torch_device, runtime.data_dir).train
    bench = Bench(spec, spec.task, train, runtime)
    sizes = batch_sizes_of(spec.trial_space)
    rows: list[Row] = []
    families = families or extremes(spec.space.optimizer)
    shared = {n: [size for size in sizes if size % n == 0] for n in sorted(set(devices))}
    total = len(families) * (len(sizes) + sum(map(len, shared.values()))) * (STRETCHES + 1)
    done = count(1)

    def told() -> None:
        tick(next(done), total)

    try:
        for family in families:
            rows += timed_rows(bench, family, sizes, seconds / STRETCHES, told)
        largest = _largest(bench, rows)
    except (DeviceMemoryError, torch.OutOfMemoryError) as error:
        raise WorkFailed(f"{spec.task.model} on {runtime.device}: {error}") from None
    for n, parts in shared.items():
        rows += shared_rows(spec, runtime, n, families, parts, seconds / STRETCHES, told)
    return Profile(
        study=spec.name,
        device=_device(runtime.torch_device),
        threads=max(row.threads or 1 for row in rows),
        precision=spec.task.precision,
        replicates=1,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        rows=tuple(rows),
        largest=largest,
    )


@dataclass(frozen=True)
class Bench:
    """The study and data that all measurements share."""

    spec: StudySpec
    task: Task
    train: Examples
    runtime: Runtime
    devices: int = 1  # that share every batch

    @property
    def device(self) -> torch.device:
        """That this process trains on."""
        return self.train.inputs.device

    def config(self, family: OptimizerFamily, batch_size: int, steps: int) -> TrainConfig:
        """A configuration of the study that trains for so many steps.

        It trains at the lowest learning rate, so that it stays near its initialization, and with the largest momentum
        and weight decay, which take the most time.
        """
        space = self.spec.space.model_copy(update={"warmup": "fraction"})
        spec = self.spec.model_copy(update={"budget": Budget(steps=steps), "space": space})
        point = Point(
            batch_size=batch_size,
            base_lr=min(extremes(space.base_lr)),
            optimizer=family,
            momentum=max(extremes(space.momentum)),
            weight_decay=max(extremes(space.weight_decay)),
        )
        return derive(spec, point, run_seeds(spec.arm.seed, 1))

    def threads(self, family: OptimizerFamily, batch_size: int) -> int:
        """The CPU threads that a worker would take for a long run."""
        return self.runtime.choose_threads([self.config(family, batch_size // self.devices, _LONG)])

    def stack(self, family: OptimizerFamily, batch_size: int, steps: int) -> ParallelRuns:
        """A new network of the study, to train for so many steps on this device's share of every batch."""
        config = self.config(family, batch_size // self.devices, steps)
        return ParallelRuns(config, self.task, config.seeds, schedule_of(config), self.train)

    def seconds_a_step(self, stack: ParallelRuns, steps: int) -> float:
        """Seconds a step of one stretch, after untimed steps."""
        stack.advance(0, min(_WARMUP, steps))
        stack.loss_sum.tolist()  # waits for the device
        began = time.perf_counter()
        stack.advance(0, steps)
        stack.loss_sum.tolist()
        return (time.perf_counter() - began) / steps


def timed_rows(
    bench: Bench, family: OptimizerFamily, sizes: list[int], stretch: float, tick: Callable[[], None]
) -> list[Row]:
    """Measure all batch sizes with one optimizer, in stretches of about `stretch` seconds.

    Rounds go through the batch sizes upwards and downwards in turn, so that a machine that slows down does not look
    like a trend over batch sizes.
    """
    steps, micro_batch_sizes, peaks, threads = {}, {}, {}, {}
    for size in sizes:
        threads[size] = bench.threads(family, size)
        bench.runtime.threads.use(threads[size])
        memory.reset_peak(bench.device)
        steps[size], micro_batch_sizes[size] = _calibrate(bench, family, size, stretch)
        peaks[size] = None if bench.device.type == "cpu" else memory.peak_bytes(bench.device)
        tick()
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for round_ in range(STRETCHES):
        for size in sizes[:: -1 if round_ % 2 else 1]:
            bench.runtime.threads.use(threads[size])
            times[size].append(bench.seconds_a_step(bench.stack(family, size, steps[size]), steps[size]))
            tick()
    return [
        Row(
            optimizer=family,
            batch_size=size,
            seconds_a_step=float(np.median(times[size])),
            iqr_seconds=float(np.subtract(*np.percentile(times[size], [75, 25]))),
            micro_batch_size=micro_batch_sizes[size],
            peak_memory_bytes=peaks[size],
            threads=threads[size],
            devices=bench.devices,
        )
        for size in sizes
    ]


def _calibrate(bench: Bench, family: OptimizerFamily, size: int, stretch: float) -> tuple[int, int]:
    """The number of steps that take about `stretch` seconds, and the examples that fit into memory at once."""
    steps = 1
    while True:
        stack = bench.stack(family, size, steps)
        seconds = bench.seconds_a_step(stack, steps)
        if steps * seconds >= stretch / 4:
            return max(1, round(stretch / seconds)), min(size // bench.devices, stack.micro_batch_size)
        steps *= 4


def _largest(bench: Bench, rows: list[Row]) -> Largest:
    """Double the batch until memory or the training size ends it, with the optimizer that takes the most memory."""
    largest_state = max(rows, key=lambda row: row.peak_memory_bytes or 0).optimizer
    fitting = max(row.micro_batch_size for row in rows)
    limit = bench.task.micro_batch_size or inf
    refused = [row.batch_size for row in rows if row.micro_batch_size < min(row.batch_size, limit)]
    if refused:
        return Largest(fitting, "out of memory", min(refused))
    whole = Bench(bench.spec, bench.task.model_copy(update={"micro_batch_size": None}), bench.train, bench.runtime)
    while fitting < len(bench.train):
        if not _has_room(bench.device):
            return Largest(fitting, "free memory")
        size = min(2 * fitting, len(bench.train))
        try:
            stack = whole.stack(largest_state, size, 2)  # in the second step the optimizer's state is allocated as well
            whole.seconds_a_step(stack, 2)
        except torch.OutOfMemoryError:  # the images of the batch alone do not fit
            return Largest(fitting, "out of memory", size)
        if stack.micro_batch_size < size:
            return Largest(max(fitting, stack.micro_batch_size), "out of memory", size)
        fitting = size
    return Largest(fitting, "training size")


def _has_room(device: torch.device) -> bool:
    """Whether twice the last batch may be tried.

    An accelerator raises if it does not fit. On a CPU the process would be killed, so its memory must fit twice into
    what is free: twice the batch takes at most twice the memory.
    """
    return device.type != "cpu" or memory.peak_bytes(device) <= _free_bytes()


def _free_bytes() -> float:
    """Memory of the machine or of its container, whichever is less, that is free or only caches files; 0 if unknown.

    Files that were read fill a machine's memory within hours, and give it back at once (`free` calls it available).
    """
    try:
        machine = _counts(Path("/proc/meminfo"))["MemAvailable:"] * 1024
    except (OSError, KeyError):  # not Linux
        return 0
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError, KeyError):  # there is no such group, or its limit is "max"
        used = int((group / "memory.current").read_text()) - _counts(group / "memory.stat")["inactive_file"]
        return min(machine, int((group / "memory.max").read_text()) - used)
    return machine


def _counts(file: Path) -> dict[str, int]:
    """The lines of a file of the kernel, each a name and a number."""
    return {line.split()[0]: int(line.split()[1]) for line in file.read_text().splitlines()}


def _device(device: torch.device) -> str:
    """The name of the accelerator, or `cpu` with the model name of the processor."""
    if device.type != "cpu":
        return device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return f"cpu ({name})"
