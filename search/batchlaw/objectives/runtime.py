"""Where and how this process trains, and with which versions."""

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from batchlaw import __version__
from batchlaw.interrupts import Interrupts
from batchlaw.objectives.folders import default_runs_dir
from batchlaw.objectives.machine_device import MachineDevice
from batchlaw.objectives.program import Command
from batchlaw.objectives.ranks import Ranks
from batchlaw.objectives.threads import Threads
from batchlaw.objectives.trial import TrainFunction
from batchlaw.spec import TrainConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Runtime:
    """Where and how this process trains."""

    device: "torch.device | MachineDevice"  # the second where PyTorch need not be loaded, as by code of the user's own
    data_dir: Path
    objective: TrainFunction | None = None  # the user's function or program, from a file on this machine
    interrupts: Interrupts = field(default_factory=Interrupts)
    test: bool = False  # score the test data as well, which only the verification of a winner does
    checkpoint_dir: Path | None = None  # of interrupted built-in runs; None keeps no checkpoints
    checkpoint_seconds: float = 10.0  # of training, at least, between two checkpoints on the disk
    threads: Threads = field(default_factory=Threads)
    runs_dir: Path = field(default_factory=default_runs_dir)  # where `Trial.run_dir` of a training function lies
    reopen: Callable[[], None] = lambda: None  # what this process holds open, after a function has closed it
    code_hash: Callable[[], str | None] = lambda: None  # of the user's code, if it lies in files
    code_folder: Path | None = None  # of the study file, where other processes find the user's code

    @property
    def device_name(self) -> str:
        """The type of the device, for CUDA with the name of the product."""
        if isinstance(self.device, MachineDevice):
            return self.device.name
        from batchlaw.train import device_name

        return device_name(self.device)

    @property
    def torch_device(self) -> "torch.device":
        """The device of a process that trains built-in tasks."""
        assert not isinstance(self.device, MachineDevice)
        return self.device

    def choose_threads(self, configs: Sequence[TrainConfig]) -> int:
        """The number of CPU threads for configurations that train together from now on; see `Threads.choose`."""
        return self.threads.choose(configs, self.device, self.data_dir)

    def close(self) -> None:
        """End what programs keep running between trials; a further trial starts it again."""
        if isinstance(self.objective, Command | Ranks):
            self.objective.close()


@cache
def versions() -> dict[str, str]:
    """The packages that a trial is computed with."""
    return {
        "batchlaw": __version__,
        "python": platform.python_version(),
        "torch": sys.modules["torch"].__version__ if "torch" in sys.modules else version("torch"),
        "torchvision": version("torchvision"),
        "optuna": optuna.__version__,
    }
