"""How sharply the loss rises around the weights.

Each is taken on a part of the training examples, at a fixed seed, so that configurations are compared under the same
perturbations. The adaptive ones scale a perturbation with the weight it falls on: what a rescaling of the weights that
leaves the network as it is, such as between two layers with a ReLU, cannot change.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

_EXAMPLES = 512  # of the training part, the first ones
_RHO = 0.5  # of the worst case: Kwon et al. 2021 (ASAM, arXiv:2102.11600), section 5
_NOISE = 0.1  # standard deviation of the average case, in parts of a weight (assumption)
_DRAWS = 4  # of the noise, each with its opposite
_KRYLOV = 10  # dimensions of Lanczos' method, one product with the Hessian each


def sharpness(model: nn.Module, images: Tensor, labels: Tensor, members: int | None = None) -> dict[str, list[float]]:
    """The sharpness of each member of a network; one value where it is no stack.

    Args:
        model: in evaluation mode; its parameters are left as they were.
        images: (examples, channels, side, side).
        labels: (examples,).
        members: of a stacked network, whose parameters then have them as their first dimension.

    Returns:
        `worst_sharpness`: the rise of the loss at the adaptive step of steepest ascent ρ w² g / ‖|w| g‖ (Kwon et al.).
        `average_sharpness`: its mean rise under noise in proportion to each weight.
        `hessian_eigenvalue`: the largest of the Hessian in magnitude; not invariant to rescaling.
    """
    around = _Surroundings(model, images[:_EXAMPLES], labels[:_EXAMPLES], members)
    return {
        "worst_sharpness": around.worst().tolist(),
        "average_sharpness": around.average().tolist(),
        "hessian_eigenvalue": around.eigenvalue().tolist(),
    }


class _Surroundings:
    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, members: int | None) -> None:
        self.model, self.labels = model, labels
        self.members = members or 1
        self.images = images if members is None else images.expand(members, *images.shape)
        # Biases last, as in a stack, so that it and its members are perturbed alike.
        named = sorted(model.named_parameters(), key=lambda item: "bias" in item[0].split("."))
        self.parameters = [parameter for _, parameter in named]
        self.weights = [parameter.detach().clone() for parameter in self.parameters]
        with torch.no_grad():
            self.loss = self.losses()

    def losses(self) -> Tensor:
        """The mean loss of each member, (members,)."""
        logits = self.model(self.images).float().view(self.members, len(self.labels), -1)
        targets = self.labels.expand(self.members, -1)
        return cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1)

    def gradient(self, *, differentiable: bool = False) -> tuple[Tensor, ...]:
        """Of each member's loss; members do not touch each other's parameters, so one pass is all of theirs."""
        return torch.autograd.grad(self.losses().sum(), self.parameters, create_graph=differentiable)

    def dot(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        """Inner products over the parameters of each member, (members,)."""
        products = [(a * b).reshape(self.members, -1).sum(1) for a, b in zip(first, second, strict=True)]
        return torch.stack(products).sum(0)

    def each(self, factor: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors times a factor of each member."""
        return [(t.reshape(self.members, -1) * factor[:, None]).view_as(t) for t in tensors]

    @torch.no_grad()
    def rise(self, steps: Sequence[Tensor]) -> Tensor:
        """Of the loss where the weights move by `steps`, (members,)."""
        for parameter, weight, step in zip(self.parameters, self.weights, steps, strict=True):
            parameter.copy_(weight + step)
        moved = self.losses()
        for parameter, weight in zip(self.parameters, self.weights, strict=True):
            parameter.copy_(weight)
        return moved - self.loss

    def worst(self) -> Tensor:
        scaled = [weight * gradient for weight, gradient in zip(self.weights, self.gradient(), strict=True)]
        length = self.dot(scaled, scaled).sqrt().clamp_min(1e-30)
        steps = [weight * product for weight, product in zip(self.weights, scaled, strict=True)]
        return self.rise(self.each(_RHO / length, steps))

    def average(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        total = torch.zeros_like(self.loss)
        for _ in range(_DRAWS):
            steps = [_NOISE * self.normal(weight, generator) * weight for weight in self.weights]
            total += self.rise(steps) + self.rise([-step for step in steps])
        return total / (2 * _DRAWS)

    def eigenvalue(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        left: list[Tensor] = [self.normal(weight, generator) for weight in self.weights]
        gradient = self.gradient(differentiable=True)
        basis: list[list[Tensor]] = []
        projected = torch.zeros((self.members, _KRYLOV, _KRYLOV), dtype=torch.float64)
        for column in range(_KRYLOV):
            basis.append(self.each(self.dot(left, left).sqrt().clamp_min(1e-30).reciprocal(), left))
            along = self.dot(gradient, basis[-1]).sum()
            left = list(torch.autograd.grad(along, self.parameters, retain_graph=True))
            for row, direction in enumerate(basis):
                share = self.dot(direction, left)
                projected[:, row, column] = projected[:, column, row] = share.double().cpu()
                left = [a - b for a, b in zip(left, self.each(share, direction), strict=True)]
        values = torch.linalg.eigvalsh(projected)
        largest: Tensor = values.gather(1, values.abs().argmax(1, keepdim=True))[:, 0]
        return largest

    def normal(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """The same draw for every member, from a generator on the CPU, so that all devices see the same."""
        shape = like.shape[1:] if self.images.ndim == 5 else like.shape
        return torch.randn(shape, generator=generator).to(like.device).expand_as(like)
