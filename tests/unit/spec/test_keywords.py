"""Keywords of `Study.create` become the tables of a study file."""

import numpy as np
import pytest
from batchlaw.errors import SpecError
from batchlaw.spec import FloatRange, IntRange, fingerprint, parse_spec, tables_of
from batchlaw.spec.knobs import KNOBS

from tests.conftest import tiny_study

OWN = {"name": "mine", "objective": "module:train", "metric": "loss", "direction": "minimize", "train_size": 1000,
       "epochs": 2, "space": {"batch_size": 16, "base_lr": 0.1}}  # fmt: skip


def spec_of(**keywords):
    return parse_spec(tables_of({**OWN, **keywords}), "test")


def test_each_table_as_a_keyword_is_the_study_of_the_file():
    study = tiny_study()
    assert tables_of(study) == study
    assert fingerprint(parse_spec(tables_of(study), "test")) == fingerprint(parse_spec(study, "test"))


def test_shortcuts_are_keys_of_their_tables():
    short = spec_of(trials=7, replicates=3, sampler="random", pruner="none", seed=5)
    long = tables_of(
        {
            **{key: OWN[key] for key in ("name", "objective", "train_size", "space")},
            "budget": {"epochs": 2},
            "search": {"trials": 7, "replicates": 3, "sampler": "random", "pruner": "none", "seed": 5, "metric": "loss",
                       "direction": "minimize"},
        }
    )  # fmt: skip
    assert fingerprint(short) == fingerprint(parse_spec(long, "test"))


def test_of_a_designed_study_metric_direction_and_seeds_are_keys_of_the_claim():
    space = {"batch_size": (1, 256), "base_lr": [2.0**e for e in range(-6, 0)]}
    spec = spec_of(claim={"hypotheses": ["H9"]}, replicates=6, seed=2, space=space)
    assert spec.search is None
    assert (spec.claim.metric, spec.direction, spec.claim.replicates, spec.claim.seed) == ("loss", "minimize", 6, 2)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("batch_size", (16, 256), IntRange(low=16, high=256, log2=True)),
        ("batch_size", (16, 250), IntRange(low=16, high=250)),
        ("base_lr", (1e-4, 1.0), FloatRange(low=1e-4, high=1.0, log=True)),
        ("weight_decay", (1e-5, 0.1), FloatRange(low=1e-5, high=0.1, log=True)),
        ("weight_decay", (0.0, 0.1), FloatRange(low=0.0, high=0.1)),
        ("warmup_fraction", (0.0, 0.2), FloatRange(low=0.0, high=0.2)),
        ("momentum", (0.5, 0.99), FloatRange(low=0.5, high=0.99)),
        ("batch_size", [16, 64], (16, 64)),
        ("batch_size", np.array([16, 64]), (16, 64)),
        ("batch_size", np.int64(16), 16),
        ("batch_size", range(16, 19), (16, 17, 18)),
        ("base_lr", (np.float64(0.1), np.float32(0.5)), FloatRange(low=0.1, high=0.5, log=True)),
        ("optimizer", ("sgd", "adam"), ("sgd", "adam")),
        ("optimizer", "adam", "adam"),
    ],
)
def test_a_tuple_is_a_range_on_the_scale_of_its_hyperparameter(name, given, expected):
    assert getattr(spec_of(trials=1, space={**OWN["space"], name: given}).space, name) == expected


@pytest.mark.parametrize("knob", [knob for knob in KNOBS if knob.kind is not str and knob.name != "train_size"])
def test_every_number_takes_a_tuple(knob):
    ends = (2, 8) if knob.kind is int else (0.25, 0.5)
    dimension = getattr(
        spec_of(trials=1, space={**OWN["space"], "optimizer": "adamw", knob.name: ends}).space, knob.name
    )
    assert (dimension.low, dimension.high) == ends


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"trials": 3, "search": {"trials": 3}}, "trials: got 3; search has it as well"),
        ({"budget": {"steps": 3}, "steps": 3}, "steps: got 3; budget has it as well"),
        ({"trials": 3, "claim": {"hypotheses": ["H9"]}}, "trials: got 3; belongs to a search"),
        ({"trials": 3, "space": {"batch_size": (1, 2, 3), "base_lr": 0.1}}, "space.batch_size: got (1, 2, 3); a tuple"),
        ({"trials": 0}, "test: search.trials: must be greater than or equal to 1; got 0"),
        ({}, "test: search.trials: is required"),
        ({"trials": 3, "name": "a b"}, "test: name: "),
        ({"trials": 3, "space": {**OWN["space"], "learning_rate": 0.1}}, "space.learning_rate: unknown key"),
        ({"trials": 3, "space": [16]}, "space: got [16]; must be a mapping"),
        ({"search": 3}, "search: got 3; must be a mapping"),
    ],
)
def test_a_wrong_keyword_is_named_with_its_value(keywords, words):
    with pytest.raises(SpecError) as refused:
        spec_of(**keywords)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_study_without_an_objective_is_one_of_ask_and_tell():
    tables = tables_of({key: value for key, value in OWN.items() if key != "objective"} | {"trials": 1})
    assert parse_spec(tables, "test").objective == "ask"


def test_the_question_has_a_default_that_says_what_is_searched():
    assert "batch size" in spec_of(trials=1, space={"batch_size": [1, 2], "base_lr": (0.1, 1.0)}).question
    assert spec_of(trials=1, question="Why?").question == "Why?"
