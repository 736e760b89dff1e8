"""The rules against the formulas of their papers."""

from math import exp, log
from sys import float_info

import pytest
from batchlaw.errors import ConfigError
from batchlaw.recipe.scaling import Scaled, beta2_of_half_life, family_factor, noise_scale, scale
from hypothesis import given
from hypothesis import strategies as st

KEPT = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


@pytest.mark.parametrize(
    ("rule", "kappa", "factor"),
    [
        ("constant", 16.0, 1.0),
        ("sqrt", 16.0, 4.0),
        ("sqrt", 0.25, 0.5),
        ("linear", 16.0, 16.0),
        ("linear", 0.25, 0.25),
    ],
)
def test_rules_that_scale_the_rate_alone(rule, kappa, factor):
    assert scale(rule, kappa, family="adam", **KEPT) == Scaled(factor, **KEPT)


@pytest.mark.parametrize("rule", ["constant", "sqrt", "linear", "sde"])
@pytest.mark.parametrize("family", ["adam", "adamw", "rmsprop"])
def test_nothing_changes_at_the_reference(rule, family):
    scaled = scale(rule, 1.0, family=family, **KEPT)
    assert scaled.lr_factor == 1.0
    assert (scaled.beta1, scaled.beta2, scaled.eps) == pytest.approx((0.9, 0.999, 1e-8), rel=1e-12)


@pytest.mark.parametrize("family", ["adam", "adamw"])
def test_sde_for_adam(family):
    # Malladi et al. 2022, Definition 5.2: η√κ, 1-κ(1-β1), 1-κ(1-β2), ε/√κ; by hand for κ = 4.
    scaled = scale("sde", 4.0, family=family, **KEPT)
    assert scaled.lr_factor == 2.0
    assert (scaled.beta1, scaled.beta2, scaled.eps) == pytest.approx((0.6, 0.996, 5e-9), rel=1e-12)


def test_sde_for_rmsprop_leaves_beta1_alone():
    # Malladi et al. 2022, Definition 4.3: η√κ, 1-κ(1-β), ε/√κ; by hand for κ = 16, where Adam's β1 could not follow.
    scaled = scale("sde", 16.0, family="rmsprop", beta1=0.9, beta2=0.99, eps=1e-8)
    assert (scaled.lr_factor, scaled.beta1) == (4.0, 0.9)
    assert (scaled.beta2, scaled.eps) == pytest.approx((0.84, 2.5e-9), rel=1e-12)


@given(kappa=st.floats(0.05, 9.0))
def test_sde_forth_and_back_changes_nothing(kappa):
    there = scale("sde", kappa, family="adam", **KEPT)
    back = scale("sde", 1 / kappa, family="adam", beta1=there.beta1, beta2=there.beta2, eps=there.eps)
    assert there.lr_factor * back.lr_factor == pytest.approx(1)
    assert (back.beta1, back.beta2, back.eps) == pytest.approx((0.9, 0.999, 1e-8), rel=1e-9)


@pytest.mark.parametrize(
    ("family", "kappa", "beta1", "beta2", "named"),
    [
        ("adam", 16.0, 0.9, 0.999, "beta1"),
        ("adam", 10.0, 0.9, 0.999, "beta1"),  # exactly 1, but for the rounding of 1 - 0.9
        ("adam", 2.0, 0.5, 0.999, "beta1"),
        ("adamw", 5.0, 0.9, 0.8, "beta2"),
        ("rmsprop", 128.0, 0.9, 0.99, "beta2"),
    ],
)
def test_sde_refuses_an_average_over_less_than_a_step(family, kappa, beta1, beta2, named):
    with pytest.raises(ConfigError) as caught:
        scale("sde", kappa, family=family, beta1=beta1, beta2=beta2, eps=1e-8)
    line = str(caught.value)
    assert f"κ(1-{named}) = {kappa:g}" in line
    assert "must be below 1" in line
    assert family in line
    assert "\n" not in line


@given(half_life=st.floats(1, 1e6), batch_size=st.integers(1, 4096))
def test_half_life(half_life, batch_size):
    beta2 = beta2_of_half_life(half_life, batch_size)
    if beta2 >= float_info.min:  # a subnormal number has fewer digits
        steps = half_life / batch_size
        assert exp(steps * log(beta2)) == pytest.approx(0.5, rel=1e-6)


@given(half_life=st.floats(1e3, 1e6), batch_size=st.integers(1, 64), growth=st.integers(1, 64))
def test_half_life_carries_beta2_to_another_batch_as_a_power(half_life, batch_size, growth):
    # Marek et al. 2025: β2' = β2^(B'/B)
    before, after = beta2_of_half_life(half_life, batch_size), beta2_of_half_life(half_life, batch_size * growth)
    assert after == pytest.approx(before**growth, rel=1e-9)


def test_noise_scale():
    # Smith & Le 2017, εN/(B(1-m)): 0.1 × 50 000 / (100 × 0.1)
    assert noise_scale(0.1, 100, 50_000, 0.9) == pytest.approx(500)
    assert noise_scale(0.1, 100, 50_000, 0.0) == pytest.approx(50)


@pytest.mark.parametrize("family", ["momentum", "nesterov"])
def test_the_factor_of_momentum_is_that_of_its_effective_rate(family):
    assert family_factor(family, 0.9) == pytest.approx(0.1)
    assert family_factor(family, 0.0) == 1.0


@pytest.mark.parametrize(
    ("family", "factor"), [("sgd", 1.0), ("adagrad", 0.1), ("rmsprop", 0.01), ("adam", 0.01), ("adamw", 0.01)]
)
def test_factors_of_the_families_without_momentum(family, factor):
    assert family_factor(family, 0.9) == family_factor(family, 0.0) == factor
