"""The largest learning rate of a stable step: the line search, and its steps made again by the loop."""

import json
from math import inf
from pathlib import Path

import batchlaw as bl
import pytest
import torch
from batchlaw.cli import app
from batchlaw.measure import rate_range
from batchlaw.measure.rate_range import critical_rate
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.schedule import Phase, Schedule
from batchlaw.results.interval import Interval
from batchlaw.results.rate_range import LearningRateRange, RateBound
from batchlaw.spec import parse_spec, toml_of
from batchlaw.spec.knobs import Point
from batchlaw.train.data import load_parts
from batchlaw.train.parallel_runs import ParallelRuns
from typer.testing import CliRunner

from tests.conftest import tiny_spec, tiny_study


@pytest.mark.parametrize("curvature", [0.03, 1.0, 700.0])
def test_on_a_parabola_the_critical_rate_is_2_over_its_curvature(curvature):
    tried = []

    def rises(rate):  # the loss λw²/2 after a step of gradient descent from w = 1
        tried.append(rate)
        return (1 - rate * curvature) ** 2 > 1

    found = critical_rate(rises, 3.0 / curvature, 1e-9, 1e9)
    assert 2 ** (-0.25) * 2 / curvature <= found <= 2 / curvature
    assert len(tried) <= 6
    assert critical_rate(rises, 1.0, 1e-9, 1e9) == pytest.approx(2 / curvature, rel=0.2)


def test_a_search_without_an_end_ends():
    assert critical_rate(lambda rate: True, 1.0, 1e-3, 1e3) == 0
    assert critical_rate(lambda rate: False, 1.0, 1e-3, 1e3) == inf


def test_a_step_at_the_bound_does_not_raise_the_loss_and_one_above_does(tmp_path, monkeypatch):
    for name in ("_SEEDS", "_PLACES"):
        monkeypatch.setattr(rate_range, name, 1)
    changes = {"space": {"batch_size": [8, 64], "optimizer": "adam", "momentum": 0.9, "scaling_rule": ["sqrt", "sde"]}}
    spec, file = tiny_spec(**changes), tmp_path / "tiny.toml"
    file.write_text(toml_of(spec))
    found = bl.learning_rate_range(file, device="cpu", threads=1)
    assert [(row.scaling_rule, row.batch_size) for row in found.rows] == [
        ("sqrt", 8), ("sqrt", 64), ("sde", 8), ("sde", 64)
    ]  # fmt: skip
    parts = load_parts(spec.task, torch.device("cpu"), Path("unused"))
    for row in found.rows:
        point = Point(batch_size=row.batch_size, base_lr=0.01, optimizer="adam", scaling_rule=row.scaling_rule)
        config = derive(spec, point, run_seeds(0, 1))
        assert row.base_lr.value / row.peak_lr.value == pytest.approx(0.01 / config.peak_lr)
        losses = []
        for factor in (0.0, 1.0, 2**0.26):
            schedule = Schedule((Phase(row.batch_size, 11, 1.0),), 0, "constant")
            stack = ParallelRuns(config, config.task, config.seeds, schedule, parts.train)
            stack.advance(0, 10)
            stack._lrs[10] = factor * row.peak_lr.value
            stack.advance(10, 11)
            losses += stack.evaluate(parts.sample).loss
        assert losses[1] <= losses[0] < losses[2]


def bound(value, batch_size=8):
    rate = Interval(value, value, value)
    return RateBound(optimizer="sgd", scaling_rule="constant", batch_size=batch_size, peak_lr=rate, base_lr=rate)


@pytest.mark.parametrize(
    ("values", "told", "hint"),
    [
        ((0.5, 1.234), 1.3, "base_lr: high = 1.3 in place of 10; above it no batch size has a stable step"),
        ((0.5, 40.0), 40.0, "base_lr: nothing to cut, the space ends at 10 and the largest bound is 40"),
        ((0.5, inf), None, "no bound that holds at every batch size"),
        ((0.0, 0.0), None, "no bound that holds at every batch size"),
    ],
)
def test_the_hint_is_of_the_largest_bound(values, told, hint):
    found = LearningRateRange(study="s", highest=10.0, seeds=3, rows=tuple(bound(value) for value in values))
    assert (found.bound, found.hint) == (told, hint)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["bound"] == told
    assert found.table["base_lr"].tolist() == list(values)


def test_the_command_prints_a_table_or_json_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("_SEEDS", "_PLACES"):
        monkeypatch.setattr(rate_range, name, 1)
    Path("tiny.toml").write_text(toml_of(tiny_spec()))
    shown = CliRunner().invoke(app, ["range", "tiny.toml", "--threads", "1"])
    assert shown.exit_code == 0 and "base_lr at most" in shown.output and "adam" in shown.output
    told = json.loads(CliRunner().invoke(app, ["range", "tiny.toml", "--threads", "1", "--json"]).stdout)
    assert [row["batch_size"] for row in told["rows"]] == [8, 16, 32, 64] * 2
    assert all(row["base_lr"]["value"] > 0 for row in told["rows"])
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_code_of_the_users_own_has_no_range(tmp_path):
    study = tiny_study(train_size=64, search={"metric": "validation_loss"})
    del study["task"]
    file = tmp_path / "own.toml"
    file.write_text(toml_of(parse_spec(study | {"objective": "mine:train"}, "test")))
    with pytest.raises(bl.BatchlawError, match=r"study 'tiny' runs 'mine:train'; a range needs a \[task\]"):
        bl.learning_rate_range(file)
