"""The chain from a point of the space to its training."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.derive import Point, check_space, derive, run_seeds
from search.errors import ConfigError, SpecError
from search.spec import parse_spec
from tests.conftest import tiny_study

POINT = Point(
    batch_size=16, base_lr=0.2, scaling_rule="sqrt", warmup_fraction=0.0, optimizer="momentum", decay="constant",
    momentum=0.9, weight_decay=0.0,
)  # fmt: skip


def spec_of(budget=None, space=None, **changes):
    return parse_spec(tiny_study(space=space or {}, budget=budget or {"epochs": 2}, **changes), "test")


def derived(spec=None, **changes):
    return derive(spec or spec_of(), dataclasses.replace(POINT, **changes), seeds=(1,))


def test_the_peak_rate_is_base_times_family_times_rule():
    config = derived(batch_size=64)
    assert config.peak_lr == pytest.approx(0.2 * (1 - 0.9) * (64 / 32) ** 0.5)
    assert config.lr_per_example == pytest.approx(config.peak_lr / 64)
    assert config.noise_scale == pytest.approx(config.peak_lr * 64 / (64 * 0.1))
    assert derived(scaling_rule="linear", batch_size=64).peak_lr == pytest.approx(0.2 * 0.1 * 2)
    assert derived(batch_size=32).peak_lr == pytest.approx(0.2 * 0.1)


def test_a_rule_at_one_batch_size_only_relabels_the_base_rate():
    a, b = derived(batch_size=64, scaling_rule="linear", base_lr=0.1), derived(batch_size=64, scaling_rule="constant")
    assert a.peak_lr == pytest.approx(b.peak_lr)


@pytest.mark.parametrize(
    ("budget", "examples", "steps"),
    [
        ({"epochs": 2}, 128, 8),
        ({"epochs": 1.6}, 96, 6),  # 102 examples, whole steps of 16
        ({"steps": 7}, 112, 7),
        ({"examples": 100}, 96, 6),
        ({"lr_time": 1.0, "min_steps": 1, "max_steps": 1000}, 16 * 71, 71),  # 1/(0.2·0.1/√2) = 70.7
    ],
)
def test_budgets_are_exact_in_whole_steps(budget, examples, steps):
    config = derived(spec_of(budget))
    assert (config.examples, config.steps, config.budget_clipped) == (examples, steps, False)


def test_lr_time_is_bounded_and_says_so():
    config = derived(spec_of({"lr_time": 1.0, "min_steps": 1, "max_steps": 50}))
    assert (config.steps, config.budget_clipped) == (50, True)
    config = derived(spec_of({"lr_time": 1.0, "min_steps": 90, "max_steps": 100}))
    assert (config.steps, config.budget_clipped) == (90, True)


def test_untuned_warmup_is_two_over_one_minus_beta2_and_only_for_second_moments():
    spec = spec_of({"steps": 5000}, {"warmup": "untuned", "optimizer": ["adam", "sgd", "rmsprop"]})
    assert derived(spec, optimizer="adam").warmup_steps == 2000
    assert derived(spec, optimizer="rmsprop").warmup_steps == 200  # alpha = 0.99
    assert derived(spec, optimizer="sgd").warmup_steps == 0
    assert derived(spec, optimizer="adam").warmup_fraction == pytest.approx(0.4)
    with pytest.raises(ConfigError, match="2000 warmup steps and decay 'cosine' do not fit; at most 1999 of 2000"):
        derived(spec_of({"steps": 2000}, {"warmup": "untuned"}), optimizer="adam", decay="cosine")
    assert (
        derived(spec_of({"steps": 2001}, {"warmup": "untuned"}), optimizer="adam", decay="cosine").warmup_steps == 2000
    )


def test_half_life_and_sde_set_the_averages():
    assert derived(spec_of(space={"beta2_half_life_examples": 160.0}), optimizer="adam").beta2 == pytest.approx(
        0.5**0.1
    )
    spec = spec_of(space={"scaling_rule": "sde", "optimizer": "adam", "reference_batch_size": 8})
    config = derived(spec, optimizer="adam", scaling_rule="sde")
    assert (config.beta1, config.beta2) == (pytest.approx(0.8), pytest.approx(0.998))
    assert config.peak_lr == pytest.approx(0.2 * 0.01 * 2**0.5)


def test_momentum_is_recorded_only_where_it_acts():
    assert derived(optimizer="nesterov").momentum == 0.9
    config = derived(optimizer="adam")
    assert config.momentum == 0 and config.noise_scale == pytest.approx(config.peak_lr * 64 / 16)


def test_run_seeds_are_common_to_trials_and_differ_between_studies():
    assert run_seeds(0, 3) == run_seeds(0, 5)[:3]
    assert len({*run_seeds(0, 5), *run_seeds(1, 5)}) == 10


def test_corners_that_cannot_be_trained_are_refused():
    with pytest.raises(SpecError, match=r"space\.batch_size: the budget of 50 examples is less than one step of 64"):
        check_space(spec_of({"examples": 50}))


spaces = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 63).flatmap(
            lambda low: st.integers(low + 1, 64).map(lambda high: {"low": low, "high": high})
        ),
        "warmup_fraction": st.floats(0.01, 0.9).map(lambda high: {"low": 0.0, "high": high}),
        "decay": st.sampled_from(["constant", "cosine", "linear", "step", "batch-growth"]),
        "scaling_rule": st.sampled_from(["constant", "sqrt", "linear"]),
        "optimizer": st.sampled_from(["sgd", "momentum", "adam", "rmsprop"]),
    }
)


@settings(deadline=None, max_examples=200)
@given(space=spaces, epochs=st.integers(1, 5), data=st.data())
def test_no_point_of_an_accepted_space_is_impossible(space, epochs, data):
    """The corners stand for the whole space: what `check_space` accepts never fails in a worker."""
    try:
        spec = spec_of({"epochs": epochs}, space)
        check_space(spec)
    except SpecError:
        return
    point = dataclasses.replace(
        POINT,
        batch_size=data.draw(st.integers(space["batch_size"]["low"], space["batch_size"]["high"])),
        warmup_fraction=data.draw(st.floats(0, space["warmup_fraction"]["high"])),
        decay=space["decay"], scaling_rule=space["scaling_rule"], optimizer=space["optimizer"],
    )  # fmt: skip
    config = derive(spec, point, seeds=(1,))
    assert config.warmup_steps <= config.steps and config.examples <= epochs * 64
