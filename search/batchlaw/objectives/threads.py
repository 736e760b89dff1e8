"""How many CPU threads the trainings of this process take: as many as make them faster, within its share."""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.cores import Machine, cores
from batchlaw.objectives.machine_device import MachineDevice
from batchlaw.spec import TrainConfig

if TYPE_CHECKING:
    import torch

_in_use = 1  # where PyTorch is not loaded, which keeps the number itself


def threads_in_use() -> int:
    """The threads with which this process trains."""
    torch = sys.modules.get("torch")
    return _in_use if torch is None else int(torch.get_num_threads())


def _use(number: int) -> None:
    global _in_use
    _in_use = number
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(number)


def _of_itself() -> int:
    """What PyTorch has of itself, or would have."""
    torch = sys.modules.get("torch")
    return cores() if torch is None else int(torch.get_num_threads())


@dataclass
class Threads:
    """The threads of the trainings of this process, one after the other.

    Attributes:
        given: the number that the user chose; None measures.
        others: the PIDs of the other workers on this machine, among whom the cores are divided.
        at_most: what PyTorch has of itself, or what the user's own code has set.
        now: the number in use.
    """

    given: int | None = field(default_factory=lambda: Machine().given_threads())
    others: Callable[[], Collection[int]] = frozenset
    at_most: int = field(default_factory=_of_itself)
    now: int = 1

    def choose(self, configs: Sequence[TrainConfig], device: "torch.device | MachineDevice", data_dir: Path) -> int:
        """The number for a training that starts now, before that number is in use.

        The steps of a built-in task are timed. Code of the user's own, whose steps cannot be timed beforehand, gets the
        whole share, as PyTorch would take it, as far as these cores are free.

        Args:
            configs: that train together.
            device: to train on.
            data_dir: with the data sets.
        """
        if self.given is not None:
            return self.given
        share = self._share()
        if share == 1:
            return 1
        from batchlaw.train.data import load_parts  # PyTorch: the only need of it where others' code trains
        from batchlaw.train.threads import fastest_threads, free_threads

        task = configs[0].task
        if task is None:
            threads = free_threads(share)
        elif not isinstance(device, MachineDevice) and device.type == "cpu":
            threads = fastest_threads(configs, load_parts(task, device, data_dir).train, share)
        else:
            threads = 1
        return threads if threads == 1 else min(threads, self._share())  # others may have started in the meantime

    def use(self, number: int) -> None:
        """Train with this number from now on. Programs inherit it."""
        _use(number)
        self.now = number

    def give_back(self) -> None:
        """Let PyTorch have as many threads as it had."""
        _use(self.at_most)

    def _share(self) -> int:
        machine = Machine()
        most = min(self.at_most, machine.cores())
        return most if most == 1 else min(most, machine.share(self.others()))  # 1 asks no database
