"""The gradient of a multilayer perceptron without autograd, which takes most of the time of a step at small batches."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from batchlaw.train.networks import StackedMLP

Layer = tuple[Tensor, Tensor]  # weight ([members,] out, in), bias ([members, 1,] out)


def layers_of(model: nn.Module) -> list[Layer]:
    """The layers of the `mlp`, or of a stack of them, in order."""
    if isinstance(model, StackedMLP):
        return list(zip(model.weight, model.bias, strict=True))
    return [(module.weight, module.bias) for module in model.modules() if isinstance(module, nn.Linear)]


@torch.no_grad()
def backward(layers: Sequence[Layer], inputs: Tensor, labels: Tensor, share: float) -> Tensor:
    """Add the gradient of the mean cross-entropy × `share` to the parameters, for linear layers with ReLU between them.

    The same as by autograd up to rounding.

    Args:
        layers: of one network, or of a stack.
        inputs: ([members,] batch, …), float32.
        labels: ([members,] batch), int64.
        share: the fraction of the step's examples that are in this batch.

    Returns:
        The mean cross-entropy × `share`, ([members]).
    """
    hidden = [inputs.flatten(layers[0][0].ndim - 1)]
    last = len(layers) - 1
    for depth, (weight, bias) in enumerate(layers):
        affine = torch.baddbmm if weight.ndim == 3 else torch.addmm
        outputs = affine(bias, hidden[-1], weight.mT)
        if depth < last:
            hidden.append(outputs.relu_())
    log_p = outputs.log_softmax(-1)
    target = labels.unsqueeze(-1)
    scale = share / labels.shape[-1]
    losses = log_p.gather(-1, target).sum((-2, -1)) * -scale
    delta = log_p.exp_()
    delta.scatter_add_(-1, target, delta.new_full((), -1.0).expand(target.shape))
    delta *= scale
    for (weight, bias), entering in zip(reversed(layers), reversed(hidden), strict=True):
        _add(weight, delta.mT @ entering)
        _add(bias, delta.sum(-2, keepdim=weight.ndim == 3))
        if entering is not hidden[0]:
            delta = (delta @ weight).mul_(entering.sign())  # the derivative of the ReLU that it comes from
    return losses


def _add(parameter: Tensor, gradient: Tensor) -> None:
    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
