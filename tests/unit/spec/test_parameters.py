"""[parameters]: hyperparameters of the user's own, and a study that gives no more than it uses."""

import json

import pytest
from batchlaw.errors import SpecError, StudyError
from batchlaw.recipe.derive import check_space, derive
from batchlaw.recipe.space import cells, conditional, distributions_of, point_of, suggest
from batchlaw.spec import canonical_json, fingerprint, parse_spec, toml_of
from batchlaw.spec.config import TrainConfig
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

LEAST = {
    "name": "own", "objective": "ask", "parameters": {"dropout": {"low": 0.0, "high": 0.5}},
    "search": {"trials": 10, "metric": "loss", "direction": "minimize"},
}  # fmt: skip


def spec_with(parameters, **tables):
    return parse_spec(LEAST | {"parameters": parameters} | tables, "study.toml")


def test_each_form_of_a_parameter_is_suggested_on_its_own_scale():
    spec = spec_with(
        {
            "dropout": {"low": 0.0, "high": 0.5},
            "clip": {"low": 1e-3, "high": 10.0, "log": True},
            "depth": {"low": 2, "high": 8},
            "units": {"low": 16, "high": 1024, "log": True},
            "width": [128, 256, 512],
            "activation": ["relu", "gelu"],
            "bias": [True, False],
            "heads": 8,
        }
    )
    assert distributions_of(spec) == {
        "dropout": FloatDistribution(0.0, 0.5),
        "clip": FloatDistribution(1e-3, 10.0, log=True),
        "depth": IntDistribution(2, 8),
        "units": IntDistribution(16, 1024, log=True),
        "width": CategoricalDistribution((128, 256, 512)),
        "activation": CategoricalDistribution(("relu", "gelu")),
        "bias": CategoricalDistribution((True, False)),
    }
    given = {"dropout": 0.1, "clip": 0.5, "depth": 3, "units": 64, "width": 256, "activation": "gelu", "bias": False}
    assert suggest(FixedTrial(given), spec).parameters == given | {"heads": 8}
    assert spec.searched == tuple(given)


def test_types_survive_storage():
    spec = spec_with({"a": [1, 2], "b": [0.5, 1.0], "c": [True, False], "d": ["1", "x"], "e": 3, "f": 2.0, "g": "t"})
    again = parse_spec(json.loads(canonical_json(spec)), "stored")
    assert again == spec
    config = derive(again, point_of({"a": 1, "b": 1.0, "c": True, "d": "1"}, again), (0,))
    read = TrainConfig.model_validate_json(config.model_dump_json()).parameters
    assert [type(value) for value in read.values()] == [int, float, bool, str, int, float, str]
    import tomllib

    assert parse_spec(tomllib.loads(toml_of(spec)), "written") == spec


def test_a_conditional_parameter_is_there_where_its_condition_holds():
    spec = spec_with(
        {
            "inner": {"low": 0.0, "high": 1.0, "when": "gate == 'on' and outer > 2"},  # before what it names
            "outer": {"low": 1, "high": 4, "when": "optimizer == 'sgd'"},
            "gate": ["on", "off"],
        },
        space={"optimizer": ["sgd", "adam"]},
    )
    every = {"optimizer": "sgd", "outer": 3, "inner": 0.5, "gate": "on"}
    assert suggest(FixedTrial(every), spec).parameters == {"inner": 0.5, "outer": 3, "gate": "on"}
    assert suggest(FixedTrial(every | {"outer": 2}), spec).parameters == {"outer": 2, "gate": "on"}
    # `outer` is absent, so that a condition on it is false.
    assert suggest(FixedTrial(every | {"optimizer": "adam"}), spec).parameters == {"gate": "on"}
    assert {"inner", "outer", "gate", "optimizer"} == distributions_of(spec).keys()
    assert conditional(spec) == [("inner",), ("outer",)]


BROKEN = [
    ({"x": {"low": 1.0, "high": 1.0}}, "parameters.x.high: must be above low = 1.0; got 1.0"),
    ({"x": {"low": 0, "high": 8, "log": True}}, "parameters.x.low: must be above 0 on a log scale; got 0"),
    ({"x": {"low": 1}}, "parameters.x.high: is required in a range; got null"),
    ({"x": []}, "parameters.x: must name at least one value; got []"),
    ({"x": [1, 1.0]}, "parameters.x: must not repeat a value; got [1, 1.0]"),
    ({"x": {"choices": [1], "value": 2}}, "parameters.x: must be a value, a list, or a table"),
    ({"x": {}}, "parameters.x: must be a value, a list, or a table"),
    ({"x": {"low": 0.0, "hihg": 1.0}}, "parameters.x.hihg: unknown key (did you mean 'high'?)"),
    ({"x": {"low": "a", "high": 1}}, "parameters.x.low"),
    ({"x": [{"a": 1}]}, 'parameters.x: must be numbers, text, true or false; got {"a": 1}'),
    ({"a-b": 1}, "parameters.a-b: must be a name of letters, digits and _"),
    ({"batch_size": [1, 2]}, "parameters.batch_size: has a meaning in batchlaw"),
    ({"log2_batch_size": [1, 2]}, "parameters.log2_batch_size: has a meaning in batchlaw"),
    ({"run_dir": ["a", "b"]}, "parameters.run_dir: has a meaning in batchlaw"),
    ({"x": {"low": 0.0, "high": 1.0, "when": "y == 1"}}, "parameters.x.when: there is no 'y'"),
    ({"x": {"low": 0.0, "high": 1.0, "when": "batch_size > 3"}}, "parameters.x.when: there is no 'batch_size'"),
    ({"x": {"low": 0.0, "high": 1.0, "when": "x > 0.5"}}, "parameters.x.when: conditions of x depend on each other"),
    (
        {"x": {"low": 0, "high": 2, "when": "y > 1"}, "y": {"low": 0, "high": 2, "when": "x > 1"}, "z": 1},
        "parameters.x.when: conditions of x, y depend on each other",
    ),
    ({"x": {"low": 0, "high": 2, "when": "y + 1"}, "y": 1}, "parameters.x.when: must be a condition"),
    ({"x": {"low": 0, "high": 2, "when": "y == 'c'"}, "y": ["a", "b"]}, "parameters.x.when: never holds"),
    ({"x": {"low": 0, "high": 2, "when": "y > 'a'"}, "y": 1}, "parameters.x.when: '>' needs numbers"),
    ({"x": {"low": 0, "high": 2, "when": "__import__('os')"}}, "parameters.x.when: there is no function '__import__'"),
]


@pytest.mark.parametrize(("parameters", "words"), BROKEN)
def test_a_broken_parameter_is_one_line_naming_field_and_value(parameters, words):
    with pytest.raises(SpecError) as refusal:
        spec_with(parameters)
    assert str(refusal.value).startswith(f"study.toml: {words}")
    assert "\n" not in str(refusal.value)


def test_a_study_needs_no_more_than_it_uses():
    spec = parse_spec(LEAST, "study.toml")
    check_space(spec)
    config = derive(spec, point_of({"dropout": 0.25}, spec), (1,))
    assert config.parameters == {"dropout": 0.25}
    unknown = ("batch_size", "base_lr", "peak_lr", "steps", "examples", "train_size", "warmup_steps", "noise_scale")
    assert [getattr(config, name) for name in unknown] == [None] * len(unknown)
    assert spec.purpose == "Which dropout is best?"
    with pytest.raises(StudyError, match=r"study 'own' has no learning rate \(space.base_lr\), and a law needs one"):
        spec.require("a law", "base_lr", "batch_size")


LEARNING = {"batch_size": 16, "base_lr": {"low": 0.01, "high": 1.0, "log": True}}
NEEDS = [
    ({"budget": {"epochs": 3}}, "train_size: is required by budget.epochs"),
    ({"budget": {"tokens": 1000}}, "tokens_per_example: is required by budget.tokens"),
    ({"budget": {"amount": 100}}, "budget.unit: amount and unit belong together"),
    ({"budget": {"lr_time": 1.0, "min_steps": 1, "max_steps": 9}}, "space.base_lr: is required by budget.lr_time"),
    ({"space": {"scaling_rule": ["sqrt", "linear"]}}, "space.base_lr: is required by space.scaling_rule"),
    ({"space": {"base_lr": 0.1, "scaling_rule": "sqrt"}}, "space.batch_size: is required by space.scaling_rule"),
    ({"space": {"decay": "batch-growth"}}, "space.batch_size: is required by space.decay"),
]


@pytest.mark.parametrize(("tables", "words"), NEEDS)
def test_what_is_missing_is_named_with_what_needs_it(tables, words):
    with pytest.raises(SpecError) as refusal:
        parse_spec(LEAST | tables, "study.toml")
    assert str(refusal.value).startswith(f"study.toml: {words}")


def derived(**tables):
    spec = parse_spec(LEAST | tables, "study.toml")
    params = dict.fromkeys(distributions_of(spec), 0.5)
    return derive(spec, point_of(params, spec), (1,))


def test_budgets_give_what_can_be_known():
    tokens = derived(budget={"tokens": 10_240}, tokens_per_example=64, space=LEARNING)
    assert (tokens.examples, tokens.steps, tokens.tokens, tokens.batch_tokens) == (160, 10, 10_240, 1024)
    steps = derived(budget={"steps": 100}, space={"base_lr": 0.1, "warmup_fraction": 0.1, "decay": "cosine"})
    assert (steps.steps, steps.warmup_steps, steps.examples) == (100, 10, None)
    epochs = derived(budget={"epochs": 2}, train_size=50, space={"base_lr": 0.1})
    assert (epochs.examples, epochs.steps) == (100, None)
    own = derived(budget={"amount": 500_000, "unit": "environment steps"})
    assert (own.budget, own.budget_unit, own.steps) == (500_000, "environment steps", None)
    assert own.placeholders()["budget"] == 500_000


def test_without_a_batch_size_the_schedule_is_that_of_the_steps():
    from batchlaw.recipe.schedule import schedule_of

    decay = {"base_lr": 0.1, "warmup_fraction": 0.1, "decay": "cosine"}
    alone = derived(budget={"steps": 40}, space=decay)
    beside = derived(budget={"steps": 40}, space=decay | {"batch_size": 16})
    assert schedule_of(alone).lr_multipliers().tolist() == schedule_of(beside).lr_multipliers().tolist()


def test_levels_of_parameters_are_crossed_in_a_designed_study():
    claim = {"hypotheses": ["H9"], "metric": "loss", "direction": "minimize"}
    sizes, rates = [2**k for k in range(2, 10)], [2.0**-k for k in range(1, 8)]
    table = {name: value for name, value in LEAST.items() if name != "search"}
    table |= {"claim": claim, "space": {"batch_size": sizes, "base_lr": rates}, "budget": {"examples": 5000}}
    plain = parse_spec(table | {"parameters": {"width": 64}}, "study.toml")
    spec = parse_spec(table | {"parameters": {"width": [64, 128], "norm": [True, False]}}, "study.toml")
    assert len(cells(spec)) == 4 * len(cells(plain)) == 4 * 56
    assert all(cell.keys() == {"batch_size", "base_lr", "width", "norm"} for cell in cells(spec))
    with pytest.raises(SpecError, match=r"parameters.width: a claim needs levels"):
        parse_spec(table | {"parameters": {"width": {"low": 1, "high": 3}}}, "study.toml")
    with pytest.raises(SpecError, match=r"parameters.width.when: a claim crosses all levels"):
        parse_spec(table | {"parameters": {"width": {"choices": [1, 3], "when": "batch_size > 4"}}}, "study.toml")


def test_a_claim_is_about_learning_rates_and_batch_sizes():
    table = {name: value for name, value in LEAST.items() if name != "search"}
    claim = {"hypotheses": ["H11"], "metric": "loss", "direction": "minimize"}
    with pytest.raises(SpecError, match=r"space.batch_size: is required with \[claim\]"):
        parse_spec(table | {"claim": claim}, "study.toml")


def test_new_keys_leave_the_fingerprint_of_a_study_without_them():
    old = {name: value for name, value in LEAST.items() if name != "parameters"} | {
        "question": "Which?", "objective": "own_training:train", "train_size": 100,
        "budget": {"epochs": 1}, "space": LEARNING,
    }  # fmt: skip
    written = json.loads(canonical_json(parse_spec(old, "study.toml")))
    assert written.keys().isdisjoint({"parameters", "tokens_per_example"})
    assert written["budget"].keys() == {"epochs", "steps", "examples", "lr_time", "min_steps", "max_steps"}
    assert fingerprint(parse_spec(old, "study.toml")) == "108e8a4edbf34450"  # by the version before
