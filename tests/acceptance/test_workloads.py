"""The studies of studies/workloads are right, their scripts train, and what they take from papers is as it is there."""

import json
import math
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from batchlaw import Trial
from batchlaw.recipe.derive import check_space, derive
from batchlaw.spec import Budget, read_spec
from batchlaw.spec.knobs import Point

FOLDER = Path(__file__).parents[2] / "studies" / "workloads"


@pytest.fixture(autouse=True)
def beside_the_studies(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield
    for name in {path.stem for path in FOLDER.glob("*.py")} - before:
        sys.modules.pop(name, None)


def trained(name, folder, budget, batch_size):
    """The metrics of a few steps of a study's function, and its reports."""
    spec = read_spec(FOLDER / f"{name}.toml").model_copy(update={"budget": Budget(**budget)})
    space = {key: getattr(spec.space, key) for key in ("optimizer", "decay", "momentum", "bias_correction")}
    reports = []
    config = derive(spec, Point(batch_size=batch_size, base_lr=0.3, **space), seeds=(1,))
    trial = Trial(config, lambda progress, metrics: reports.append((progress, metrics)), folder)
    return import_module(name).train(trial), reports, spec


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_every_configuration_of_a_workload_can_be_trained(file):
    spec = read_spec(file)
    check_space(spec)
    assert spec.name == f"workload-{file.stem.replace('_', '-')}"


@pytest.mark.parametrize(
    ("name", "budget", "batch_size"),
    [
        pytest.param("bert", {"steps": 8}, 4, marks=pytest.mark.slow),  # transformers takes seconds to import
        ("addernet", {"steps": 8}, 8),
        ("policy_gradient", {"amount": 600, "unit": "environment steps"}, 100),
    ],
)
def test_a_function_trains_and_reports(tmp_path, name, budget, batch_size):
    if name == "bert":
        pytest.importorskip("transformers")
    metrics, reports, spec = trained(name, tmp_path, budget, batch_size)
    assert metrics.keys() == {spec.arm.metric} and metrics[spec.arm.metric] > 0
    assert len(reports) >= 3 and all(0 < progress <= 1 for progress, _ in reports)


def test_an_adder_layer_is_that_of_its_paper():
    addernet = import_module("addernet")
    patches, weight = torch.randn(2, 5, 9, requires_grad=True), torch.randn(3, 9, requires_grad=True)
    outputs = addernet.Add.apply(patches, weight)
    difference = patches[:, :, None] - weight  # (examples, places, channels, k)
    torch.testing.assert_close(outputs, -difference.abs().sum(3))
    gradient = torch.randn_like(outputs)
    outputs.backward(gradient)
    torch.testing.assert_close(weight.grad, torch.einsum("npc,npck->ck", gradient, difference.detach()))
    clipped = torch.einsum("npc,npck->npk", gradient, (-difference.detach()).clamp(-1, 1))
    torch.testing.assert_close(patches.grad, clipped)


def test_the_pole_falls_as_in_gym():
    # One step by the formulas in the source of gymnasium's CartPole-v1.
    policy = import_module("policy_gradient")
    state, fallen = policy.step([0.01, 0.02, 0.03, 0.04], True)
    temp = (10.0 + 0.05 * 0.04**2 * math.sin(0.03)) / 1.1
    turn = (9.8 * math.sin(0.03) - math.cos(0.03) * temp) / (0.5 * (4.0 / 3.0 - 0.1 * math.cos(0.03) ** 2 / 1.1))
    move = temp - 0.05 * turn * math.cos(0.03) / 1.1
    assert state == pytest.approx([0.0104, 0.02 + 0.02 * move, 0.0308, 0.04 + 0.02 * turn], rel=1e-9)
    assert not fallen and policy.step([2.39, 3.0, 0.0, 0.0], False)[1] and policy.step([0, 0, 0.2, 3.0], True)[1]
    assert policy.returns_of(3) == pytest.approx([1 + 0.99 + 0.99**2, 1 + 0.99, 1.0])


def test_the_gan_trains_and_its_score_is_the_distance_of_normal_distributions(tmp_path, capsys):
    gan = import_module("gan")
    first, second = torch.randn(4000, 3), 2 * torch.randn(4000, 3) + 1
    assert gan.frechet(first, second) == pytest.approx(3 * 1 + 3 * (2 - 1) ** 2, rel=0.1)
    assert gan.frechet(first, first) == pytest.approx(0, abs=1e-6)
    if not gan.DATA.is_dir():
        pytest.skip(f"{gan.DATA} is not there")
    file = tmp_path / "generator.pt"
    gan.train(Namespace(seed=1, lr=1e-3, judge_ratio=1.0, batch_size=32, steps=8, file=file))
    gan.score(file)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("progress") for line in lines] == [0.25, 0.5, 0.75, 1.0, None]
    assert lines[-1]["frechet"] > 0
