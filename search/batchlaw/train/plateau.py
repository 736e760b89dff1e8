"""How long the loss stays on the plateau on which training near a saddle point starts."""

import math

import torch
from torch import Tensor

_LEFT = 0.9  # of the loss of guessing: below it the plateau is left (assumption)
_EXAMPLES = 64  # that a loss is averaged over, so that a few easy examples do not count as having left


def plateau_steps(losses: Tensor, batch_size: int, chance: float) -> list[float | None]:
    """Steps until the loss falls below 90 % of that of guessing, for each member; None where it never does.

    The loss is a moving mean over 64 examples, or one step where that sees more. The step is the middle of that
    window, so that a wide one, of a small batch, is not late.

    Args:
        losses: of every step, (steps, members).
        batch_size: examples a step.
        chance: the loss of guessing.
    """
    width = min(math.ceil(_EXAMPLES / batch_size), len(losses))
    sums = torch.nn.functional.pad(losses.double().cumsum(0), (0, 0, 1, 0))
    means = (sums[width:] - sums[:-width]) / width  # (steps - width + 1, members)
    left = means < _LEFT * chance
    first = left.int().argmax(0) + (width + 1) / 2
    return [step if ever else None for step, ever in zip(first.tolist(), left.any(0).tolist(), strict=True)]
