"""The optimizer of a configuration, built from the table of families."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn, optim

from batchlaw.errors import ConfigError
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES, Family
from batchlaw.train.muon import MuonWithAdamW, hidden_matrices
from batchlaw.train.plain_step import plain_step
from batchlaw.train.uncorrected_adam import UncorrectedAdam


def build(config: TrainConfig, model: nn.Module, *, stacked: bool = False) -> optim.Optimizer:
    """The optimizer of a configuration, at its peak learning rate. The schedule sets the rate before each step.

    Weight decay is decoupled for AdamW (Loshchilov & Hutter 2019), Muon and schedule-free AdamW, and an L2 term for the
    other optimizers. A schedule-free optimizer is in training mode; its `eval()` gives the model the weights to score.

    Args:
        config: of the run.
        model: whose parameters are optimized.
        stacked: the first dimension of every parameter are the members of a stack.

    Raises:
        ConfigError: the optimizer is the user's own, or its package is not installed.
    """
    family = FAMILIES[config.optimizer]
    if family.torch is None:
        raise ConfigError(f"optimizer: {config.optimizer!r} is the user's own code's, which builds it itself")
    groups = parameter_groups(config, model, stacked=stacked)
    options = family.arguments(dict(config))
    if family.by_path:
        return _own(config, family, groups, options)
    if not config.bias_correction:
        return UncorrectedAdam(groups, config.peak_lr, decoupled=family.decoupled_decay, **options)
    if next(model.parameters()).device.type in family.fused:
        options["fused"] = True
    if config.optimizer == "muon":
        return MuonWithAdamW(groups, config.peak_lr, **options)
    optimizer: optim.Optimizer = _constructor(config.optimizer, family)(groups, lr=config.peak_lr, **options)
    if not family.scheduled:
        optimizer.train()  # type: ignore[attr-defined]  # of schedulefree
    return optimizer


def _own(config: TrainConfig, family: Family, groups: list[dict[str, Any]], options: dict[str, Any]) -> optim.Optimizer:
    """An optimizer of the user's own. Of its family's hyperparameters it gets those that its signature names."""
    constructor = _constructor(config.optimizer, family)
    named = signature(constructor).parameters
    for needed in ("momentum", *["weight_decay"] * (config.weight_decay > 0)):
        if needed not in named and needed in (*options, "weight_decay"):
            raise ConfigError(f"optimizer: {config.optimizer!r} takes no {needed}")
    optimizer = constructor(groups, lr=config.peak_lr, **{name: options[name] for name in options if name in named})
    if not isinstance(optimizer, optim.Optimizer):
        raise ConfigError(
            f"optimizer: {config.optimizer!r} gives a {type(optimizer).__name__}, no torch.optim.Optimizer"
        )
    return optimizer


def _constructor(name: str, family: Family) -> Any:
    try:
        return getattr(import_module(family.package), family.torch or "")
    except ModuleNotFoundError:
        if family.by_path:
            raise ConfigError(f"optimizer: {name!r} cannot be imported in this process") from None
        raise ConfigError(
            f"optimizer: {name} needs the package {family.package}: pip install 'batchlaw[schedule-free]'"
        ) from None


@contextmanager
def averaged(optimizer: optim.Optimizer, parameters: Sequence[Tensor]) -> Iterator[None]:
    """Have the parameters hold the weights that are to be scored.

    Those of a schedule-free optimizer are an average of the weights that train. These come back to the bit, which its
    `train()` alone does not bring about, so that training does not depend on how often it is evaluated.
    """
    if not hasattr(optimizer, "eval"):
        yield
        return
    trained = [parameter.detach().clone() for parameter in parameters]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()  # type: ignore[attr-defined]
        for parameter, before in zip(parameters, trained, strict=True):
            parameter.detach().copy_(before)


def parameter_groups(config: TrainConfig, model: nn.Module, *, stacked: bool = False) -> list[dict[str, Any]]:
    """Parameter groups with weight decay, and without it for norms and biases if the study exempts them.

    With Muon the matrices of hidden layers are a group of their own.
    """
    matrices = hidden_matrices(model) if config.optimizer == "muon" else []
    of_muon = {id(matrix) for matrix in matrices}
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if id(parameter) in of_muon:
            continue
        # Biases are known by name, since a stacked bias may be a matrix. Other vectors are the weights of norms.
        small = "bias" in name.split(".") or parameter.ndim - stacked <= 1
        (exempt if small and config.exempt_norms_and_biases else decayed).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, "muon": True},
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class RatePerMember:
    """Steps of a stack whose members have different learning rates, for an optimizer whose family stacks rates.

    Its update is proportional to its learning rate. So the optimizer makes a step at the multiplier
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
        self._step, self._parameters = plain_step(optimizer), [parameter.detach() for parameter in parameters]
        self._before = [torch.empty_like(parameter) for parameter in self._parameters]
        self._rates = [peak_lrs.view(-1, *[1] * (parameter.ndim - 1)) for parameter in self._parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Make one update of all members."""
        for before, parameter in zip(self._before, self._parameters, strict=True):
            before.copy_(parameter)
        self._step()
        for before, parameter, rate in zip(self._before, self._parameters, self._rates, strict=True):
            torch.lerp(before, parameter, rate, out=parameter)
