"""`search.start`: configurations that a search tries first."""

import pytest
from batchlaw.errors import SpecError
from batchlaw.recipe.space import distributions_of, params_of, point_of
from batchlaw.spec import canonical_json, fingerprint, parse_spec, toml_of

from tests.conftest import tiny_spec, tiny_study

PARAMETERS = {
    "dropout": {"low": 0.0, "high": 0.5},
    "depth": {"low": 2, "high": 8},
    "bias": [True, False],
    "width": [128, 256],
    "nesterov": {"choices": [True, False], "when": "optimizer == 'momentum'"},
}


def spec_with(*points, **search):
    changes = {"search": {"start": list(points), **search}}
    return tiny_spec(task=None, objective="mine:train", train_size=64, parameters=PARAMETERS, **changes)


def own(*points):
    metric = {"metric": "loss", "direction": "minimize"}
    return spec_with(*points, **metric)


def test_a_point_becomes_the_parameters_of_a_trial():
    point = {
        "batch_size": 32, "base_lr": 1, "momentum": 0.9, "optimizer": "momentum", "decay": "constant", "depth": 2,
        "dropout": 0, "bias": True, "width": 256.0, "nesterov": False,
    }  # fmt: skip
    spec = own(point)
    [start] = spec.search.start
    params = params_of(start, spec)
    assert params == {
        "log2_batch_size": 5, "base_lr": 1.0, "one_minus_momentum": pytest.approx(0.1), "optimizer": "momentum",
        "depth": 2, "dropout": 0.0, "bias": True, "width": 256, "nesterov": False,
    }  # fmt: skip
    for name, value in params.items():
        assert distributions_of(spec)[name]._contains(distributions_of(spec)[name].to_internal_repr(value))
    found = point_of(params, spec)
    assert {name: found.value_of(name) for name in point} == point


@pytest.mark.parametrize("momentum", [0.5, 0.95])
def test_the_ends_of_a_range_are_in_it(momentum):
    spec = tiny_spec(search={"start": [{"base_lr": 0.01, "batch_size": 64, "momentum": momentum}]})
    for name, value in params_of(spec.search.start[0], spec).items():
        assert distributions_of(spec)[name]._contains(value)


@pytest.mark.parametrize(
    ("point", "line"),
    [
        ({"base_lr": 2.0}, "search.start.0.base_lr: must be at most 1.0, the highest of the space; got 2.0"),
        ({"momentum": 0.4}, "search.start.0.momentum: must be at least 0.5, the lowest of the space; got 0.4"),
        ({"batch_size": 24}, "search.start.0.batch_size: must be a power of two; got 24"),
        ({"batch_size": 32.0}, "search.start.0.batch_size: must be a whole number; got 32.0"),
        ({"base_lr": "0.1"}, 'search.start.0.base_lr: must be a number; got "0.1"'),
        ({"dropout": True}, "search.start.0.dropout: must be a number; got true"),
        ({"optimizer": "sgd"}, 'search.start.0.optimizer: must be one of momentum, adam; got "sgd"'),
        ({"bias": 1}, "search.start.0.bias: must be one of True, False; got 1"),
        ({"weight_decay": 0.1}, "search.start.0.weight_decay: must be 0.0, its only value in the space; got 0.1"),
        ({"lr": 0.1}, "search.start.0.lr: is no hyperparameter of this study; it has batch_size, base_lr, "),
        ({}, "search.start.0: must name a hyperparameter; got {}"),
        (
            {"optimizer": "adam", "nesterov": True},
            "search.start.0.nesterov: has no meaning here: it is searched when optimizer == 'momentum'; got true",
        ),
    ],
)
def test_what_is_outside_of_the_space_is_refused_in_one_line(point, line):
    with pytest.raises(SpecError) as refused:
        own(point)
    assert str(refused.value).startswith(f"test: {line}") and "\n" not in str(refused.value)


def test_a_condition_that_is_not_known_yet_is_no_reason_to_refuse():
    assert own({"nesterov": True}).search.start == ({"nesterov": True},)


def test_there_are_at_most_as_many_as_trials():
    with pytest.raises(
        SpecError, match=r"search\.start: must be at most 6 configurations, the number of trials; got 7"
    ):
        tiny_spec(search={"start": [{"base_lr": 0.1}] * 7})


def test_a_study_without_start_keeps_its_fingerprint_and_one_with_it_is_read_again():
    assert "start" not in canonical_json(tiny_spec())
    spec = tiny_spec(search={"start": [{"base_lr": 0.1}]})
    assert parse_spec(tiny_study(search={"start": [{"base_lr": 0.1}]}), "again") == spec
    assert fingerprint(spec) != fingerprint(tiny_spec()) and "start" in toml_of(spec)
