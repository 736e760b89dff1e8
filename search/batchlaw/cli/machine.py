"""This machine, as commands that train see it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.errors import ObjectiveError

if TYPE_CHECKING:
    from batchlaw.objectives.runtime import Runtime
    from batchlaw.spec import StudySpec


def runtime(spec: "StudySpec", device: str, threads: int, data_dir: Path | None, file: Path | None) -> "Runtime":
    """Pin the threads, choose the device and load the study's own code."""
    import torch

    from batchlaw.objectives.function import load_user_code
    from batchlaw.objectives.runtime import Runtime
    from batchlaw.train.data import default_data_dir
    from batchlaw.train.device import device_named

    torch.set_num_threads(threads)
    objective = None
    if spec.user_code is not None:
        if file is None:
            raise ObjectiveError(f"objective: {spec.user_code!r} is run only from a study file on this machine: --file")
        objective = load_user_code(spec, file.resolve().parent)
    return Runtime(device_named(device), data_dir or default_data_dir(), objective)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
