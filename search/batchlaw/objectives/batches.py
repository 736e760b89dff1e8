"""The batches of a whole run, for the loader of a training function."""

from collections.abc import Iterator
from itertools import chain, count, islice

import torch
from torch import distributed
from torch.utils.data import Sampler

from batchlaw.errors import ObjectiveError
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig


class Batches(Sampler[list[int]]):
    """The parts of every batch of a run that this process computes, from shuffled passes joined end to end.

    No batch is smaller at the end of a pass, and none is filled with examples that were seen already. Several processes
    (`torch.distributed`) draw the same batches and take equal shares of each.
    """

    def __init__(self, config: TrainConfig, n_examples: int, *, devices: int, accumulate: int) -> None:
        """The batches of a configuration with one seed.

        Args:
            config: of the trial.
            n_examples: of the training data.
            devices: that share a batch.
            accumulate: parts of a batch on each device.

        Raises:
            ConfigError: the number of steps is not known.
            ObjectiveError: there is no example, or a batch does not split into so many parts.
        """
        if n_examples < 1:
            raise ObjectiveError("must be at least 1", argument="n_examples", got=n_examples)
        self._sizes = schedule_of(config).batch_sizes().tolist()
        for size in sorted(set(self._sizes)):
            if size % (devices * accumulate):
                raise ObjectiveError(f"a batch of {size} does not split into {devices} × {accumulate} equal parts")
        self._n_examples, self._devices, self._accumulate = n_examples, devices, accumulate
        self._seed = config.seeds[0]

    def __len__(self) -> int:
        return len(self._sizes) * self._accumulate

    def __iter__(self) -> Iterator[list[int]]:
        drawn = torch.Generator().manual_seed(self._seed)
        passes = (torch.randperm(self._n_examples, generator=drawn).tolist() for _ in count())
        stream = chain.from_iterable(passes)
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        for size in self._sizes:
            own = list(islice(stream, size))[rank :: self._devices]
            part = len(own) // self._accumulate
            yield from (own[start : start + part] for start in range(0, len(own), part))
