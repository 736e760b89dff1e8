"""Seconds a step where several devices share every batch: torchrun starts a process for each of them."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from batchlaw.cores import cores
from batchlaw.errors import BatchlawError, WorkFailed
from batchlaw.objectives.output import Output
from batchlaw.objectives.program_run import reason_of
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.starter import Starter, search_path
from batchlaw.results.step_time import Row
from batchlaw.spec import StudySpec
from batchlaw.spec.families import OptimizerFamily


def check_devices(devices: Sequence[int], device: torch.device) -> None:
    """Make sure that this machine has so many devices.

    Raises:
        BatchlawError: it has fewer, or one device is asked for, which is always measured.
    """
    cpu = device.type == "cpu"
    has = cores() if cpu else torch.accelerator.device_count()
    for n in devices:
        if not 2 <= n <= has:
            kind = "cores" if cpu else f"{device.type} devices"
            raise BatchlawError(f"must be 2 or more; this machine has {has} {kind}", argument="devices", got=n)


def shared_rows(
    spec: StudySpec,
    runtime: Runtime,
    devices: int,
    families: Sequence[OptimizerFamily],
    sizes: Sequence[int],
    stretch: float,
    tick: Callable[[], None],
) -> list[Row]:
    """Time the steps of batches that several devices share.

    Each process has its share of the batch, of the cores and, on accelerators, a device. Gradients are averaged over
    all processes after each backward pass. DistributedDataParallel does this during the backward pass, so that the
    times are upper bounds of its own.

    Args:
        spec: a study of a built-in task.
        runtime: where to measure, on devices of the same kind.
        devices: how many, 2 or more.
        families: the optimizers.
        sizes: of the batches, multiples of `devices`.
        stretch: seconds of timed steps; see `profile_of`.
        tick: called after every stretch.

    Raises:
        WorkFailed: a process failed.
    """
    if not sizes:
        return []
    rows: list[Row] = []

    def hear(line: str) -> None:
        with contextlib.suppress(ValueError):  # a warning of a library
            told = json.loads(line)
            if told == "tick":
                tick()
            elif isinstance(told, dict) and "seconds_a_step" in told:
                rows.append(Row(**told))

    threads = max(1, min(cores() // devices, runtime.threads.given or cores()))
    request = {
        "spec": spec.model_dump_json(), "device": runtime.device.type, "data_dir": str(runtime.data_dir),
        "families": list(families), "sizes": list(sizes), "stretch": stretch,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Starter(Path(folder))) as starter:
        Path(folder, "request.json").write_text(json.dumps(request), encoding="utf-8")
        launcher = ["-P", "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
        arguments = [sys.executable, *launcher, "-m", "batchlaw.measure.shared_rank", "request.json"]
        environment = {"PATH": search_path(), "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        process, output = starter.start(arguments, {**os.environ, **environment}), Output(hear)
        try:
            code = output.follow(process)
        finally:
            starter.end(process)
    if code != 0:
        raise WorkFailed(f"{devices} devices: exit code {code}: {reason_of(output)}")
    return rows
