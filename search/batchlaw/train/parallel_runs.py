"""Runs trained as one network: a single run, or a stack of several. The training step lives here."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from batchlaw.errors import DeviceMemoryError
from batchlaw.recipe.scaling import beta2_of_half_life
from batchlaw.recipe.schedule import Schedule
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import DATASETS, Task, TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.train import gradient_noise as noise
from batchlaw.train import memory, networks, optimizers, perceptron
from batchlaw.train.data import Examples, crop_and_flip
from batchlaw.train.plateau import plateau_steps
from batchlaw.train.sharpness import sharpness
from batchlaw.train.stream import ExampleStream

EVALUATION_BATCH = 4096  # examples; halved where they do not fit
TAIL = 0.2  # of the steps: the last ones, whose losses tell whether a run has settled
T = TypeVar("T")


@dataclass(frozen=True)
class Evaluation:
    """Of each member of a stack: mean loss, accuracy, and the standard error of the loss over the examples."""

    loss: list[float]
    accuracy: list[float]
    loss_standard_error: list[float]


class ParallelRuns:
    """The runs of `seeds` at each of `peak_lrs`, trained as one network: the seeds of the first rate, of the second, …

    One run is a plain network, more are a stacked one.
    """

    def __init__(
        self,
        config: TrainConfig,
        task: Task,
        seeds: tuple[int, ...],
        schedule: Schedule,
        train: Examples,
        peak_lrs: tuple[float, ...] | None = None,  # the configuration's own
    ) -> None:
        self._config, self._task, self._train = config, task, train
        peak_lrs = peak_lrs or (config.peak_lr,)
        self._n_lrs = len(peak_lrs)
        self.seeds = seeds * len(peak_lrs)  # of each member
        self.members = len(self.seeds)
        self._device = train.images.device
        members = [networks.build(task, derive_seed(seed, "weights")) for seed in seeds] * len(peak_lrs)
        self._stacked = self.members > 1
        self.model: nn.Module = (networks.stack(task, members) if self._stacked else members[0]).to(self._device)
        direct = task.model == "mlp" and task.precision == "float32"
        self._layers = perceptron.layers_of(self.model) if direct else None  # for a gradient without autograd
        self._parameters = list(self.model.parameters())
        self._optimizer = optimizers.build(config, self.model, stacked=self._stacked)
        self._step: Callable[[], object] = self._optimizer.step
        peak_lr = peak_lrs[0]
        if len(peak_lrs) > 1:
            peak_lr = 1.0
            rates = torch.tensor(peak_lrs, device=self._device).repeat_interleave(len(seeds))
            self._step = optimizers.RatePerMember(self._optimizer, self._parameters, rates).step
        self._lrs = (peak_lr * schedule.lr_multipliers()).tolist()  # what the optimizer is given, at each step
        self._streams = [ExampleStream(len(train), derive_seed(seed, "stream"), self._device) for seed in seeds]
        self._augment = torch.Generator(device=self._device).manual_seed(derive_seed(seeds[0], "augment"))
        self._batch_sizes = schedule.batch_sizes()
        self._network = (task.model, task.model_options, task.dataset, task.precision, self.members)
        limit = task.micro_batch_size or int(self._batch_sizes.max())
        self.micro_batch_size = memory.micro_batch_size(self._device, self._network, limit)
        self.loss_sum = torch.zeros(self.members, device=self._device)  # of the steps since it was last read
        self._tail_start = schedule.steps - math.ceil(TAIL * schedule.steps)
        kept = schedule.steps if "plateau" in config.measures else 0
        self._step_losses = torch.zeros((kept, self.members), device=self._device)
        self._tail = torch.zeros((2, self.members), dtype=torch.float64, device=self._device)  # of losses and squares

    def advance(self, start: int, stop: int) -> None:
        """Take the steps `start` … `stop - 1`. Nothing in here waits for the device."""
        groups = self._optimizer.param_groups
        self.model.train()
        batch_size = 0
        for step in range(start, stop):
            for group in groups:
                group["lr"] = self._lrs[step]
            if batch_size != self._batch_sizes[step]:
                batch_size = int(self._batch_sizes[step])
                self._set_beta2(batch_size)
            batch = self._take(batch_size)
            self._clear_gradients()
            if batch_size <= self.micro_batch_size:
                try:
                    losses = self._backward(batch, 1.0)
                except torch.OutOfMemoryError:
                    losses = None
                # Outside the handler, whose traceback would keep the tensors of the failed attempt alive.
                if losses is None:
                    self._halve(batch_size)
                    losses = self._accumulate(batch, batch_size)
            else:
                losses = self._accumulate(batch, batch_size)
            self._step()
            self.loss_sum += losses
            if len(self._step_losses):
                self._step_losses[step] = losses
            if step >= self._tail_start:
                self._tail += torch.stack([losses, losses.square()]).view_as(self._tail)

    def _take(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """The batch of the next step."""
        taken = [stream.take(batch_size) for stream in self._streams]
        return self._batch(torch.stack(taken * self._n_lrs) if self._stacked else taken[0], self._augment)

    def _batch(self, index: Tensor, augment: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images ([members,] batch, …) and labels ([members,] batch) of examples ([members,] batch)."""
        if self._stacked:
            return self._train.images[index], self._train.labels[index]
        images, labels = self._train.images.index_select(0, index), self._train.labels.index_select(0, index)
        return (crop_and_flip(images, augment) if self._task.augment else images), labels

    def _backward(self, batch: tuple[Tensor, Tensor], share: float) -> Tensor:
        """Add the gradients of a batch that makes up `share` of its step; the mean loss of each member × share."""
        if self._layers is not None:
            return perceptron.backward(self._layers, *batch, share)
        with self._autocast():
            losses = self._losses(*batch)
        if share != 1.0:
            losses = losses * share
        torch.autograd.backward(losses.sum() if self._stacked else losses)
        return losses.detach()

    def _losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of each member, (members,), or () of a single network."""
        logits = self.model(images)
        if not self._stacked:
            return cross_entropy(logits, labels)
        return cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1)

    def _accumulate(self, batch: tuple[Tensor, Tensor], batch_size: int) -> Tensor:
        """The step in micro-batches, to the same gradient; halves them until they fit."""
        images, labels = batch
        dimension = 1 if self._stacked else 0
        while True:
            try:
                total = torch.zeros_like(self.loss_sum)
                size = self.micro_batch_size
                for part in zip(
                    torch.split(images, size, dimension), torch.split(labels, size, dimension), strict=True
                ):
                    total += self._backward(part, part[1].shape[dimension] / batch_size)
                return total
            except torch.OutOfMemoryError:
                pass
            self._halve(size)

    def _halve(self, size: int) -> None:
        """Compute fewer examples at once than `size`, which did not fit, and drop what it left of a gradient."""
        if size == 1:
            raise DeviceMemoryError(f"{self._task.model} does not fit {self._device} with one example at a time")
        self.micro_batch_size = (size + 1) // 2
        self._clear_gradients()
        memory.release(self._device)
        memory.remember(self._device, self._network, self.micro_batch_size)

    def _clear_gradients(self) -> None:
        """What the optimizer's `zero_grad` does, without its hooks, which cost a tenth of a small step."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Any]:
        """For a checkpoint; between reports nothing else is carried over."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "streams": [stream.state() for stream in self._streams],
            "augment": self._augment.get_state(),
            "tail": self._tail,
            "step_losses": self._step_losses,
            "micro_batch_size": self.micro_batch_size,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        for stream, kept in zip(self._streams, state["streams"], strict=True):
            stream.restore(kept)
        self._augment.set_state(state["augment"].cpu())
        self._tail, self._step_losses = state["tail"], state["step_losses"]
        self.micro_batch_size = state["micro_batch_size"]

    def tail_loss_variance(self) -> list[float]:
        """Of each member: the variance of the losses of the last steps, from step to step."""
        total, square = self._tail.tolist()
        n = len(self._batch_sizes) - self._tail_start
        return [max(s / n - (t / n) ** 2, 0.0) * n / max(n - 1, 1) for t, s in zip(total, square, strict=True)]

    def plateau_steps(self) -> list[float | None]:
        """Of each member: the steps until the loss left its first plateau, or None; nothing where not measured."""
        if not len(self._step_losses):
            return []
        chance = DATASETS[self._task.dataset].chance("validation_loss")
        return plateau_steps(self._step_losses, self._config.batch_size, chance)

    def sharpness(self) -> dict[str, list[float]]:
        """How sharp the training loss is around the weights of each member."""
        self.model.eval()
        members = self.members if self._stacked else None
        return sharpness(self.model, self._train.images, self._train.labels, members)

    def gradient_noise(self, step: int) -> list[noise.GradientNoise]:
        """Of each member after `step` steps, with batch norm by its running statistics; training does not notice."""
        self.model.eval()
        examples = noise.draw(len(self._train), self.seeds, step, self._device)
        size = max(examples.shape[1] // noise.MICRO_BATCHES, 1)
        size = memory.micro_batch_size(self._device, self._network, min(self._task.micro_batch_size or size, size))
        try:
            return self._fitting(size, lambda size: self._gradient_noise(examples, size, step), "a gradient")
        finally:
            self._clear_gradients()

    def _gradient_noise(self, examples: Tensor, micro_batch_size: int, step: int) -> list[noise.GradientNoise]:
        seed = derive_seed(self.seeds[0], "noise augment", step)
        augment = torch.Generator(device=self._device).manual_seed(seed)

        def gradient(index: Tensor) -> list[Tensor]:
            self._clear_gradients()
            self._backward(self._batch(index if self._stacked else index[0], augment), 1.0)
            return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

        return noise.gradient_noise(gradient, examples, micro_batch_size, len(self._train))

    def _set_beta2(self, batch_size: int) -> None:
        """Hold the half-life of β₂ in examples while the batch grows."""
        config, family = self._config, FAMILIES[self._config.optimizer]
        if config.beta2_half_life_examples is None or "beta2" not in family.fields:
            return
        beta2 = beta2_of_half_life(config.beta2_half_life_examples, batch_size)
        for group in self._optimizer.param_groups:
            group.update(family.arguments(dict(config) | {"beta2": beta2}))

    def _autocast(self) -> AbstractContextManager[object]:
        if self._task.precision == "float32":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    @torch.no_grad()
    def evaluate(self, examples: Examples) -> Evaluation:
        """Loss and accuracy of every member over `examples`."""
        self.model.eval()
        return self._fitting(EVALUATION_BATCH, lambda size: self._evaluate(examples, size), "evaluation")

    def _fitting(self, size: int, compute: Callable[[int], T], what: str) -> T:
        """`compute` with `size` examples at once, or fewer where they do not fit."""
        while True:
            try:
                return compute(size)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise DeviceMemoryError(f"{what} does not fit with one example at a time") from None
            size //= 2
            memory.release(self._device)

    def _evaluate(self, examples: Examples, size: int) -> Evaluation:
        members = self.members
        sums = torch.zeros((3, members), dtype=torch.float64, device=self._device)
        for images, labels in zip(torch.split(examples.images, size), torch.split(examples.labels, size), strict=True):
            with self._autocast():
                logits = self.model(images.expand(members, *images.shape) if self._stacked else images)
            logits = logits.float().view(members, len(labels), -1)
            losses = cross_entropy(logits.transpose(1, 2), labels.expand(members, -1), reduction="none").double()
            correct = logits.argmax(2) == labels
            sums += torch.stack([losses.sum(1), losses.square().sum(1), correct.sum(1)])
        n = len(examples)
        mean, square, accuracy = (sums / n).tolist()
        errors = [(max(s - m * m, 0.0) / max(n - 1, 1)) ** 0.5 for m, s in zip(mean, square, strict=True)]
        return Evaluation(mean, accuracy, errors)
