"""This machine, as commands that train see it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.errors import ObjectiveError, SpecError

if TYPE_CHECKING:
    import torch

    from batchlaw.objectives.runtime import Runtime
    from batchlaw.spec import StudySpec


def runtime(spec: "StudySpec", device: str, threads: int, data_dir: Path | None, file: Path | None) -> "Runtime":
    """Pin the threads, choose the device and load the study's own code."""
    import torch

    from batchlaw.objectives.function import load_user_code
    from batchlaw.objectives.runtime import Runtime
    from batchlaw.train.data import default_data_dir

    torch.set_num_threads(threads)
    objective = None
    if spec.user_code is not None:
        if file is None:
            raise ObjectiveError(f"objective: {spec.user_code!r} is run only from a study file on this machine: --file")
        objective = load_user_code(spec, file.resolve().parent)
    return Runtime(device_named(device), data_dir or default_data_dir(), objective)


def device_named(name: str) -> "torch.device":
    """The device of `--device`; `auto` is the accelerator where there is one."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SpecError(f"--device: got {name!r}; must be auto, cpu or an accelerator such as cuda") from None
    if device.type != "cpu" and (accelerator is None or device.type != accelerator.type):
        raise SpecError(f"--device: got {name!r}; this machine has {accelerator.type if accelerator else 'cpu only'}")
    return device


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
