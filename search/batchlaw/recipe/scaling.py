"""How a learning rate tuned for one batch size and optimizer is carried to another. Pure functions, no torch.

`peak_lr = base_lr × family_factor(family) × rule(kappa)`, with kappa = batch_size / reference_batch_size.
"""

from dataclasses import dataclass
from math import sqrt

from batchlaw.errors import ConfigError
from batchlaw.spec.dimensions import OptimizerFamily, ScalingRule

HAS_MOMENTUM = ("momentum", "nesterov")
HAS_BETA2 = ("adam", "adamw", "rmsprop")


@dataclass(frozen=True)
class Scaled:
    """Hyperparameters after a rule: `lr_factor` multiplies the learning rate, the others replace their values."""

    lr_factor: float
    beta1: float
    beta2: float
    eps: float


# Best learning rate of a family over plain SGD's, so that one range of `base_lr` suits them all. Measured with
# tests/benchmarks/family_factors.py (an MLP, batch size 32, 20 epochs, three seeds; digits and Fashion-MNIST):
# adagrad .09 and .22, rmsprop .012 and .009, adam and adamw .03 (edge of the grid) and .010; rounded to a power of ten.
_FAMILY_FACTORS: dict[str, float] = {
    "sgd": 1.0,
    "adagrad": 0.1,
    "rmsprop": 0.01,
    "adam": 0.01,
    "adamw": 0.01,
}


def family_factor(family: OptimizerFamily, momentum: float) -> float:
    """The learning rate of `family` that does the work of 1.0 in plain SGD.

    For momentum and Nesterov 1-m: the effective learning rate is ε/(1-m) (Shallue et al. 2018, section 2.2).
    """
    return 1.0 - momentum if family in HAS_MOMENTUM else _FAMILY_FACTORS[family]


def scale(
    rule: ScalingRule, kappa: float, *, family: OptimizerFamily, beta1: float, beta2: float, eps: float
) -> Scaled:
    """Apply a scaling rule for a batch `kappa` times the reference.

    constant: ε. sqrt: ε√κ (Krizhevsky 2014). linear: εκ (Goyal et al. 2017).
    sde: ε√κ, β → 1 - κ(1-β), eps → eps/√κ (Malladi et al. 2022, Adam and RMSprop).

    Raises:
        ConfigError: the sde rule would need κ(1-β) >= 1, an average over less than one step.
    """
    if rule == "constant":
        return Scaled(1.0, beta1, beta2, eps)
    if rule == "sqrt":
        return Scaled(sqrt(kappa), beta1, beta2, eps)
    if rule == "linear":
        return Scaled(kappa, beta1, beta2, eps)
    averages = {"beta2": beta2} if family == "rmsprop" else {"beta1": beta1, "beta2": beta2}
    for name, beta in averages.items():
        if kappa * (1 - beta) >= 1 - 1e-9:  # 10·(1-0.9) is 1 but for rounding
            raise ConfigError(
                f"scaling_rule sde: κ(1-{name}) = {kappa:g}·{1 - beta:.3g} = {kappa * (1 - beta):.3g} must be below 1 "
                f"for {family}; κ = batch_size / reference_batch_size"
            )
    carried = {name: 1 - kappa * (1 - beta) for name, beta in averages.items()}
    return Scaled(sqrt(kappa), carried.get("beta1", beta1), carried["beta2"], eps / sqrt(kappa))


def beta2_of_half_life(half_life_examples: float, batch_size: int) -> float:
    """β₂ whose average halves after `half_life_examples`: β₂ = 2^(-B/h), so β₂' = β₂^(B'/B) (Marek et al. 2025)."""
    return float(0.5 ** (batch_size / half_life_examples))


def noise_scale(peak_lr: float, batch_size: int, train_size: int, momentum: float) -> float:
    """εN/(B(1-m)), Smith & Le 2017 (arXiv:1710.06451) for B ≪ N; m is 0 for families without momentum."""
    return peak_lr * train_size / (batch_size * (1 - momentum))
