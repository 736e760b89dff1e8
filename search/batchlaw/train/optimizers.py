"""The optimizer of a configuration, built from the table of families."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim

from batchlaw.errors import ConfigError
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES


def build(config: TrainConfig, model: nn.Module, *, stacked: bool = False) -> optim.Optimizer:
    """The optimizer of a configuration, at its peak learning rate. The schedule sets the rate before each step.

    Weight decay is decoupled for adamw (Loshchilov & Hutter 2019) and an L2 term for the other optimizers.

    Args:
        config: of the run.
        model: whose parameters are optimized.
        stacked: the first dimension of every parameter are the members of a stack.

    Raises:
        ConfigError: the optimizer is the user's own.
    """
    family = FAMILIES[config.optimizer]
    if family.torch is None:
        raise ConfigError(f"optimizer: {config.optimizer!r} is the user's own code's, which builds it itself")
    groups = parameter_groups(config, model, stacked=stacked)
    options = family.arguments(dict(config))
    if next(model.parameters()).device.type in family.fused:
        options["fused"] = True
    optimizer: optim.Optimizer = getattr(optim, family.torch)(groups, lr=config.peak_lr, **options)
    return optimizer


def parameter_groups(config: TrainConfig, model: nn.Module, *, stacked: bool = False) -> list[dict[str, Any]]:
    """Parameter groups with weight decay, and without it for norms and biases if the study exempts them."""
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        # Biases are known by name, since a stacked bias may be a matrix. Other vectors are the weights of norms.
        small = "bias" in name.split(".") or parameter.ndim - stacked <= 1
        (exempt if small and config.exempt_norms_and_biases else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


class RatePerMember:
    """Steps of a stack whose members have different learning rates, for any optimizer of the table.

    The update of each optimizer is proportional to its learning rate. So the optimizer makes a step at the multiplier
    of the schedule, and each member keeps the fraction of the update that is its own peak rate. Below a rate of 1 this
    rounds no more than a step does.
    """

    def __init__(self, optimizer: optim.Optimizer, parameters: Sequence[Tensor], peak_lrs: Tensor) -> None:
        """Prepare the steps.

        Args:
            optimizer: of the stack.
            parameters: of the stack, with the members as first dimension.
            peak_lrs: (members,).
        """
        self._optimizer, self._parameters = optimizer, [parameter.detach() for parameter in parameters]
        self._before = [torch.empty_like(parameter) for parameter in self._parameters]
        self._rates = [peak_lrs.view(-1, *[1] * (parameter.ndim - 1)) for parameter in self._parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Make one update of all members."""
        for before, parameter in zip(self._before, self._parameters, strict=True):
            before.copy_(parameter)
        self._optimizer.step()
        for before, parameter, rate in zip(self._before, self._parameters, self._rates, strict=True):
            torch.lerp(before, parameter, rate, out=parameter)
