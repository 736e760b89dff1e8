"""Loss and accuracy of a network, or of each member of a stacked network."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from batchlaw.spec import Task
from batchlaw.train import memory, networks
from batchlaw.train.data import Examples

_BATCH = 4096  # examples computed at once; halved if they do not fit


@dataclass(frozen=True)
class Evaluation:
    """For each member: mean loss, accuracy, and the standard error of the mean loss over the examples."""

    loss: list[float]
    accuracy: list[float]
    loss_standard_error: list[float]


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
    device = examples.images.device

    @torch.no_grad()
    def sums(size: int) -> Tensor:
        """Losses, squared losses and correct answers of each member, float64 (3, members)."""
        n_members = members or 1
        total = torch.zeros((3, n_members), dtype=torch.float64, device=device)
        for images, labels in zip(torch.split(examples.images, size), torch.split(examples.labels, size), strict=True):
            with networks.autocast(task, device):
                logits = model(images if members is None else images.expand(members, *images.shape))
            logits = logits.float().view(n_members, len(labels), -1)
            losses = cross_entropy(logits.transpose(1, 2), labels.expand(n_members, -1), reduction="none").double()
            correct = logits.argmax(2) == labels
            total += torch.stack([losses.sum(1), losses.square().sum(1), correct.sum(1)])
        return total

    n = len(examples)
    mean, square, accuracy = (memory.halve_until_fits(sums, _BATCH, device, "evaluation") / n).tolist()
    errors = [(max(s - m * m, 0.0) / max(n - 1, 1)) ** 0.5 for m, s in zip(mean, square, strict=True)]
    return Evaluation(mean, accuracy, errors)
