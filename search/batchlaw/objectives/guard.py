"""A guard over every update of a training: is its batch, and is its learning rate, that of the trial?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from batchlaw.errors import ObjectiveError
from batchlaw.objectives.loaders import Shards
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig

_ROUNDING = 1e-5  # relative, of a learning rate in single precision


class Guard:
    """Compares each update of a training with the configuration of its trial.

    The examples are counted where they enter the network, the learning rate is read where the optimizer makes its step,
    so that any loop is seen as it is. Without a number of steps the configuration tells no rate of an update, and
    without a batch size no number of examples; what it does not tell is not compared.
    """

    def __init__(self, config: TrainConfig, optimizer: Optimizer, *, devices: int = 1, done: int = 0) -> None:
        """Watch the updates of an optimizer.

        Args:
            config: of the trial.
            optimizer: whose updates are watched. One of its groups at least must have the rate of the schedule.
            devices: that share a batch; this process sees the part of one of them.
            done: updates that were made before, where the training goes on.
        """
        self.devices, self.updates, self._parts = devices, done, list[int]()
        schedule = None if config.steps is None else schedule_of(config)
        self._steps = config.steps
        self._sizes = None if schedule is None or config.batch_size is None else schedule.batch_sizes().tolist()
        self._batch_size = config.batch_size
        self._rates = None
        if schedule is not None and config.peak_lr is not None:
            self._rates = (config.peak_lr * schedule.lr_multipliers()).tolist()
        # What accelerate and Lightning wrap around it makes no step of its own.
        getattr(optimizer, "optimizer", optimizer).register_step_pre_hook(self._check)
        self._may_skip = self._skipped = False
        self._shards = Shards(devices, self._steps)

    def watch(self, model: nn.Module) -> None:
        """Count the examples that a network gets while it trains: the length of the first tensor it is called with."""
        model.register_forward_pre_hook(self._enter, with_kwargs=True)

    def saw(self, n_examples: int) -> None:
        """Count examples of the next update, on this device."""
        # A scaler of half-precision gradients leaves out updates that overflow.
        self._may_skip |= torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") == torch.float16
        self._parts.append(n_examples)

    def saw_batch(self, batch: Any) -> None:
        """Count the examples of a batch, any nested sequences and mappings of tensors, and note which they are."""
        self.saw(n_examples(batch))
        self._shards.saw(_tensors(batch))

    def _enter(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if model.training and torch.is_grad_enabled():  # an evaluation may leave the network in training mode
            self.saw_batch((args, kwargs))

    def _check(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compare the update that an optimizer is about to make.

        Raises:
            ObjectiveError: it differs.
        """
        number = self.updates + 1
        if self._steps is not None and number > self._steps:
            raise ObjectiveError(f"update {number}: the configuration has {self._steps} updates (trial.config.steps)")
        if self._batch_size is not None:
            self._check_batch(number, self._batch_size if self._sizes is None else self._sizes[self.updates])
        if self._rates is not None:
            rates = [float(group["lr"]) for group in optimizer.param_groups]
            wanted = self._rates[self.updates]
            if not any(math.isclose(rate, wanted, rel_tol=_ROUNDING, abs_tol=1e-12) for rate in rates):
                told = " and ".join(f"{rate:.6g}" for rate in dict.fromkeys(rates))
                raise ObjectiveError(f"update {number}: the learning rate is {told}; the trial's {wanted:.6g}")
        self._shards.check()
        self.updates, self._parts = number, []

    def _check_batch(self, number: int, wanted: int) -> None:
        seen = sum(self._parts) * self.devices
        skipped = self._may_skip and seen > wanted and seen % wanted == 0 and not self._skipped
        self._skipped = skipped
        if seen == wanted or skipped:
            return
        parts = " + ".join(map(str, self._parts[:4])) + (" + …" if len(self._parts) > 4 else "")
        how = f" ({parts or 0} on each of {self.devices} devices)" if self.devices > 1 else f" ({parts})"
        told = how if self.devices > 1 or len(self._parts) > 1 else ""
        why = "; an epoch's last batch is smaller unless it is dropped (drop_last)" if 0 < seen < wanted else ""
        if why and self.devices > 1:
            why = f"{why}, or the devices have uneven shards"
        raise ObjectiveError(f"update {number}: {seen} examples{told}; the trial's batch size is {wanted}{why}")


def n_examples(batch: Any) -> int:
    """The length of the first tensor of a batch, of any nested sequences and mappings.

    Raises:
        ObjectiveError: it has none.
    """
    first = next(_tensors(batch), None)
    if first is None:
        raise ObjectiveError("a batch has no tensor of one example or more, so that its examples cannot be counted")
    return len(first)


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        if batch.ndim:
            yield batch
    elif isinstance(batch, Mapping):
        for each in batch.values():
            yield from _tensors(each)
    elif isinstance(batch, Sequence) and not isinstance(batch, str):
        for each in batch:
            yield from _tensors(each)
