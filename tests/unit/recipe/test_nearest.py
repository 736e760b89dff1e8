"""A configuration from elsewhere as the nearest one of a space."""

import pytest
from batchlaw.recipe.derive import derive
from batchlaw.recipe.nearest import nearest_point
from batchlaw.recipe.space import Suggested, distributions_of, params_of, suggest
from batchlaw.spec import parse_spec

from tests.conftest import tiny_spec, tiny_study

RULES = {"scaling_rule": ["sqrt", "linear"]}


def peak(point, spec):
    """The peak learning rate that `derive` gives a point, the rest of it at the middle of the space."""
    absent = {name: of.choices[0] if hasattr(of, "choices") else of.low for name, of in distributions_of(spec).items()}
    return derive(spec, suggest(Suggested(absent | params_of(point, spec)), spec), (0,)).peak_lr


@pytest.mark.parametrize("rule", ["sqrt", "linear"])
@pytest.mark.parametrize("factors", [True, False])
@pytest.mark.parametrize(("optimizer", "momentum"), [("momentum", 0.8), ("adam", 0.0)])
def test_the_base_rate_gives_the_same_peak(rule, factors, optimizer, momentum):
    spec = tiny_spec(space=RULES | {"family_factors": factors, "base_lr": {"low": 1e-6, "high": 100.0, "log": True}})
    values = {"batch_size": 16, "optimizer": optimizer, "momentum": momentum, "scaling_rule": rule, "peak_lr": 0.003}
    point = nearest_point(values, spec)
    assert point["batch_size"] == 16 and point["scaling_rule"] == rule
    assert ("momentum" in point) == (optimizer == "momentum")
    assert peak(point, spec) == pytest.approx(0.003)


def test_another_optimizer_has_its_own_rate():
    spec = tiny_spec(space={"optimizer": "adam", "momentum": 0.9})
    point = nearest_point({"batch_size": 16, "optimizer": "momentum", "momentum": 0.9, "peak_lr": 0.02}, spec)
    assert peak(point, spec) == pytest.approx(0.02 / 0.1 * 0.01)


def test_what_is_outside_is_moved_to_the_nearest_and_what_is_unknown_is_left_out():
    spec = tiny_spec()
    values = {
        "batch_size": 500, "optimizer": "lion", "momentum": 0.999, "peak_lr": 1.0, "decay": "cosine", "steps": 5,
    }  # fmt: skip
    point = nearest_point(values, spec)
    assert point == {"batch_size": 64}
    parse_spec(tiny_study(search={"start": [point]}), "a start")  # is accepted
    values = {"batch_size": 20, "peak_lr": 50.0, "optimizer": "momentum", "momentum": 0.999}
    assert nearest_point(values, spec) == {
        "batch_size": 16, "optimizer": "momentum", "momentum": 0.95, "base_lr": 1.0
    }  # fmt: skip


def test_numbers_to_choose_from_are_near_by_their_ratio():
    spec = tiny_spec(
        task=None, objective="mine:train", train_size=64, space={"batch_size": [8, 32]},
        parameters={"width": [64, 512], "dropout": [0.0, 0.3], "bias": [True, False], "depth": {"low": 1, "high": 4}},
        search={"metric": "loss", "direction": "minimize"},
    )  # fmt: skip
    point = nearest_point({"batch_size": 15, "width": 200.0, "dropout": 0.1, "bias": 1, "depth": 2.6}, spec)
    assert point == {"batch_size": 8, "width": 512, "dropout": 0.0, "depth": 3}


def test_without_an_optimizer_that_tells_its_factor_there_is_no_rate():
    assert "base_lr" not in nearest_point({"batch_size": 16, "peak_lr": 0.01}, tiny_spec())
    own = tiny_spec(space={"optimizer": "sgd"})
    assert nearest_point({"batch_size": 16, "peak_lr": 0.02}, own)["base_lr"] == pytest.approx(0.02)
