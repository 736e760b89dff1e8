"""The published defaults that a search tries first."""

import pytest
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import params_of, point_of
from batchlaw.spec import parse_spec
from batchlaw.study.published_start import published_start

from tests.conftest import tiny_spec

SPACE = {
    "batch_size": {"low": 8, "high": 256, "log2": True}, "base_lr": {"low": 1e-4, "high": 1.0, "log": True},
    "optimizer": ["sgd", "momentum", "adam"], "decay": ["constant", "cosine"], "momentum": 0.9,
}  # fmt: skip


def spec_of(space=(), **search):
    return tiny_spec(task={"train_size": 1024}, space=SPACE | dict(space), search={"trials": 100, **search})


def peaks(spec):
    """By optimizer, the rate that a trial of each start trains with."""
    configs = [derive(spec, point_of(params_of(point, spec), spec), (1,)) for point in published_start(spec)]
    return {config.optimizer: config.peak_lr for config in configs}


@pytest.mark.parametrize("factors", [True, False])
@pytest.mark.parametrize("rule", ["constant", "linear", "sqrt"])
def test_the_rates_are_the_published_ones_whatever_the_space_calls_them(factors, rule):
    found = peaks(spec_of({"family_factors": factors, "scaling_rule": rule, "reference_batch_size": 128}))
    assert found == pytest.approx({"adam": 0.00125, "momentum": 0.0125, "sgd": 0.125})
    assert list(found) == ["adam", "momentum", "sgd"]  # the most used first


def test_they_grow_with_the_batch_size_or_with_its_root():
    found = peaks(spec_of({"batch_size": {"low": 128, "high": 512, "log2": True}}))
    assert found == pytest.approx({"adam": 0.0025, "momentum": 0.05, "sgd": 0.5})


def test_what_else_is_searched_is_as_published():
    space = {
        "decay": ["constant", "cosine"],
        "momentum": {"low": 0.0, "high": 0.99},
        "warmup_fraction": [0.0, 0.05, 0.5],
    }
    adam, momentum, sgd = published_start(spec_of(space))
    for point in (adam, momentum, sgd):
        assert (point["batch_size"], point["decay"], point["warmup_fraction"]) == (32, "cosine", 0.05)
    assert momentum["momentum"] == 0.9 and "momentum" not in adam


@pytest.mark.parametrize(("trials", "n"), [(1, 1), (19, 1), (20, 2), (100, 3), (None, 3)])
def test_they_are_at_most_a_tenth_of_the_trials_or_one(trials, n):
    assert len(published_start(spec_of(trials=trials, budget_seconds=60.0))) == n
    assert len(published_start(spec_of(), trials)) == n


def test_very_large_batches_have_the_rate_of_the_largest_that_was_tried():
    sizes = {"low": 2**14, "high": 2**15, "log2": True}
    spec = tiny_spec(
        task=None, objective="own:train", train_size=2**20,
        space=SPACE | {"batch_size": sizes, "base_lr": {"low": 1e-4, "high": 100.0, "log": True}},
    )  # fmt: skip
    assert peaks(spec) == pytest.approx({"adam": 0.02})


@pytest.mark.parametrize(("low", "high", "n"), [(1e-5, 1e-3, 0), (0.05, 1.0, 3), (0.2, 1.0, 3), (0.5, 1.0, 0)])
def test_what_the_space_has_nothing_near_is_left_out(low, high, n):
    assert len(peaks(spec_of({"base_lr": {"low": low, "high": high, "log": True}}))) == n


@pytest.mark.parametrize(
    ("space", "search"),
    [
        ({}, {"published_start": False}),
        ({}, {"start": [{"base_lr": 0.01}]}),
        ({}, {"sampler": "random"}),
        ({}, {"sampler": "qmc"}),
        ({"base_lr": 0.1}, {}),
        ({"optimizer": ["schedule-free-adamw"]}, {}),
    ],
)
def test_there_is_none_where_none_is_asked_for_or_known(space, search):
    assert published_start(spec_of()) and not published_start(spec_of(space, **search))


def test_nothing_is_known_without_a_batch_size():
    table = {
        "name": "own", "objective": "own:train", "space": {"base_lr": SPACE["base_lr"]},
        "search": {"trials": 100, "metric": "loss", "direction": "minimize"},
    }  # fmt: skip
    assert published_start(parse_spec(table, "test")) == []


def test_nothing_is_known_of_a_scripts_own_optimizer():
    table = {
        "name": "own", "command": ["true", "{base_lr}", "{batch_size}"], "train_size": 1024, "budget": {"epochs": 1},
        "space": {name: SPACE[name] for name in ("batch_size", "base_lr")},
        "search": {"trials": 100, "metric": "loss", "direction": "minimize"},
    }  # fmt: skip
    spec = parse_spec(table, "test")
    assert spec.values_of("optimizer") == ("own",) and published_start(spec) == []
