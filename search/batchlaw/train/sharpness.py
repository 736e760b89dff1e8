"""Measures of sharpness: how much the loss rises around the weights.

Each uses the same training examples and the same seed for all configurations, so that they are compared under the same
perturbations. The adaptive measures scale a perturbation with the weight that it changes. They are therefore invariant
to a rescaling of the weights that does not change the network, such as between two layers with a ReLU.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from batchlaw.train.losses import example_losses

_EXAMPLES = 512  # the first of the training part; of a text so many tokens
_RHO = 0.5  # ρ of the worst case: Kwon et al. 2021 (ASAM, arXiv:2102.11600), section 5
_NOISE = 0.1  # standard deviation in the average case, relative to each weight (assumption)
_DRAWS = 4  # of the noise, each used with both signs
_KRYLOV = 10  # dimensions of Lanczos' method; each takes one product with the Hessian


def sharpness(model: nn.Module, inputs: Tensor, targets: Tensor, members: int | None = None) -> dict[str, list[float]]:
    """The sharpness of each member of a stacked network, or of a single network.

    Args:
        model: in evaluation mode; its parameters are the same afterwards.
        inputs: (examples, …).
        targets: (examples, …).
        members: of a stacked network, the first dimension of its parameters; None for a single network.

    Returns:
        `worst_sharpness`: the rise of the loss after the adaptive step of steepest ascent ρ w² g / ‖|w| g‖ (Kwon et
        al.). `average_sharpness`: the mean rise under noise in proportion to each weight. `hessian_eigenvalue`: the
        eigenvalue of the Hessian that is largest in magnitude; it is not invariant to rescaling.
    """
    n = max(_EXAMPLES // targets[0].numel(), 1)
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        around = _Neighbourhood(model, inputs[:n], targets[:n], members)
        return {
            "worst_sharpness": around.worst().tolist(),
            "average_sharpness": around.average().tolist(),
            "hessian_eigenvalue": around.eigenvalue().tolist(),
        }


class _Neighbourhood:
    """The loss of each member at and around its weights."""

    def __init__(self, model: nn.Module, inputs: Tensor, targets: Tensor, members: int | None) -> None:
        self.model, self.targets, self.stacked = model, targets, members is not None
        self.members = members or 1
        self.inputs = inputs if members is None else inputs.expand(members, *inputs.shape)
        # Biases last, as in a stack, so that a stack and its members are perturbed alike.
        named = sorted(model.named_parameters(), key=lambda item: "bias" in item[0].split("."))
        self.parameters = [parameter for _, parameter in named]
        self.weights = [parameter.detach().clone() for parameter in self.parameters]
        with torch.no_grad():
            self.loss = self.losses()

    def losses(self) -> Tensor:
        """The mean loss of each member, (members,)."""
        logits = self.model(self.inputs).float().view(self.members, *self.targets.shape, -1)
        return example_losses(logits, self.targets.expand(self.members, *self.targets.shape)).mean(1)

    def gradient(self, *, differentiable: bool = False) -> tuple[Tensor, ...]:
        """The gradient of each member's loss. Members share no parameters, so one backward pass is enough."""
        return torch.autograd.grad(self.losses().sum(), self.parameters, create_graph=differentiable)

    def dot(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        """The inner product over the parameters of each member, (members,)."""
        products = [(a * b).reshape(self.members, -1).sum(1) for a, b in zip(first, second, strict=True)]
        return torch.stack(products).sum(0)

    def scaled(self, factor: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors times a factor for each member, (members,)."""
        return [(t.reshape(self.members, -1) * factor[:, None]).view_as(t) for t in tensors]

    @torch.no_grad()
    def rise(self, steps: Sequence[Tensor]) -> Tensor:
        """The rise of the loss when the weights change by `steps`, (members,)."""
        for parameter, weight, step in zip(self.parameters, self.weights, steps, strict=True):
            parameter.copy_(weight + step)
        moved = self.losses()
        for parameter, weight in zip(self.parameters, self.weights, strict=True):
            parameter.copy_(weight)
        return moved - self.loss

    def worst(self) -> Tensor:
        """The rise after the adaptive step of steepest ascent, (members,)."""
        products = [weight * gradient for weight, gradient in zip(self.weights, self.gradient(), strict=True)]
        length = self.dot(products, products).sqrt().clamp_min(1e-30)
        steps = [weight * product for weight, product in zip(self.weights, products, strict=True)]
        return self.rise(self.scaled(_RHO / length, steps))

    def average(self) -> Tensor:
        """The mean rise under noise, (members,)."""
        generator = torch.Generator().manual_seed(0)
        total = torch.zeros_like(self.loss)
        for _ in range(_DRAWS):
            steps = [_NOISE * self.normal(weight, generator) * weight for weight in self.weights]
            total += self.rise(steps) + self.rise([-step for step in steps])
        return total / (2 * _DRAWS)

    def eigenvalue(self) -> Tensor:
        """The largest eigenvalue of the Hessian in magnitude by Lanczos' method, (members,)."""
        generator = torch.Generator().manual_seed(0)
        residual: list[Tensor] = [self.normal(weight, generator) for weight in self.weights]
        gradient = self.gradient(differentiable=True)
        basis: list[list[Tensor]] = []
        projected = torch.zeros((self.members, _KRYLOV, _KRYLOV), dtype=torch.float64)
        for column in range(_KRYLOV):
            basis.append(self.scaled(self.dot(residual, residual).sqrt().clamp_min(1e-30).reciprocal(), residual))
            derivative = self.dot(gradient, basis[-1]).sum()
            residual = list(torch.autograd.grad(derivative, self.parameters, retain_graph=True))
            for row, direction in enumerate(basis):
                coefficient = self.dot(direction, residual)
                projected[:, row, column] = projected[:, column, row] = coefficient.double().cpu()
                residual = [a - b for a, b in zip(residual, self.scaled(coefficient, direction), strict=True)]
        values = torch.linalg.eigvalsh(projected)
        largest: Tensor = values.gather(1, values.abs().argmax(1, keepdim=True))[:, 0]
        return largest

    def normal(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Standard normal noise, the same for every member, drawn on the CPU, so that it is the same on all devices."""
        shape = like.shape[1:] if self.stacked else like.shape
        return torch.randn(shape, generator=generator).to(like.device).expand_as(like)
