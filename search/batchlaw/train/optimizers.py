"""The optimizer of a configuration, built from the table of families."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim

from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES


def build(config: TrainConfig, model: nn.Module, *, stacked: bool = False) -> optim.Optimizer:
    """The optimizer of a configuration; its learning rate is set before each step.

    Weight decay is decoupled for adamw (Loshchilov & Hutter 2019) and an L2 term elsewhere.
    """
    family = FAMILIES[config.optimizer]
    groups = parameter_groups(config, model, stacked=stacked)
    options = family.arguments(dict(config))
    if next(model.parameters()).device.type in family.fused:
        options["fused"] = True
    optimizer: optim.Optimizer = getattr(optim, family.torch)(groups, lr=config.peak_lr, **options)
    return optimizer


def parameter_groups(config: TrainConfig, model: nn.Module, *, stacked: bool = False) -> list[dict[str, Any]]:
    """All parameters with the weight decay; norms and biases without it where the study exempts them."""
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        # Biases by name, since a stacked bias may be a matrix; the weights of norms are the vectors that remain.
        small = "bias" in name.split(".") or parameter.ndim - stacked <= 1
        (exempt if small and config.exempt_norms_and_biases else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


class RatePerMember:
    """Gives each member of a stack a learning rate of its own, with any of the families.

    The change that a step of theirs makes is proportional to the learning rate. So the optimizer steps at the rate of
    the schedule's multiplier alone, and each member goes its own peak rate's part of that way; what is rounded is not
    more than a step rounds, where rates are below 1.
    """

    def __init__(self, optimizer: optim.Optimizer, parameters: Sequence[Tensor], peak_lrs: Tensor) -> None:
        """`peak_lrs` are (members,), the first dimension of every parameter."""
        self._optimizer, self._parameters = optimizer, [parameter.detach() for parameter in parameters]
        self._before = [torch.empty_like(parameter) for parameter in self._parameters]
        self._rates = [peak_lrs.view(-1, *[1] * (parameter.ndim - 1)) for parameter in self._parameters]

    @torch.no_grad()
    def step(self) -> None:
        """One update of all members."""
        for before, parameter in zip(self._before, self._parameters, strict=True):
            before.copy_(parameter)
        self._optimizer.step()
        for before, parameter, rate in zip(self._before, self._parameters, self._rates, strict=True):
            torch.lerp(before, parameter, rate, out=parameter)
