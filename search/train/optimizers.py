"""The optimizer families, all PyTorch's own."""

from typing import Any

from torch import nn, optim

from search.spec import TrainConfig

# Families that PyTorch fuses into one kernel, by device type (torch 2.9 to 2.14; RMSprop has no fused form).
_FUSED = {
    "cpu": {"sgd", "momentum", "nesterov", "adagrad", "adam", "adamw"},
    "cuda": {"sgd", "momentum", "nesterov", "adam", "adamw"},
}


def build(config: TrainConfig, model: nn.Module) -> optim.Optimizer:
    """The optimizer of a configuration at its peak learning rate.

    Weight decay is decoupled for adamw (Loshchilov & Hutter 2019) and an L2 term elsewhere.
    """
    family = config.optimizer
    groups = parameter_groups(config, model)
    device = next(model.parameters()).device.type
    options: dict[str, Any] = {"lr": config.peak_lr}
    if family in _FUSED.get(device, ()):
        options["fused"] = True
    if family in ("sgd", "momentum", "nesterov"):
        return optim.SGD(groups, momentum=config.momentum, nesterov=family == "nesterov", **options)
    if family == "adagrad":
        return optim.Adagrad(groups, eps=config.eps, **options)
    if family == "rmsprop":
        return optim.RMSprop(groups, alpha=config.beta2, eps=config.eps, **options)
    kind = optim.AdamW if family == "adamw" else optim.Adam
    return kind(groups, betas=(config.beta1, config.beta2), eps=config.eps, **options)


def parameter_groups(config: TrainConfig, model: nn.Module) -> list[dict[str, Any]]:
    """All parameters with the weight decay; norms and biases without it where the study exempts them."""
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        # Biases by name, since a stacked bias is no vector; the weights of norms are the vectors that remain.
        small = "bias" in name.split(".") or parameter.ndim <= 1
        (exempt if small and config.exempt_norms_and_biases else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
