"""How many CPU threads the trainings of this process take: as many as make them faster, within its share."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from batchlaw.cores import Machine
from batchlaw.spec import TrainConfig
from batchlaw.train.data import load_parts
from batchlaw.train.threads import fastest_threads, free_threads


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
    at_most: int = field(default_factory=torch.get_num_threads)
    now: int = 1

    def choose(self, configs: Sequence[TrainConfig], device: torch.device, data_dir: Path) -> int:
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
        task = configs[0].task
        if task is None:
            threads = free_threads(share)
        elif device.type == "cpu":
            threads = fastest_threads(configs, load_parts(task, device, data_dir).train, share)
        else:
            threads = 1
        return threads if threads == 1 else min(threads, self._share())  # others may have started in the meantime

    def use(self, number: int) -> None:
        """Train with this number from now on. Programs inherit it."""
        torch.set_num_threads(number)
        self.now = number

    def give_back(self) -> None:
        """Let PyTorch have as many threads as it had."""
        torch.set_num_threads(self.at_most)

    def _share(self) -> int:
        machine = Machine()
        most = min(self.at_most, machine.cores())
        return most if most == 1 else min(most, machine.share(self.others()))  # 1 asks no database
