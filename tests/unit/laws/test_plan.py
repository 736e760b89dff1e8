"""Plans for runs that nobody has tried: planted laws, their exponents and intervals, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import batchlaw as bl
import numpy as np
import pandas as pd
import pytest
from batchlaw.figures.plan import plan_figure
from batchlaw.stats.kinked_law import law_of
from batchlaw.stats.scattered import Scattered
from batchlaw.stats.valleys import Shape, valleys

SIZES = 2.0 ** np.arange(4, 12)
SMALL = {"tokens": 2e9, "parameters": 2e8}
COLUMNS = {"lr": "lr", "batch_size": "bs", "score": "loss", "direction": "minimize"}


def best_rate(d, n, size):
    """log₂ of a planted best rate: d and n are octaves of the horizon and of the size of the model."""
    below = 7 + 0.8 * d - 0.4 * n - np.log2(size)
    return -9 + 0.3 * d - 0.7 * n - 0.9 / 3 * np.logaddexp2(0, 3 * below)


def runs(*, groups=3, holes=0.0, seed=0, noise=0.002, diverges=np.inf):
    generator = np.random.default_rng(seed)
    rows = []
    for d in range(groups):
        for n in range(groups):
            for size in SIZES:
                for x in np.arange(-15, -6, 0.5):
                    z = x - best_rate(d, n, size)
                    loss = 2.5 + 0.01 * z**2 + 0.004 * (np.log2(size) - 6 - 0.5 * d) ** 2
                    loss = loss + generator.normal(scale=noise) if z < diverges else np.inf
                    if generator.uniform() >= holes:
                        rows.append((1e9 * 2.0**d, 1e8 * 2.0**n, 2.0**x, size, loss))
    return pd.DataFrame(rows, columns=["D", "N", "lr", "bs", "loss"])


def plan_of(table, at=None, **keywords):
    at = at or {"tokens": 1e9 * 2.0**4, "parameters": 1e8 * 2.0**3}
    return bl.plan(table, **COLUMNS | {"tokens": "D", "parameters": "N", "at": at} | keywords)


@pytest.fixture(scope="module")
def plan():
    return plan_of(runs())


@pytest.mark.parametrize("keywords", [{}, {"holes": 0.3}, {"diverges": 1.5}, {"seed": 1, "noise": 0.005}])
def test_a_planted_law_is_forecast_within_its_intervals(keywords):
    found = plan_of(runs(**keywords))
    for size in SIZES:
        predicted = found.lr_at(size)
        truth = 2 ** best_rate(4, 3, size)
        assert predicted.low <= truth <= predicted.high
        assert predicted.value == pytest.approx(truth, rel=0.25)
        assert predicted.high / predicted.low < 4
    assert found.batch_size.low <= 2**8 <= found.batch_size.high
    assert tuple(found.lr) == pytest.approx(tuple(found.lr_at(found.batch_size.value)))


def test_the_exponents_are_those_planted(plan):
    told = {(row.of, row.on): row for row in plan.exponents.itertuples()}
    planted = {
        ("best rate, large batches", "tokens"): 0.3, ("best rate, large batches", "parameters"): -0.7,
        ("critical batch size", "tokens"): 0.8, ("critical batch size", "parameters"): -0.4,
        ("best rate, small batches", "batch size"): 0.9,
    }  # fmt: skip
    for key, value in planted.items():
        assert told[key].low <= value <= told[key].high and told[key].exponent == pytest.approx(value, abs=0.15)


def test_the_law_is_expected_to_cost_least_and_rules_cost_what_they_are_off_by(plan):
    costs = plan.regret.set_index("rule")
    assert plan.regret["rule"][0] == "law" and set(costs.index) >= {"constant", "√batch size", "linear", "Step Law"}
    size = plan.batch_size.value
    off = np.log2(costs.loc["linear", "lr"]) - best_rate(4, 3, size)
    assert costs.loc["linear", "mean"] == pytest.approx(0.01 * off**2, rel=0.5, abs=2e-3)
    assert (costs["low"] <= costs["mean"]).all() and (costs["mean"] <= costs["high"]).all()
    step_law = 1.79 * plan.at["parameters"] ** -0.713 * plan.at["tokens"] ** 0.307
    assert costs.loc["Step Law", "lr"] == pytest.approx(step_law) and costs.loc["Step Law", "batch_size"] == size
    start = plan._best_pair(plan._nearest_group)
    moved = costs.loc["norm transfer"]  # of the nearest group, a quarter as long
    assert moved["batch_size"] == pytest.approx(start[0] * 4**0.45)
    assert moved["lr"] == pytest.approx(start[1] * 4 ** (0.45 * 0.62) * 4**-0.56)
    tokens = {row.rule: row.batch_size for row in plan_of(runs(), tokens_per_example=2048).regret.itertuples()}
    assert tokens["Step Law"] == pytest.approx(0.58 * plan.at["tokens"] ** 0.571)


def test_a_further_run_is_named_that_narrows_the_plan(plan):
    assert "would narrow the rate's interval by" in plan.next_run
    assert json.loads(json.dumps(plan.as_dict()))["lr"]["value"] == plan.lr.value
    assert "guide" in plan.lines()[0] and "4 times the largest tokens" in " ".join(plan.lines())


def test_a_law_that_bends_is_told_in_words_and_an_interval_holds_what_follows():
    def bent(d):
        return 2 ** (best_rate(d, 0, SIZES) - 0.25 * d**2)  # the exponent falls by a half with each octave

    rows = [
        (1e9 * 2.0**d, 2.0**x, size, 2.5 + 0.01 * (x - np.log2(best)) ** 2 + noise)
        for d in range(5) for size, best in zip(SIZES, bent(d), strict=True)
        for x, noise in zip(np.arange(-19, -6, 0.5), np.random.default_rng(d).normal(scale=0.002, size=26), strict=True)
    ]  # fmt: skip
    found = plan_of(pd.DataFrame(rows, columns=["D", "lr", "bs", "loss"]), at={"tokens": 3.2e10}, parameters=None)
    assert list(found.bends) == ["tokens"] and found.as_dict()["bends"] == found.bends
    (line,) = [line for line in found.lines() if "follows no one power of tokens" in line]
    assert "times more probable" in line
    for size, truth in zip(SIZES, bent(5), strict=True):
        assert found.lr_at(size).low <= truth <= found.lr_at(size).high
    assert not plan_of(runs()).bends


def test_one_axis_is_enough():
    table = runs()
    one = table[table["N"] == table["N"].min()].drop(columns="N")
    found = plan_of(one, at={"tokens": 8e9}, parameters=None)
    assert found.lr_at(128).low <= 2 ** best_rate(3, 0, 128) <= found.lr_at(128).high


@pytest.mark.slow
def test_examples_of_one_study_each(tmp_path):
    studies = []
    for number, epochs in enumerate((1, 2, 4)):
        url = f"sqlite:///{tmp_path / 'plan.db'}"
        study = bl.Study.create(
            name=f"horizon-{number}", objective=train, metric="loss", direction="minimize", trials=150, epochs=epochs,
            train_size=4096, sampler="random", pruner="none", storage=url,
            space={"batch_size": [16, 32, 64, 128, 256], "base_lr": (2.0**-13, 2.0**-5), "optimizer": "sgd",
                   "decay": "constant"},
        )  # fmt: skip
        studies.append(study.run(workers=0, progress=False))
    found = bl.plan(studies, at={"examples": 8 * 4096})
    truth = best_of(8 * 4096, 64)
    assert found.lr_at(64).low <= truth <= found.lr_at(64).high


def best_of(examples, batch_size):
    return 2.0**-9 * (examples / 4096) ** -0.3 * np.sqrt(batch_size / 64)


def train(trial):
    off = np.log2(trial.config.peak_lr / best_of(trial.config.examples, trial.batch_size))
    noise = np.random.default_rng([trial.seed, trial.batch_size]).normal(scale=1e-3)
    return {"loss": 1 + 0.01 * off**2 + noise}


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"at": {"tokens": 1e9}}, "at: lacks parameters, in which the runs differ, such as parameters=1e9"),
        ({"at": {"tokens": 1e9, "parameters": 1e8, "depth": 3}}, "at: depth must be one of tokens, parameters"),
        ({"at": {"tokens": -1, "parameters": 1e8}}, "tokens must be a number above 0"),
        (
            {"at": {"tokens": 1e14, "parameters": 1e8}},
            "tokens must be from 2.5e+08 to 1.6e+10; 1e+09 to 4e+09 were seen",
        ),
        ({"tokens": None, "parameters": None}, "tokens: is needed, or examples or parameters"),
        ({"examples": "D"}, "goes without examples"),
        ({"tokens": "depth"}, "depth"),
        ({"where": "N < 1.5e8"}, "parameters: all runs have 1e+08, and nothing tells of others"),
        (
            {"where": "N < 3e8 and D < 3e9 and (N > 1.5e8) != (D > 1.5e9)", "at": {"tokens": 2e9, "parameters": 2e8}},
            "2 groups",
        ),
        ({"alpha": 2}, "alpha: got 2"),
        ({"alpha": 0}, "alpha: got 0"),
        ({"where": "lr > 0.002 and bs == 16"}, "0 groups of runs"),
        ({"by": "D"}, "by: got 'D'; is named by"),
    ],
)
def test_what_cannot_be_planned_is_told_in_one_line(keywords, told):
    with pytest.raises(bl.BatchlawError) as error:
        plan_of(runs(), **keywords)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_levels_of_other_columns_are_groups_of_their_own_but_optimizers_are_refused():
    both = pd.concat([runs(seed=seed).assign(decay=decay) for seed, decay in ((0, 0.1), (1, 0.2))])
    for keywords in ({}, {"by": "decay"}):
        found = plan_of(both, **keywords)
        assert len(found.fitted.groups) == 18
        assert found.lr_at(128).low <= 2 ** best_rate(4, 3, 128) <= found.lr_at(128).high
    with pytest.raises(bl.DataError, match=r"column 'optimizer' has several optimizers.*keep one by `where`"):
        plan_of(both.rename(columns={"decay": "optimizer"}))


def test_far_outside_is_planned_on_request(plan):
    far = {"tokens": 1e13, "parameters": 1e8}
    assert plan_of(runs(), at=far, extrapolate=True).lr.low < plan_of(runs(), at=far, extrapolate=True).lr.high
    with pytest.raises(bl.BatchlawError, match=r"batch_size: got 65536; must be from 8 to 4096; 16 to 2048 were tried"):
        plan.lr_at(65536)
    for wrong in (0, -1, float("nan"), "64", True):
        with pytest.raises(bl.BatchlawError, match="batch_size"):
            plan.lr_at(wrong)


def test_the_figure_has_the_runs_the_forecast_and_the_plan(plan):
    names = [trace.name for trace in plan_figure(plan).data if trace.showlegend is not False]
    assert [name.split(":")[0].split(" (")[0] for name in names] == ["best rates of the runs", "forecast", "plan"]


def test_the_command_prints_what_python_returns(plan, tmp_path):
    runs().to_csv(tmp_path / "runs.csv", index=False)
    words = [
        "runs.csv", "--tokens", "D", "--parameters", "N", "--at", "tokens=16e9", "--at", "parameters=8e8", "--lr", "lr",
        "--batch-size", "bs", "--score", "loss",
    ]  # fmt: skip

    def batchlaw(*more):
        command = [sys.executable, "-m", "batchlaw", "plan", *words, *more]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    told = json.loads(batchlaw("--json", "--for-batch-size", "64").stdout)
    assert told["lr"]["value"] == pytest.approx(plan.lr.value) and told["grade"] == "fitted"
    assert told["lr_at"]["high"] == pytest.approx(plan.lr_at(64).high)
    shown = batchlaw("--html", "plan.html")
    assert "batch size" in shown.stdout and "would narrow" in shown.stdout and shown.returncode == 0
    assert "Which rate for the run asked for?" in (tmp_path / "plan.html").read_text()
    beyond = batchlaw("--for-batch-size", "1e6")
    assert beyond.returncode == 2 and beyond.stdout == "" and "16 to 2048 were tried" in beyond.stderr
    refused = batchlaw("--at", "depth")
    assert refused.returncode == 2
    assert refused.stderr == "error: --at: got 'depth'; must be NAME=NUMBER, such as examples=1e9\n"


def test_the_law_has_the_derivatives_that_the_fit_uses():
    generator = np.random.default_rng(0)
    parameters, at, sizes = (
        generator.normal(size=9) + np.array([0, 0, 0, 0, 0, 0, 1, 0, 0]),
        generator.normal(size=(20, 2)),
        np.linspace(-4, 5, 20),
    )
    step = 1e-6
    numeric = [(law_of(parameters + move, at, sizes)[0] - law_of(parameters - move, at, sizes)[0]) / (2 * step)
               for move in np.eye(9) * step]  # fmt: skip
    assert law_of(parameters, at, sizes)[1] == pytest.approx(np.transpose(numeric), abs=1e-5)


@pytest.mark.parametrize("asymmetry", [0.0, 0.5, 1.2])
def test_bottoms_of_valleys_are_found_with_their_errors(asymmetry):
    off = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        x, y = (each.ravel() for each in np.meshgrid(np.arange(-14, -5, 0.5), np.arange(4, 12)))
        loss = Shape(np.log(0.01), asymmetry, 0.0, 7).height(x + 9.3 - 0.5 * (y - 7), y) + generator.normal(
            scale=0.002, size=len(x)
        )
        blank = np.zeros(len(x))
        found = valleys(Scattered(2**x, 2**y, -loss, blank > 0, blank.astype(int)))
        off.append((found.best - (-9.3 + 0.5 * (found.batch_size - 7))) / np.sqrt(np.diag(found.covariance)))
    assert np.abs(np.mean(off)) < 0.4 and 0.6 < np.std(off) < 1.5


def test_rows_without_runs_near_their_best_have_no_valley():
    blank = np.zeros(6)
    assert (
        valleys(Scattered(2.0 ** np.arange(6), np.full(6, 8.0), -np.arange(6.0), blank > 0, blank.astype(int))) is None
    )


def test_weight_decay_beta2_and_warmup_are_not_determined_and_told_by_rules(plan):
    assert plan.weight_decay is None
    without = {name: value for name, value, _ in plan.companions}
    assert without["weight decay"] is None and 0.95 <= without["β₂"] < 1
    assert without["warmup steps"] == pytest.approx(2 / (1 - without["β₂"]))
    found = plan_of(runs().assign(weight_decay=0.1, beta2=0.98))
    told = {name: value for name, value, _ in found.companions}
    size, rate = found._best_pair(found._nearest_group)
    batch, faster = found.batch_size.value / size, found.lr.value / rate
    longer = 4.0  # 16e9 tokens, and 4e9 in the longest runs
    # The timescale B/(ελD) stays.
    assert told["weight decay"] == pytest.approx(0.1 * batch / (faster * longer))
    assert told["β₂"] == pytest.approx(max(0.98**batch, 0.95))
    assert any("weight decay: not determined by the runs" in line for line in found.lines())


def test_no_batch_is_smaller_than_one():
    """Short runs on digits, whose interval reached below one example."""
    table = Path(__file__).parents[3] / "docs" / "tutorials" / "horizons.csv"
    planned = bl.plan(table, examples="examples", at={"examples": 51_200}).batch_size
    assert 1 == planned.low < planned.value < planned.high
