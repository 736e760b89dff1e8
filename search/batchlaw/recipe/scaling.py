"""Scaling rules: from a base learning rate to the peak learning rate of another batch size and optimizer.

`peak_lr = base_lr × family_factor(family) × rule(κ)` with κ = batch_size / reference_batch_size. Pure functions.
"""

from dataclasses import dataclass
from math import sqrt

from batchlaw.errors import ConfigError
from batchlaw.spec.families import FAMILIES, OptimizerFamily
from batchlaw.spec.knobs import ScalingRule


@dataclass(frozen=True)
class Scaled:
    """The result of a rule: `lr_factor` multiplies the learning rate, the other values replace those given."""

    lr_factor: float
    beta1: float
    beta2: float
    eps: float


def family_factor(family: OptimizerFamily, momentum: float) -> float:
    """The best learning rate of an optimizer relative to that of plain SGD; `spec/families.py` has the sources."""
    factor = FAMILIES[family].factor
    return 1.0 - momentum if factor is None else factor


def scale(
    rule: ScalingRule, kappa: float, *, family: OptimizerFamily, beta1: float, beta2: float, eps: float
) -> Scaled:
    """Apply a scaling rule to the learning rate ε, the smoothing constants β and eps.

    constant: ε. sqrt: ε√κ (Krizhevsky 2014). linear: εκ (Goyal et al. 2017).
    sde: ε√κ, β → 1 - κ(1-β), eps → eps/√κ (Malladi et al. 2022, for Adam and RMSprop).

    Args:
        rule: its name.
        kappa: κ = batch_size / reference_batch_size.
        family: the optimizer.
        beta1: smoothing constant of the first moment at the reference batch size.
        beta2: smoothing constant of the second moment there.
        eps: of the optimizer, there.

    Raises:
        ConfigError: the sde rule would need κ(1-β) >= 1, an average over less than one step.
    """
    if rule == "constant":
        return Scaled(1.0, beta1, beta2, eps)
    if rule == "sqrt":
        return Scaled(sqrt(kappa), beta1, beta2, eps)
    if rule == "linear":
        return Scaled(kappa, beta1, beta2, eps)
    averages = {name: beta for name, beta in (("beta1", beta1), ("beta2", beta2)) if name in FAMILIES[family].fields}
    for name, beta in averages.items():
        if kappa * (1 - beta) >= 1 - 1e-9:  # allows for rounding: 10·(1-0.9) is 1
            raise ConfigError(
                f"scaling_rule sde: κ(1-{name}) = {kappa:g}·{1 - beta:.3g} = {kappa * (1 - beta):.3g} must be below 1 "
                f"for {family}; κ = batch_size / reference_batch_size"
            )
    scaled = {name: 1 - kappa * (1 - beta) for name, beta in averages.items()}
    return Scaled(sqrt(kappa), scaled.get("beta1", beta1), scaled["beta2"], eps / sqrt(kappa))


def beta2_of_half_life(
    half_life_examples: float, batch_size: int, *, floor: float = 0.0, ceiling: float = 1.0
) -> float:
    """β₂ with a half-life of h examples: β₂ = 2^(-B/h), so that β₂' = β₂^(B'/B) at batch B' (Marek et al. 2025).

    It is held within `floor` and `ceiling`.
    """
    return min(max(float(0.5 ** (batch_size / half_life_examples)), floor), ceiling)


def weight_decay_of(tau: float, *, peak_lr: float, batch_size: int, budget_examples: int) -> float:
    """λ = B/(ετD), whose moving average of the weights lasts the fraction τ of the budget of D examples.

    Each step keeps 1 - ελ of the weights, so that the average is over 1/(ελ) of the D/B steps (Wang & Aitchison 2024,
    arXiv:2405.13698, section 2; Bergsma et al. 2025, arXiv:2505.13738).
    """
    return batch_size / (peak_lr * tau * budget_examples)


def noise_scale(peak_lr: float, batch_size: int, train_size: int, momentum: float) -> float:
    """εN/(B(1-m)) for B ≪ N (Smith & Le 2017, arXiv:1710.06451); m is 0 for optimizers without momentum."""
    return peak_lr * train_size / (batch_size * (1 - momentum))
