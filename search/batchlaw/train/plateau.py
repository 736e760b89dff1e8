"""The length of the plateau of the loss at the start of training near a saddle point."""

import math

import torch
from torch import Tensor

_LEFT = 0.9  # the plateau ends below this fraction of the loss of guessing (assumption)
_EXAMPLES = 64  # over which the loss is averaged, so that a few easy examples do not end the plateau (assumption)


def plateau_steps(losses: Tensor, batch_size: int, chance: float) -> list[float | None]:
    """For each member the steps until its loss is below 90 % of the loss of guessing; None if it never is.

    The loss is a moving mean over 64 examples, or over one step if that has more. The result is the middle of the
    window, so that wide windows, at small batch sizes, do not make it late.

    Args:
        losses: of every step, (steps, members).
        batch_size: examples of a step.
        chance: the loss of guessing.
    """
    width = min(math.ceil(_EXAMPLES / batch_size), len(losses))
    sums = torch.nn.functional.pad(losses.double().cumsum(0), (0, 0, 1, 0))
    means = (sums[width:] - sums[:-width]) / width  # (steps - width + 1, members)
    left = means < _LEFT * chance
    first = left.int().argmax(0) + (width + 1) / 2
    return [step if ever else None for step, ever in zip(first.tolist(), left.any(0).tolist(), strict=True)]
