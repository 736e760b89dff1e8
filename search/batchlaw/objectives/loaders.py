"""Loaders whose batches have the right size and the wrong examples: one that repeats examples is told in words."""

import hashlib
import logging
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed

from batchlaw.errors import ObjectiveError

_MOST_REPEATED = 0.01  # of the examples, of which a loader may repeat so many (assumption)
_COMPARED = 8  # updates; data of few different examples may give two devices the same few by chance


def check_loader(loader: Any, devices: int) -> None:
    """Make sure that a loader fills batches with few examples at most that its pass has given already.

    The last batch of a pass is filled up by many loaders, so that up to one in a hundred examples is a warning.

    Args:
        loader: a `torch.utils.data.DataLoader`, also one that Accelerate or Lightning has prepared.
        devices: that share a batch.

    Raises:
        ObjectiveError: it repeats more.
    """
    batches = getattr(loader, "batch_sampler", None)
    samplers: tuple[Any, ...] = (getattr(loader, "sampler", None), getattr(batches, "sampler", None), batches)
    for sampler in samplers:
        data = getattr(sampler, "dataset", None)
        if getattr(sampler, "num_replicas", 1) > 1 and not getattr(sampler, "drop_last", True) and data is not None:
            _judge(-len(data) % sampler.num_replicas, len(data), "drop_last=True in its DistributedSampler")
        if devices > 1 and getattr(sampler, "even_batches", False):  # Accelerate's BatchSamplerShard
            n, of_all = len(loader.dataset), sampler.batch_size * (1 if sampler.split_batches else devices)
            if not sampler.drop_last:
                _judge(-n % of_all, n, "drop_last=True in the loader")


def _judge(repeated: int, n: int, remedy: str) -> None:
    if not repeated:
        return
    told = (
        f"the loader repeats {repeated} of {n} examples in every pass, so that all devices get equally many: use "
        f"trial.batches, or {remedy}"
    )
    if repeated > _MOST_REPEATED * n:
        raise ObjectiveError(told)
    logging.getLogger("batchlaw").warning("warning: %s", told)


class Shards:
    """Whether the devices of a trial get different examples, by those of its first updates."""

    def __init__(self, devices: int, steps: int | None) -> None:
        """Of so many devices, each in a process of `torch.distributed`, in a run of so many updates."""
        self._left = min(_COMPARED, steps or _COMPARED) if devices > 1 else 0
        self._devices, self._seen, self._any = devices, hashlib.sha256(), False

    def saw(self, tensors: Iterable[Tensor]) -> None:
        """Note the examples of a part of a batch."""
        for tensor in tensors if self._left else ():
            if tensor.layout == torch.strided:
                self._seen.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
                self._any = True

    def check(self) -> None:
        """Compare what was noted with the other devices, once, before one of the first updates.

        Raises:
            ObjectiveError: another device had the same examples.
        """
        self._left = max(self._left - 1, 0)
        if self._left or not self._any or not distributed.is_initialized():
            return
        self._any, digests = False, [""] * distributed.get_world_size()
        distributed.all_gather_object(digests, self._seen.hexdigest())
        if len(set(digests)) < len(digests) == self._devices:
            raise ObjectiveError(
                "the loader repeats the same examples on several devices; each needs its own share of every batch, as "
                "trial.batches or a DistributedSampler gives it"
            )
