"""Loss and accuracy of a network, or of each member of a stacked network."""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn

from batchlaw.spec import Task
from batchlaw.train import memory, networks
from batchlaw.train.examples import Examples
from batchlaw.train.losses import example_losses

_BATCH = 4096  # predictions computed at once; halved if they do not fit


@dataclass(frozen=True)
class Evaluation:
    """For each member: mean loss, accuracy, and the standard errors of both over the examples."""

    loss: list[float]
    accuracy: list[float]
    loss_standard_error: list[float]
    accuracy_standard_error: list[float]
    of_bytes: bool  # whether the classes are bytes of a text

    def scores(self, part: str) -> list[dict[str, float]]:
        """The metrics of each member, named after a part of the data such as `validation`."""
        return self._named(part, self.loss, self.accuracy)

    def standard_errors(self, part: str) -> list[dict[str, float]]:
        """The standard error of each of these metrics."""
        return self._named(part, self.loss_standard_error, self.accuracy_standard_error)

    def _named(self, part: str, losses: list[float], accuracies: list[float]) -> list[dict[str, float]]:
        named = []
        for loss, accuracy in zip(losses, accuracies, strict=True):
            named.append({f"{part}_loss": loss, f"{part}_accuracy": accuracy})
            if self.of_bytes:
                named[-1][f"{part}_bits_per_byte"] = loss / log(2)
        return named


def evaluate(model: nn.Module, task: Task, examples: Examples, members: int | None) -> Evaluation:
    """Evaluate a network in evaluation mode.

    Args:
        model: on the device of the examples; it stays in evaluation mode.
        task: its task.
        examples: at least one.
        members: of a stacked network; None of a single one.

    Raises:
        DeviceMemoryError: one example at a time does not fit.
    """
    model.eval()
    device = examples.inputs.device

    @torch.no_grad()
    def sums(size: int) -> Tensor:
        """Losses, accuracies and the squares of both over the examples of each member, float64 (4, members)."""
        n_members = members or 1
        total = torch.zeros((4, n_members), dtype=torch.float64, device=device)
        for inputs, targets in zip(
            torch.split(examples.inputs, size), torch.split(examples.targets, size), strict=True
        ):
            with networks.autocast(task, device):
                logits = model(inputs if members is None else inputs.expand(members, *inputs.shape))
            logits = logits.float().view(n_members, *targets.shape, -1)
            losses = example_losses(logits, targets.expand(n_members, *targets.shape)).double()
            correct = (logits.argmax(-1) == targets).double()
            correct = correct if task.context is None else correct.mean(-1)
            values = (losses, correct, losses.square(), correct.square())
            total += torch.stack([value.sum(1) for value in values])
        return total

    n, size = len(examples), max(_BATCH // (task.context or 1), 1)
    loss, accuracy, *squares = (memory.halve_until_fits(sums, size, device, "evaluation") / n).tolist()
    loss_errors, accuracy_errors = (
        [(max(s - m * m, 0.0) / max(n - 1, 1)) ** 0.5 for m, s in zip(mean, square, strict=True)]
        for mean, square in zip((loss, accuracy), squares, strict=True)
    )
    return Evaluation(loss, accuracy, loss_errors, accuracy_errors, of_bytes=task.context is not None)
