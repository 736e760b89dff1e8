"""From a point of the space to its configuration."""

import numpy as np
import pytest
from batchlaw.errors import ConfigError, SpecError
from batchlaw.recipe.derive import check_space, derive, derive_moved, run_seeds
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import parse_spec
from batchlaw.spec.knobs import Point
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_study

POINT = Point(
    batch_size=16, base_lr=0.2, scaling_rule="sqrt", warmup_fraction=0.0, optimizer="momentum", decay="constant",
    momentum=0.9, weight_decay=0.0,
)  # fmt: skip


def spec_of(budget=None, space=None, **changes):
    return parse_spec(tiny_study(space=space or {}, budget=budget or {"epochs": 2}, **changes), "test")


def derived(spec=None, **changes):
    return derive(spec or spec_of(), POINT.model_copy(update=changes), seeds=(1,))


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


def test_lr_time_is_clipped_and_the_clipping_is_recorded():
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
    for decay in ("cosine", "linear"):
        with pytest.raises(
            ConfigError, match=f"2000 warmup steps and decay '{decay}' do not fit; at most 1999 of 2000"
        ):
            derived(spec_of({"steps": 2000}, {"warmup": "untuned"}), optimizer="adam", decay=decay)
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


def test_what_the_study_says_is_recorded():
    assert derived(spec_of(space={"beta2_half_life_examples": 160.0})).beta2_half_life_examples == 160.0
    study = tiny_study(objective="mine:train", train_size=64)
    del study["task"]
    config = derived(parse_spec(study | {"search": {"trials": 1, "metric": "loss", "direction": "minimize"}}, "test"))
    assert (config.objective, config.task) == ("mine:train", None)


def test_momentum_is_recorded_as_0_for_optimizers_without_it():
    assert derived(optimizer="nesterov").momentum == 0.9
    config = derived(optimizer="adam")
    assert config.momentum == 0 and config.noise_scale == pytest.approx(config.peak_lr * 64 / 16)


def test_run_seeds_are_common_to_trials_and_differ_between_studies():
    assert run_seeds(0, 3) == run_seeds(0, 5)[:3]
    assert run_seeds(0, 1) == (0xE4095755,)  # printf 0/run/0 | sha256sum
    assert len({*run_seeds(0, 5), *run_seeds(1, 5)}) == 10


def test_a_turn_of_an_adaptive_design_has_seeds_of_its_own():
    assert [run_seeds(7, 2, turn) for turn in range(3)] == [run_seeds(7, 6)[first : first + 2] for first in (0, 2, 4)]


def test_without_family_factors_the_base_rate_is_the_peak_rate_also_when_it_is_moved():
    spec = spec_of(space={"family_factors": False})
    trained = derived(spec, batch_size=32)
    assert trained.peak_lr == 0.2
    found = derive_moved(spec, POINT, trained, batch_size=64, peak_lr=0.2, rule="linear", seeds=(1,))
    assert (found.base_lr, found.peak_lr) == (0.2, pytest.approx(0.4))


def test_a_point_with_a_training_size_trains_on_it():
    config = derived(train_size=32)
    assert config.train_size == config.task.train_size == 32
    assert config.examples == 2 * 32 and config.max_batch_size == 32
    assert derived().task == spec_of().task


def test_the_noise_scale_is_measured_where_it_is_asked_for():
    assert derived().measures == ()
    assert derived(spec_of(search={"noise_scale": True})).measures == ("noise-scale",)


@pytest.mark.parametrize("bounds", [(1, 10), (10, 20)])
def test_an_lr_time_on_a_bound_is_not_clipped(bounds):
    budget = dict(zip(("min_steps", "max_steps"), bounds, strict=True)) | {"lr_time": 2.0}
    config = derived(spec_of(budget), optimizer="sgd", scaling_rule="constant")  # 2.0 / 0.2
    assert (config.steps, config.budget_clipped) == (10, False)


def test_corners_that_cannot_be_trained_are_refused():
    with pytest.raises(SpecError, match=r"space\.batch_size: the budget of 50 examples is less than one step of 64"):
        check_space(spec_of({"examples": 50}))


spaces = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 63).flatmap(
            lambda low: st.integers(low + 1, 64).map(lambda high: {"low": low, "high": high})
        ),
        "warmup_fraction": st.floats(0.01, 0.9).map(lambda high: {"low": 0.0, "high": high}),
        "decay": st.sampled_from(["constant", "cosine", "linear", "step", "batch-growth", "wsd", "seesaw"]),
        "scaling_rule": st.sampled_from(["constant", "sqrt", "linear"]),
        "optimizer": st.sampled_from(["sgd", "momentum", "adam", "rmsprop"]),
    }
)


@settings(deadline=None, max_examples=200)
@given(space=spaces, epochs=st.integers(1, 5), data=st.data())
def test_no_point_of_an_accepted_space_is_impossible(space, epochs, data):
    """`check_space` derives the corners only; no other point of an accepted space may fail."""
    try:
        spec = spec_of({"epochs": epochs}, space)
        check_space(spec)
    except SpecError:
        return
    point = Point(**dict(POINT) | {
        "batch_size": data.draw(st.integers(space["batch_size"]["low"], space["batch_size"]["high"])),
        "warmup_fraction": data.draw(st.floats(0, space["warmup_fraction"]["high"])),
        "decay": space["decay"], "scaling_rule": space["scaling_rule"], "optimizer": space["optimizer"],
    })  # fmt: skip
    config = derive(spec, point, seeds=(1,))
    assert config.warmup_steps <= config.steps and config.examples <= epochs * 64


def ranges(numbers):
    """A fixed number or a range of them."""
    return st.tuples(numbers, numbers).map(
        lambda two: {"low": min(two), "high": max(two)} if two[0] != two[1] else two[0],
    )


def within(draw, dimension, strategy):
    return draw(strategy(dimension["low"], dimension["high"])) if isinstance(dimension, dict) else dimension


budgets = st.one_of(
    st.floats(0.5, 6).map(lambda epochs: {"epochs": epochs}),
    st.integers(1, 60).map(lambda steps: {"steps": steps}),
    st.integers(1, 600).map(lambda examples: {"examples": examples}),
    st.tuples(st.floats(0.01, 10), st.integers(1, 20), st.integers(20, 60)).map(
        lambda three: dict(zip(("lr_time", "min_steps", "max_steps"), three, strict=True))
    ),
)
wide_spaces = st.fixed_dictionaries(
    {
        "batch_size": ranges(st.integers(1, 64)),
        "base_lr": ranges(st.floats(1e-3, 1.0)),
        "momentum": ranges(st.floats(0.0, 0.99)),
        "decay": st.sampled_from(["constant", "cosine", "linear", "step", "batch-growth", "wsd", "seesaw"]),
        "beta1": st.sampled_from([0.0, 0.5, 0.9]),
        "beta2": st.sampled_from([0.5, 0.9]),
        "rmsprop_alpha": st.sampled_from([0.5, 0.9]),
        "reference_batch_size": st.integers(4, 64),
    }
)
warmups = st.one_of(
    ranges(st.floats(0.0, 0.4)).map(lambda fraction: {"warmup_fraction": fraction}), st.just({"warmup": "untuned"})
)
rules = st.one_of(
    st.tuples(st.sampled_from(["constant", "sqrt", "linear"]), st.sampled_from(["sgd", "nesterov", "adam", "rmsprop"])),
    st.tuples(st.just("sde"), st.sampled_from(["adam", "adamw", "rmsprop"])),
)
schedules = st.fixed_dictionaries(
    {
        "milestones": st.sets(st.sampled_from([0.15, 0.25, 0.3, 0.5, 0.6, 0.8]), min_size=1, max_size=3).map(sorted),
        "decay_factor": st.integers(2, 5),
        "max_batch_size": st.integers(1, 64),
        "cooldown_fraction": st.sampled_from([0.1, 0.2, 0.7]),
    }
)


@settings(max_examples=400)
@given(wide_spaces, warmups, rules, budgets, schedules, st.data())
def test_no_point_of_an_accepted_space_is_impossible_under_any_budget_rule_or_schedule(
    space, warmup, rule, budget, schedule, data
):
    # With the sde rule beta2 and therefore an untuned warmup depend on the batch size, and not monotonically.
    space = {**space, **warmup, "scaling_rule": rule[0], "optimizer": rule[1]}
    assume(not (rule[0] == "sde" and "warmup" in warmup))
    try:
        spec = spec_of(budget, space, schedule=schedule)
        check_space(spec)
    except SpecError:
        return
    event("accepted")
    fraction = space.get("warmup_fraction", 0.0)
    point = Point(**dict(POINT) | {
        "batch_size": within(data.draw, space["batch_size"], st.integers),
        "base_lr": within(data.draw, space["base_lr"], st.floats),
        "momentum": within(data.draw, space["momentum"], st.floats),
        "warmup_fraction": within(data.draw, fraction, st.floats),
        "decay": space["decay"], "scaling_rule": rule[0], "optimizer": rule[1],
    })  # fmt: skip
    config = derive(spec, point, seeds=(1,))
    planned = schedule_of(config)
    assert (config.steps, config.examples) == (planned.steps, planned.examples)
    assert config.examples <= config.budget_examples
    assert config.warmup_steps <= planned.phases[0].steps
    assert 0 < planned.lr_multipliers().min() <= planned.lr_multipliers().max() <= 1


@pytest.mark.parametrize("decay", ["step", "batch-growth", "seesaw"])
def test_a_warmup_up_to_the_first_milestone_fits_at_every_batch_size(decay):
    space = {"batch_size": {"low": 1, "high": 64}, "warmup_fraction": {"low": 0.0, "high": 0.3}, "decay": decay}
    for epochs in (4, 5, 7):
        spec = spec_of({"epochs": epochs}, space)
        check_space(spec)
        for batch_size in range(1, 65):
            config = derived(spec, batch_size=batch_size, warmup_fraction=0.3, decay=decay)
            assert config.warmup_steps == 3 * (64 * epochs // batch_size) // 10


def test_a_warmup_up_to_the_cooldown_fits_at_every_batch_size():
    space = {"batch_size": {"low": 1, "high": 64}, "warmup_fraction": {"low": 0.0, "high": 0.7}, "decay": "wsd"}
    for epochs in (5, 7):
        spec = spec_of({"epochs": epochs}, space, schedule={"cooldown_fraction": 0.3})
        check_space(spec)
        for batch_size in range(1, 65):
            config = derived(spec, batch_size=batch_size, warmup_fraction=0.7, decay="wsd")
            assert config.cooldown_steps == config.steps - config.warmup_steps
            assert config.warmup_steps == 7 * (64 * epochs // batch_size) // 10


def test_a_cooldown_without_a_step_at_a_lower_rate_is_refused():
    with pytest.raises(SpecError, match=r"decay: the cooldown of wsd is 1 of 4 steps at batch_size 64; must be at lea"):
        check_space(spec_of({"epochs": 4}, {"decay": "wsd"}))


def test_a_timescale_of_weight_decay_is_that_of_the_average_that_adamw_makes():
    """Where no gradient pulls, each step of AdamW keeps 1 - ελ: after the fraction τ of the run 1/e is left."""
    for optimizer in ("adamw", "muon", "schedule-free-adamw"):
        for batch_size, epochs, tau in ((1, 20, 0.1), (4, 80, 0.25)):
            spec = spec_of({"epochs": epochs}, {"optimizer": optimizer, "batch_size": batch_size})
            config = derived(spec, batch_size=batch_size, optimizer=optimizer, weight_decay_tau=tau)
            left = (1 - config.peak_lr * config.weight_decay) ** (config.steps * tau)
            assert left == pytest.approx(np.exp(-1), rel=0.01)
    # H22: λ ∝ B at the same rate and budget.
    spec = spec_of({"epochs": 20}, {"optimizer": "adamw"})
    points = [
        derived(spec, batch_size=size, optimizer="adamw", weight_decay_tau=0.1, scaling_rule="constant")
        for size in (8, 16, 64)
    ]
    decays = [config.weight_decay for config in points]
    assert [decay / decays[0] for decay in decays] == pytest.approx([1, 2, 8])


def test_a_timescale_is_of_decoupled_decay_alone():
    spec = spec_of({"epochs": 20}, {"optimizer": ["sgd", "adamw"], "weight_decay_tau": {"low": 0.01, "high": 1.0}})
    check_space(spec)
    other = derived(spec, optimizer="sgd", weight_decay_tau=0.1)
    assert (other.weight_decay, other.weight_decay_tau) == (0.0, None)


def test_the_half_life_of_beta2_is_held_within_its_bounds():
    space = {"optimizer": "adam", "beta2_half_life_examples": 100.0, "beta2_floor": 0.7, "beta2_ceiling": 0.99}
    spec = spec_of({"epochs": 4}, space)
    got = [derived(spec, batch_size=size, optimizer="adam").beta2 for size in (1, 8, 64)]
    assert got == pytest.approx([0.99, 0.5**0.08, 0.7])
    free = spec_of({"epochs": 4}, {"optimizer": "adam", "beta2_half_life_examples": 100.0})
    assert derived(free, batch_size=64, optimizer="adam").beta2 == pytest.approx(0.5**0.64)


def test_seesaw_is_refused_where_it_was_not_derived():
    with pytest.raises(
        SpecError, match=r"space\.optimizer: seesaw is derived for SGD and for Adam's kin only; got .*ada"
    ):
        spec_of(space={"optimizer": ["adam", "adagrad"], "decay": ["step", "seesaw"]})
    spec_of(space={"optimizer": ["momentum", "muon", "schedule-free-sgd"], "decay": ["step", "seesaw"]})


def test_what_an_optimizer_does_not_use_is_recorded_as_unused():
    spec = spec_of(space={"optimizer": ["momentum", "schedule-free-sgd"], "decay": "cosine"})
    free = derived(spec, optimizer="schedule-free-sgd", decay="cosine", bias_correction=False)
    assert (free.decay, free.bias_correction, free.momentum) == ("constant", True, 0.9)
    written = derived(spec, optimizer="momentum", bias_correction=False).model_dump()
    later = ("bias_correction", "weight_decay_tau", "cooldown", "cooldown_steps", "beta2_floor", "beta2_ceiling")
    assert not set(later) & set(written)  # as of trials stored before, so that their folders and checkpoints stay
    assert derived(spec, optimizer="adam", bias_correction=False).model_dump()["bias_correction"] is False


def test_an_impossible_point_names_field_value_and_bound():
    with pytest.raises(ConfigError, match=r"^batch_size: .* 31 examples .* 32$"):
        derived(spec_of({"examples": 31}), batch_size=32)
    with pytest.raises(ConfigError, match=r"^scaling_rule sde: κ\(1-beta1\) = 10·0\.1 = 1 must be below 1"):
        derived(
            spec_of(space={"scaling_rule": "sde", "optimizer": "adam", "reference_batch_size": 1}),
            batch_size=10, scaling_rule="sde", optimizer="adam",
        )  # fmt: skip
    with pytest.raises(ConfigError, match=r"^warmup: 20 warmup steps .*'constant' .* at most 8 of 8 .* batch_size 16$"):
        derived(spec_of(space={"warmup": "untuned", "beta2": 0.9}), optimizer="adam")


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ({"scaling_rule": "sde", "optimizer": "adam", "reference_batch_size": 4}, "scaling_rule sde: .*beta1"),
        ({"warmup": "untuned", "optimizer": ["sgd", "adam"]}, "warmup: 2000 warmup steps"),
        ({"decay": ["constant", "step"]}, "batch_size: the first milestone, at 38 of 128 .* one step of 64"),
    ],
)
def test_one_impossible_corner_refuses_the_space(space, line):
    with pytest.raises(SpecError, match=rf"^space\.{line}"):
        check_space(spec_of(space=space))


def moved(trained, batch_size, rule, **point):
    return derive_moved(
        spec_of(), POINT.model_copy(update=point), trained,
        batch_size=batch_size, peak_lr=trained.peak_lr, rule=rule, seeds=trained.seeds,
    )  # fmt: skip


@pytest.mark.parametrize("family", ["sgd", "momentum", "rmsprop", "adamw"])
@pytest.mark.parametrize(("rule", "power"), [("constant", 0.0), ("sqrt", 0.5), ("linear", 1.0)])
def test_a_moved_point_has_the_rate_of_the_rule_and_all_else_as_trained_there(family, rule, power):
    trained = derived(optimizer=family)
    found = moved(trained, 64, rule, optimizer=family)
    assert found.peak_lr == pytest.approx(trained.peak_lr * 4**power)
    there = derived(optimizer=family, batch_size=64)
    follows = {"base_lr", "peak_lr", "scaling_rule", "reference_batch_size", "lr_per_example", "noise_scale"}
    assert found.model_dump(exclude=follows) == there.model_dump(exclude=follows)


@pytest.mark.parametrize("family", ["rmsprop", "adam"])
def test_two_moves_by_the_sde_rule_are_one(family):
    trained = derived(optimizer=family, scaling_rule="constant")
    once, half = moved(trained, 64, "sde", optimizer=family), moved(trained, 32, "sde", optimizer=family)
    twice = moved(half, 64, "sde", optimizer=family)
    for name in ("peak_lr", "beta1", "beta2", "eps"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name)), name
        assert name == "beta1" or getattr(once, name) != getattr(trained, name)
