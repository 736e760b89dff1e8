"""Studies to plan from: the cheapest that reach, what they cost, what is written, and what is refused."""

import json
import sys
import tomllib
from pathlib import Path

import batchlaw as bl
import numpy as np
import pytest
import tomli_w
from batchlaw.cli import main
from batchlaw.laws.designing import design_of
from batchlaw.laws.planning import _of_studies
from batchlaw.results.step_time import Profile, Row
from batchlaw.spec import Task, levels_of, parse_spec, read_spec
from batchlaw.spec.network_size import n_parameters, of_size
from batchlaw.stats.forecast import Group, forecast
from batchlaw.stats.forecast_design import ROW_ERROR, ForecastDesign
from batchlaw.stats.valleys import Shape, Valleys

SPEC = {
    "name": "task",
    "task": {"dataset": "digits", "model": "mlp", "model_options": {"widths": [64]}},
    "budget": {"epochs": 1},
    "space": {
        "batch_size": {"low": 2, "high": 32, "log2": True}, "base_lr": {"low": 0.01, "high": 0.7, "log": True},
        "optimizer": "momentum", "scaling_rule": ["sqrt", "linear"],
    },
    "search": {"trials": 8, "metric": "validation_loss", "replicates": 7, "seed": 3},
}  # fmt: skip
FUNCTION = {
    "name": "own", "objective": "train:train", "tokens_per_example": 1024,
    "space": {"batch_size": [8, 16, 32, 64, 128], "base_lr": [0.01, 0.03, 0.1, 0.3]},
    "search": {"trials": 8, "metric": "loss", "direction": "minimize"},
}  # fmt: skip
ASKED = {"examples": 100_000}


def changed(spec, **space):
    return parse_spec(spec | {"space": spec["space"] | space}, "test")


@pytest.fixture(scope="module")
def design():
    return design_of(parse_spec(SPEC, "test"), ASKED)


def profile(seconds):
    rows = [
        Row(optimizer="momentum", batch_size=size, seconds_a_step=seconds(size), iqr_seconds=0.0,
            micro_batch_size=size, peak_memory_bytes=None)
        for size in (2, 4, 8, 16, 32)
    ]  # fmt: skip
    return Profile(
        study="task", device="cpu", threads=1, precision="float32", replicates=1, measured_at="", versions={},
        rows=tuple(rows), largest=None,
    )  # fmt: skip


def test_the_studies_reach_the_factor_with_runs_that_are_shorter_and_a_plan_that_is_not_refused(design):
    horizons = design.table["examples"].to_numpy()
    assert 1 < design.expected_factor < 2 and design.factor == 2
    assert (np.diff(horizons) > 0).all() and horizons[-1] < 100_000
    assert np.log2(100_000 / horizons[-1]) <= max(2, np.log2(horizons[-1] / horizons[0]))
    for spec in design.studies:
        assert spec.claim.design == "factorial" and spec.claim.replicates == 7 and spec.claim.seed == 3
        assert spec.budget.examples % 32 == 0 and spec.budget.examples >= 32 * 32
        assert spec.space.scaling_rule == "constant" and spec.arm.metric == "validation_loss"
        assert levels_of(spec.space.base_lr) == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
        assert {2, 32} <= set(levels_of(spec.space.batch_size))
    assert design.runs == sum(7 * 7 * len(levels_of(spec.space.batch_size)) for spec in design.studies)
    assert design.examples == int((design.table["runs"] * design.table["examples"]).sum())


def test_a_wider_interval_costs_less_and_a_bound_on_the_runs_is_kept(design):
    spec = parse_spec(SPEC, "test")
    costs = [design_of(spec, ASKED, factor=factor).examples for factor in (1.9, 2.0, 2.5, 4.0)]
    assert costs == sorted(costs, reverse=True) and costs[0] > costs[-1]
    bounded = design_of(spec, ASKED, up_to=25_000, factor=2.5)
    assert bounded.table["examples"].max() <= 25_000


def test_the_cost_is_the_time_of_the_steps_where_these_were_timed():
    spec = parse_spec(SPEC, "test")
    found = design_of(spec, ASKED, profile=profile(lambda size: 1e-4 * size**0.5), timed="in this test")
    by_hand = sum(
        each.budget.examples // size * 1e-4 * size**0.5 * 7 * 7
        for each in found.studies for size in levels_of(each.space.batch_size)
    )  # fmt: skip
    assert found.seconds == pytest.approx(by_hand) and f"{found.seconds:,.0f} s" in found.lines()[0]
    assert design_of(spec, ASKED).seconds is None


@pytest.mark.parametrize("model", [{"model": "mlp"}, {"model": "cnn", "model_options": {"channels": 4}}])
def test_sizes_are_varied_where_they_are_asked_for(model):
    spec = parse_spec(SPEC | {"task": {"dataset": "digits"} | model}, "test")
    found = design_of(spec, {"examples": 100_000, "parameters": 80_000}, factor=4.0)
    sizes = sorted(set(found.table["parameters"]))
    assert len(sizes) >= 2 and sizes[-1] == pytest.approx(40_000, rel=0.1) and found.seconds is None
    assert len({(row.examples, row.parameters) for row in found.table.itertuples()}) == len(found.studies)


@pytest.mark.parametrize("n_axes", [1, 2])
def test_the_expected_width_is_that_of_forecasts(n_axes):
    """Forecasts of groups that obey a law with the usual deviations, as the studies would show them."""
    sizes, generator = np.arange(3.0, 9.0), np.random.default_rng(0)
    places = np.array([[-d, -n][:n_axes] for d in range(2, 6) for n in ((0,) if n_axes == 1 else range(1, 4))], float)
    expected = ForecastDesign(sizes, np.zeros(n_axes), of_size=n_axes == 2).octaves(places, 0.05)
    middle, octaves = places.mean(axis=0), []
    for _ in range(6 // n_axes):
        groups = []
        for place in places:
            own = generator.normal(scale=0.1) + generator.normal(scale=0.05) * (sizes - 5.5)
            best = 0.3 * place.sum() - 0.25 * np.logaddexp2(0, 3 * (6 + 0.5 * place[0] - sizes)) + own
            best = best + generator.normal(scale=np.hypot(0.08, ROW_ERROR), size=len(sizes))
            blank = np.zeros(len(sizes))
            optima = Valleys(sizes, best, np.eye(len(sizes)) * ROW_ERROR**2, blank, 0.0, 1.0, Shape(0, 0, 0, 0))
            groups.append(Group(place - middle, optima))
        low, high = forecast(groups, of_size=n_axes == 2).rate(-middle, np.array([5.5])).interval(0.05)
        octaves.append(float(high[0] - low[0]))
    assert expected == pytest.approx(np.mean(octaves), rel=0.25)


def test_the_files_are_studies_and_none_is_overwritten(design, tmp_path):
    paths = design.write(tmp_path)
    assert [read_spec(path) for path in paths] == list(design.studies)
    before = [path.read_bytes() for path in paths]
    paths[0].unlink()
    with pytest.raises(bl.BatchlawError, match="is there already; nothing was written"):
        design.write(tmp_path)
    assert not paths[0].exists() and [path.read_bytes() for path in paths[1:]] == before[1:]
    with pytest.raises(bl.BatchlawError, match="path"):
        design.write(tmp_path / "none")


def test_the_command_writes_what_python_designs(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(tomli_w.dumps(FUNCTION))
    words = ["plan", "--design", "own.toml", "--at", "tokens=1e9", "--up-to", "tokens=1e8", "--factor", "3"]
    assert run(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    found = bl.plan_design("own.toml", at={"tokens": 1e9}, up_to=1e8, factor=3)
    assert told["expected_factor"] == pytest.approx(found.expected_factor) and told["at"]["examples"] == 1e9 / 1024
    assert [Path(name).name for name in told["files"]] == [f"{spec.name}.toml" for spec in found.studies]
    assert tomllib.loads(Path(told["files"][0]).read_text())["objective"] == "train:train"
    assert run(*words) == 2 and "is there already" in capsys.readouterr().err
    for path in told["files"]:
        Path(path).unlink()
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert "is expected to span a factor of" in shown and f"batchlaw plan {found.studies[0].name} " in shown
    (tmp_path / "other").mkdir()
    assert run(*words, "-o", "other") == 2 and "the code is found beside it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--at", "tokens=1e9"], "--at: got 'tokens'; study 'task' counts no tokens; give examples"),
        (["--at", "parameters=1e9"], "must have examples or tokens"),
        (["--at", "depth=3"], "--at: depth must be one of examples, tokens, parameters"),
        (["--at", "examples=-3"], "--at: got -3.0; must be a number above 0"),
        (["--at", "examples=1000"], "leaves no room for three horizons: the shortest run has 1,024 examples, 32 steps"),
        (["--at", "examples=1e5", "--up-to", "examples=9"], "--up-to: got 9.0; leaves no room"),
        (["--at", "examples=1e5", "--up-to", "parameters=9"], "--up-to: got 'parameters'; must have the horizon"),
        (["--at", "examples=1e5", "--factor", "1"], "--factor: got 1; must be between"),
        (["--at", "examples=1e5", "--factor", "1.1"], "no set of studies is expected to forecast within it"),
        (["--at", "examples=1e5", "--at", "parameters=3"], "no width of this mlp has about"),
        (["--at", "examples=1e5", "--examples", "D"], "--examples: got 'D'; goes with a plan"),
        (["more.toml", "--at", "examples=1e5"], "must be one STUDY.toml with --design"),
    ],
)
def test_what_cannot_be_designed_is_told_in_one_line_and_nothing_is_written(
    run, words, told, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("task.toml").write_text(tomli_w.dumps(SPEC))
    assert run("plan", "--design", "task.toml", *words) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["task.toml"]


def test_options_of_a_design_go_with_one(run, capsys):
    assert run("plan", "runs.csv", "--at", "examples=1", "--factor", "3") == 2
    assert "--factor: got 3.0; goes with --design" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"optimizer": ["sgd", "momentum"]}, "task: space.optimizer: must be one value, which the law holds for"),
        ({"warmup_fraction": {"low": 0.0, "high": 0.3}}, "space.warmup_fraction: must be one value"),
        ({"base_lr": 0.1}, "task: space.base_lr: must have 4 levels or more over 3 octaves; got 1 over 0.0"),
        (
            {"batch_size": [2, 4, 8]},
            "task: space.batch_size: must have 4 levels or more over 4 octaves; got 3 over 2.0",
        ),
    ],
)
def test_a_space_that_no_law_holds_in_is_refused(space, told):
    with pytest.raises(bl.SpecError) as error:
        design_of(changed(SPEC, **space), ASKED)
    assert told in str(error.value)


def test_runs_whose_budget_is_no_whole_number_of_steps_are_one_group(tmp_path):
    study = bl.Study.create(
        name="steps", objective=_train, metric="loss", direction="minimize", trials=6, examples=1000, sampler="random",
        storage=f"sqlite:///{tmp_path / 'b.db'}", space={"batch_size": [48, 64, 96], "base_lr": (0.1, 1.0)},
    )  # fmt: skip
    table, _ = _of_studies([study.run(workers=0, progress=False)])
    assert table["batch_size"].nunique() > 1 and table["examples"].nunique() == 1


def test_a_width_gives_the_size_that_was_asked_for():
    task = Task(dataset="mnist", model="mlp")
    for size in (2e4, 1e5, 3e6):
        assert n_parameters(of_size(task, size)) == pytest.approx(size, rel=0.05)
    with pytest.raises(bl.BatchlawError, match="resnet18 has one size; mlp, cnn and gpt have widths"):
        of_size(Task(dataset="mnist", model="resnet18"), 1e6)


def _train(trial):
    return {"loss": trial.config.peak_lr}


@pytest.fixture
def run(monkeypatch):
    def called(*words):
        monkeypatch.setattr(sys, "argv", ["batchlaw", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0

    return called
