"""Reading study files, and their canonical JSON, fingerprint and differences."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
import tomli_w
from batchlaw.errors import ConfigError, SpecError
from batchlaw.recipe.derive import check_space
from batchlaw.spec import (
    canonical_json,
    differing_fields,
    fingerprint,
    parse_spec,
    read_spec,
    tables_of,
    toml_of,
)
from batchlaw.spec.hints import hints_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_spec, tiny_study
from tests.unit.spec.conftest import GOOD, STUDIES, changed


def test_an_unreadable_file_is_one_line(tmp_path):
    with pytest.raises(SpecError, match=r"nothing\.toml: there is no such file"):
        read_spec(tmp_path / "nothing.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(SpecError, match="not valid TOML"):
        read_spec(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="not valid TOML"):
        read_spec(tmp_path / "binary.toml")


def test_canonical_json_ignores_order_and_spelled_out_defaults():
    spec = parse_spec(GOOD, "a")
    reordered = dict(reversed(list(GOOD.items())))
    reordered["search"] = {**GOOD["search"], "replicates": 1, "reports": 10}
    assert canonical_json(parse_spec(reordered, "b")) == canonical_json(spec)
    assert fingerprint(parse_spec(reordered, "b")) == fingerprint(spec)


def test_canonical_json_reads_back_to_the_same_spec():
    for file in STUDIES.glob("*.toml"):
        spec = read_spec(file)
        assert parse_spec(json.loads(canonical_json(spec)), "canonical") == spec


def test_differing_fields_are_named_with_both_values_and_name_and_number_of_trials_are_none():
    other = changed("search.trials", 60)
    other["search"]["reports"] = 5
    other["name"] = "other"
    other["task"]["label_noise"] = 0.1
    assert differing_fields(parse_spec(GOOD, "a"), parse_spec(other, "b")) == [
        "search.reports: stored 10, given 5",
        "task.label_noise: stored 0.0, given 0.1",
    ]
    assert fingerprint(parse_spec(GOOD, "a")) != fingerprint(parse_spec(other, "b"))


def refusal(file):
    with pytest.raises(SpecError) as refused:
        read_spec(file)
    line = str(refused.value)
    assert "\n" not in line and len(line) < 500
    return line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        (b"x = " + b"{a = " * 5_000, "nested too deeply"),
        (b"name = " + b"9" * 5_000, "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (b"\x00", "not valid TOML"),
        (b"a" * 1_000_001, "must have at most 1,000,000"),
    ],
)
def test_a_file_that_is_no_study_is_one_line(tmp_path, content, words):
    (tmp_path / "study.toml").write_bytes(content)
    assert words in refusal(tmp_path / "study.toml")


def test_a_mark_of_the_byte_order_is_no_part_of_the_file(tmp_path):
    file = tmp_path / "study.toml"
    file.write_bytes(b"\xef\xbb\xbf" + tomli_w.dumps(tiny_study()).encode())
    assert read_spec(file).name == "tiny"


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    assert "is no regular file" in refusal(tmp_path / "pipe.toml")
    assert "is a folder" in refusal(tmp_path)
    assert "is no regular file" in refusal(Path("/dev/zero"))


def test_a_name_in_place_of_a_file_is_told_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "takes the file of a study" in refusal(Path("mine"))
    Path("studies").mkdir()
    Path("studies/mine.toml").touch()
    assert refusal(Path("mine")).endswith("there is no such file; did you mean studies/mine.toml?")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": None, "batchsize": 32}, "space.batchsize: unknown key (did you mean 'batch_size'?)"),
        ({"base_lr": {"min": 0.1, "max": 1.0}}, "space.base_lr.min: unknown key (did you mean 'low'?)"),
        ({"base_lr": {"low": 0.1, "maximum": 1.0}}, "space.base_lr.maximum: unknown key (did you mean 'high'?)"),
        ({"base_lr": None, "lr": 0.1}, "space.lr: unknown key (did you mean 'base_lr'?)"),
    ],
)
def test_the_key_that_was_meant_is_named_first(changes, words):
    study = tiny_study(space=changes)
    study["space"] = {key: value for key, value in study["space"].items() if value is not None}
    with pytest.raises(SpecError) as refused:
        parse_spec(study, "study.toml")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"to": "neptune"}, "log.to: must be one of mlflow, wandb, tensorboard"),
        ({"uri": "sqlite:///mlflow.db"}, "log.to: is required"),
        ({"to": "wandb", "uri": "sqlite:///mlflow.db"}, 'log.uri: goes with to = "mlflow"; got "sqlite:///mlflow.db"'),
        ({"to": "mlflow", "folder": "runs"}, 'log.folder: goes with to = "tensorboard"; got "runs"'),
        ({"to": "wandb", "project": ""}, "log.project: must have at least 1 character"),
        ({"to": "wandb", "name": "x"}, "log.name: unknown key"),
    ],
)
def test_a_log_that_is_wrong_is_one_line(log, words):
    with pytest.raises(SpecError, match=re.escape(words)):
        tiny_spec(log=log)


def test_a_log_is_no_part_of_what_a_study_is():
    plain, told = tiny_spec(), tiny_spec(log={"to": "wandb", "project": "mine"})
    assert canonical_json(plain) == canonical_json(told) and not differing_fields(plain, told)
    assert parse_spec(tomllib.loads(toml_of(told)), "written").log == told.log
    assert tables_of({"name": "mine", "log": {"to": "mlflow"}})["log"] == {"to": "mlflow"}


def test_two_rates_far_apart_are_asked_about():
    assert hints_of(tiny_spec()) == []
    assert hints_of(tiny_spec(space={"base_lr": [0.1, 0.2]})) == []
    (hint,) = hints_of(tiny_spec(space={"base_lr": [1e-4, 1.0]}))
    assert "a range is {low = 0.0001, high = 1, log = true}" in hint


NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**18), 1e308, 5e-324, 0, -0.0, 2**63])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
TABLES = (None, "task", "budget", "space", "search", "claim", "parameters")
KEYS = sorted(
    {"low", "high", "log", "log2", *tiny_study(), *(key for name in TABLES[1:5] for key in tiny_study()[name])}
)


@settings(max_examples=150, deadline=None)
@given(table=st.sampled_from(TABLES), key=st.sampled_from(KEYS) | st.text(max_size=12), value=VALUES)
def test_a_study_with_any_value_anywhere_is_read_or_refused_in_a_line(table, key, value):
    study = tiny_study()
    (study if table is None else study.setdefault(table, {}))[key] = value
    try:
        spec = parse_spec(study, "study.toml")
        check_space(spec)
    except (SpecError, ConfigError) as refused:
        line = str(refused)
        assert line.isprintable() and len(line) < 2_000, line
    else:
        assert parse_spec(tomllib.loads(toml_of(spec)), "again") == spec


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_a_file_of_anything_is_read_or_refused_in_a_line(content, tmp_path_factory):
    file = tmp_path_factory.mktemp("any") / "study.toml"
    file.write_bytes(content)
    assert "\n" not in refusal(file)


PROGRAM = {"task": None, "command": ["python", "t.py", "{lr}", "{batch_size}"], "train_size": 64}
HEARD = {"metrics": {"loss": {"regex": "loss ([0-9.]+)"}}}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (HEARD, "how far the program is when it tells loss is not known; a table [progress] says it"),
        (HEARD | {"progress": {"regex": "step (\\d+)", "of": "{steps}"}}, None),
        ({"metrics": {"loss": {"tensorboard": "runs", "tag": "loss"}}}, "is read from TensorBoard when the program"),
        ({"budget": {"epochs": 1}}, "told once an epoch is told too seldom in 1"),
        ({"budget": {"epochs": 3}}, "search.reports = 3 compares trials after each epoch"),
        ({}, None),
    ],
)
def test_a_script_that_cannot_be_pruned_is_told_so(keys, words):
    search = {"metric": "loss", "direction": "minimize", "pruner": "hyperband", "trials": 9, "reports": 4}
    hints = hints_of(tiny_spec(**PROGRAM, **{"budget": {"epochs": 8}, **keys}, search=search))
    assert (words in hints[0] and hints[0].startswith("no trial can be pruned")) if words else not hints
    assert hints_of(tiny_spec(**PROGRAM, **keys, search=search | {"pruner": "none"})) == []
