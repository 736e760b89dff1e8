"""The training step of runs that train as one network: a single run, or a stack of several."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from batchlaw.errors import DeviceMemoryError
from batchlaw.recipe.scaling import beta2_of_half_life
from batchlaw.recipe.schedule import Schedule
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import Task, TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.train import gradient_noise as noise
from batchlaw.train import memory, networks, optimizers, perceptron
from batchlaw.train.batch_sharpness import BATCHES, batch_sharpness
from batchlaw.train.data import crop_and_flip
from batchlaw.train.evaluation import Evaluation, evaluate
from batchlaw.train.examples import Examples
from batchlaw.train.losses import example_losses
from batchlaw.train.plain_step import leave_out_the_compiler, plain_step
from batchlaw.train.plateau import plateau_steps
from batchlaw.train.sharpness import sharpness
from batchlaw.train.stream import ExampleStream

TAIL = 0.2  # fraction of the steps, the last ones, over which the variance of the loss is measured


def parts_of(batch_size: int, size: int, fewest: int) -> list[int]:
    """The sizes of the micro-batches of a batch: `size` each and what is left, of which `fewest` must be together.

    Where fewer are left, the last whole part gives them some, or takes them: 5 in parts of 4 are 3 + 2, and in parts of
    2 they are 2 + 3.
    """
    whole, left = divmod(batch_size, size)
    parts = [size] * whole + [left] * (left > 0)
    if 0 < left < fewest and whole:
        together = parts.pop() + parts.pop()
        parts += [together - fewest, fewest] if together >= 2 * fewest else [together]
    return parts


class ParallelRuns:
    """Runs trained as one network: a plain one for one run, a stacked one for several.

    The members of the stack are the seeds of the first learning rate, then those of the second, and so on.

    Args:
        config: of the runs; several learning rates differ in nothing else.
        task: of the configuration.
        seeds: at least one.
        schedule: of the configuration.
        train: the training examples, on the device to train on.
        peak_lrs: the learning rates; None is the configuration's own.
    """

    def __init__(
        self,
        config: TrainConfig,
        task: Task,
        seeds: tuple[int, ...],
        schedule: Schedule,
        train: Examples,
        peak_lrs: tuple[float, ...] | None = None,
    ) -> None:
        self._config, self._task, self.examples = config, task, train
        peak_lrs = peak_lrs or (config.peak_lr,)
        self._n_lrs = len(peak_lrs)
        self.seeds = seeds * len(peak_lrs)  # of each member
        self.members = len(self.seeds)
        self._device = train.inputs.device
        members = [networks.build(task, derive_seed(seed, "weights")) for seed in seeds] * len(peak_lrs)
        self._stacked = self.members > 1
        self.model: nn.Module = (networks.stack(task, members) if self._stacked else members[0]).to(self._device)
        without_autograd = task.model == "mlp" and task.precision == "float32"
        self._layers = perceptron.layers_of(self.model) if without_autograd else None
        self._parameters = list(self.model.parameters())
        leave_out_the_compiler()
        self.optimizer = optimizers.build(config, self.model, stacked=self._stacked)
        self._step = plain_step(self.optimizer)
        peak_lr = peak_lrs[0]
        if len(peak_lrs) > 1:
            peak_lr = 1.0
            rates = torch.tensor(peak_lrs, device=self._device).repeat_interleave(len(seeds))
            self._step = optimizers.RatePerMember(self.optimizer, self._parameters, rates).step
        self._peak_lr = peak_lr  # of the optimizer
        self._lrs = (peak_lr * schedule.lr_multipliers()).tolist()  # at each step
        self._streams = [ExampleStream(len(train), derive_seed(seed, "stream"), self._device) for seed in seeds]
        self._augment = torch.Generator(device=self._device).manual_seed(derive_seed(seeds[0], "augment"))
        self._batch_sizes = schedule.batch_sizes()
        self._network = (task.model, task.model_options, task.dataset, task.precision, self.members)
        limit = task.micro_batch_size or int(self._batch_sizes.max())
        self.micro_batch_size = memory.micro_batch_size(self._device, self._network, limit)
        self.loss_sum = torch.zeros(self.members, device=self._device)  # since the caller last set it to 0
        self._tail_start = schedule.steps - math.ceil(TAIL * schedule.steps)
        n_recorded = schedule.steps if "plateau" in config.measures else 0
        self._step_losses = torch.zeros((n_recorded, self.members), device=self._device)
        self._tail = torch.zeros((2, self.members), dtype=torch.float64, device=self._device)  # sums of loss and loss²

    def advance(self, start: int, stop: int) -> None:
        """Train from step `start` up to, but not including, step `stop`, without waiting for the device."""
        groups = self.optimizer.param_groups
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
                # Outside the handler: its traceback would keep the tensors of the failed attempt alive.
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

    @contextmanager
    def branch(self, schedule: Schedule, peak_lr: float | None = None) -> Iterator[None]:
        """Train by another schedule, or rate, for a while; at the end everything is as it was, to the bit."""
        state, loss_sum, lrs = deepcopy(self.state()), self.loss_sum.clone(), self._lrs
        self._lrs = ((peak_lr or self._peak_lr) * schedule.lr_multipliers()).tolist()
        try:
            yield
        finally:
            self.restore(state)
            self.loss_sum.copy_(loss_sum)
            self._lrs = lrs

    def _take(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """The batch of the next step."""
        taken = [stream.take(batch_size) for stream in self._streams]
        return self._batch(torch.stack(taken * self._n_lrs) if self._stacked else taken[0], self._augment)

    def _batch(self, index: Tensor, augment: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs ([members,] batch, …) and targets ([members,] batch, …) of examples ([members,] batch)."""
        if self._stacked:
            return self.examples.inputs[index], self.examples.targets[index]
        inputs, targets = self.examples.inputs.index_select(0, index), self.examples.targets.index_select(0, index)
        return (crop_and_flip(inputs, augment) if self._task.augment else inputs), targets

    def _backward(self, batch: tuple[Tensor, Tensor], share: float) -> Tensor:
        """Add the gradients of a batch, the fraction `share` of its step; returns mean loss × share, (members,)."""
        if self._layers is not None:
            return perceptron.backward(self._layers, *batch, share)
        with networks.autocast(self._task, self._device):
            losses = self._losses(*batch)
        if share != 1.0:
            losses = losses * share
        torch.autograd.backward(losses.sum() if self._stacked else losses)
        return losses.detach()

    def _losses(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of each member, (members,); of a single network, ()."""
        logits = self.model(inputs)
        if not self._stacked:
            return cross_entropy(logits.flatten(0, -2), targets.flatten().long())
        return example_losses(logits, targets).mean(1)

    def _accumulate(self, batch: tuple[Tensor, Tensor], batch_size: int) -> Tensor:
        """The same gradient from micro-batches, which are halved until they fit."""
        inputs, targets = batch
        dimension = 1 if self._stacked else 0
        while True:
            try:
                total = torch.zeros_like(self.loss_sum)
                size = self.micro_batch_size
                sizes = parts_of(batch_size, size, self._task.fewest_together)
                for part in zip(
                    torch.split(inputs, sizes, dimension), torch.split(targets, sizes, dimension), strict=True
                ):
                    total += self._backward(part, part[1].shape[dimension] / batch_size)
                return total
            except torch.OutOfMemoryError:
                pass
            self._halve(size)

    def _halve(self, size: int) -> None:
        """Halve the micro-batch after `size` examples did not fit, and drop the unfinished gradient."""
        fewest = self._task.fewest_together
        if size <= fewest:
            at_a_time = "one example" if fewest == 1 else f"{fewest} examples"
            raise DeviceMemoryError(f"{self._task.model} does not fit {self._device} with {at_a_time} at a time")
        self.micro_batch_size = max((size + 1) // 2, fewest)
        self._clear_gradients()
        memory.release(self._device)
        memory.remember(self._device, self._network, self.micro_batch_size)

    def _clear_gradients(self) -> None:
        """The same as the optimizer's `zero_grad` without its hooks, which take 10 % of a small step."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Any]:
        """The whole state at a report, for a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "streams": [stream.state() for stream in self._streams],
            "augment": self._augment.get_state(),
            "tail": self._tail,
            "step_losses": self._step_losses,
            "micro_batch_size": self.micro_batch_size,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for stream, saved in zip(self._streams, state["streams"], strict=True):
            stream.restore(saved)
        self._augment.set_state(state["augment"].cpu())
        self._tail, self._step_losses = state["tail"], state["step_losses"]
        self.micro_batch_size = state["micro_batch_size"]

    def tail_loss_variance(self) -> list[float]:
        """For each member the variance of the training loss over the last fifth of the steps."""
        total, square = self._tail.tolist()
        n = len(self._batch_sizes) - self._tail_start
        return [max(s / n - (t / n) ** 2, 0.0) * n / max(n - 1, 1) for t, s in zip(total, square, strict=True)]

    def plateau_steps(self) -> list[float | None]:
        """For each member the steps until the loss leaves its first plateau, or None; empty if not measured."""
        if not len(self._step_losses):
            return []
        chance = self._task.facts.chance("validation_loss")
        return plateau_steps(self._step_losses, self._config.batch_size, chance)

    def sharpness(self) -> dict[str, list[float]]:
        """The measures of `train.sharpness` for each member."""
        self.model.eval()
        with optimizers.averaged(self.optimizer, self._parameters):
            return sharpness(
                self.model, self.examples.inputs, self.examples.targets, self.members if self._stacked else None
            )

    def batch_sharpness(self, step: int) -> list[float]:
        """That of each member over batches of the size of the last of `step` steps. Batch norm as in evaluation."""
        self.model.eval()
        size = int(self._batch_sizes[step - 1])
        drawn = noise.draw(
            len(self.examples), self.seeds, step, self._device, purpose="batch sharpness", most=BATCHES * size
        )
        augment = torch.Generator(device=self._device).manual_seed(derive_seed(self.seeds[0], "sharp augment", step))

        def losses(index: Tensor) -> Tensor:
            with networks.autocast(self._task, self._device):
                return self._losses(*self._batch(index if self._stacked else index[0], augment)).view(self.members)

        return batch_sharpness(losses, self._parameters, drawn, size).tolist()

    def gradient_noise(self, step: int) -> list[noise.GradientNoise]:
        """The gradient noise of each member after `step` steps. Batch norm uses its running statistics.

        Training goes on as if nothing had been measured.
        """
        self.model.eval()
        examples = noise.draw(len(self.examples), self.seeds, step, self._device)
        size = max(examples.shape[1] // noise.MICRO_BATCHES, 1)
        size = memory.micro_batch_size(self._device, self._network, min(self._task.micro_batch_size or size, size))
        try:
            return memory.halve_until_fits(
                lambda size: self._gradient_noise(examples, size, step), size, self._device, "a gradient"
            )
        finally:
            self._clear_gradients()

    def _gradient_noise(self, examples: Tensor, micro_batch_size: int, step: int) -> list[noise.GradientNoise]:
        seed = derive_seed(self.seeds[0], "noise augment", step)
        augment = torch.Generator(device=self._device).manual_seed(seed)

        def gradient(index: Tensor) -> list[Tensor]:
            self._clear_gradients()
            self._backward(self._batch(index if self._stacked else index[0], augment), 1.0)
            return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

        return noise.gradient_noise(gradient, examples, micro_batch_size, len(self.examples))

    def _set_beta2(self, batch_size: int) -> None:
        """Keep the half-life of β₂ in examples when the batch size changes."""
        config, family = self._config, FAMILIES[self._config.optimizer]
        if config.beta2_half_life_examples is None or "beta2" not in family.fields:
            return
        beta2 = beta2_of_half_life(
            config.beta2_half_life_examples, batch_size, floor=config.beta2_floor, ceiling=config.beta2_ceiling
        )
        arguments = family.arguments(dict(config) | {"beta2": beta2})
        for group in self.optimizer.param_groups:
            group.update({keyword: arguments[keyword] for keyword in ("betas", "alpha") if keyword in group})

    def evaluate(self, examples: Examples) -> Evaluation:
        """Loss and accuracy of each member."""
        with optimizers.averaged(self.optimizer, self._parameters):
            return evaluate(self.model, self._task, examples, self.members if self._stacked else None)
