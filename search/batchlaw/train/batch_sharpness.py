"""Batch sharpness: the curvature of a batch's loss along its own gradient, gᵀHg/|g|², as a mean over batches.

With plain SGD it is said to rise to 2/ε and to stay there (Andreyev & Beneventano 2024, arXiv:2412.20553): a step of ε
along g then leaves the loss of its batch, to second order, where it was.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

BATCHES = 32  # at most, for one measurement; fewer where one pass has fewer (assumption)


def batch_sharpness(
    losses: Callable[[Tensor], Tensor], parameters: Sequence[nn.Parameter], examples: Tensor, batch_size: int
) -> Tensor:
    """The batch sharpness of each member, (members,); no gradient is left behind.

    Args:
        losses: from indices (members, batch_size) to the mean loss of each member, (members,).
        parameters: of the network; their first dimension are the members if there are several.
        examples: indices, (members, examples); a last incomplete batch is left out.
        batch_size: at most the number of examples.
    """
    members, n = examples.shape[0], examples.shape[1] // batch_size
    total = torch.zeros(members, device=examples.device)
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        for batch in torch.split(examples[:, : n * batch_size], batch_size, 1):
            # Members share no parameters, so one pass serves them all.
            gradient = torch.autograd.grad(losses(batch).sum(), parameters, create_graph=True)
            direction = [part.detach() for part in gradient]
            product = torch.autograd.grad(_dot(gradient, direction, members).sum(), parameters)
            total += _dot(direction, product, members) / _dot(direction, direction, members).clamp_min(1e-30)
    return total / n


def _dot(first: Sequence[Tensor], second: Sequence[Tensor], members: int) -> Tensor:
    """The inner product over the parameters of each member, (members,)."""
    products = [(a * b).reshape(members, -1).sum(1) for a, b in zip(first, second, strict=True)]
    return torch.stack(products).sum(0)
