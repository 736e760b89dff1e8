"""What it brings a search to try the published default of each optimizer first, and what it costs where that misleads.

    python tests/benchmarks/published_start.py [--seeds 60] [--workers 2] [--json FILE]

On the recorded learning curves of replay_curves.py (`tpe hyperband`, regret by test scores of other seeds) and on the
grids of replay.py (TPE without pruning, validation accuracy), where a run of the published start has Adam's rate and
batch size, and all else sampled. The other starts have rates 100 times too high and too low. Each is compared with a
search of the same seed that has no start. The budget is what 100 trials of Optuna's default take.

"late" compares a search at the end of its budget with one without a start at 1/1.2 of it: above 0 a start costs more
than 20 % of the time. Intervals are bootstrapped over seeds.
"""

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import replay_curves
from batchlaw.recipe.space import params_of
from batchlaw.spec import parse_spec
from batchlaw.study.published_start import published_start
from grids import NAMES, read_grid
from numpy.typing import NDArray
from optuna.samplers import TPESampler
from replay import BUDGET_TRIALS, Found, interval
from rich.console import Console
from rich.table import Table

STARTS = {"none": None, "published": 1.0, "too high": 100.0, "too low": 0.01}  # factors of the rate
SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
EARLIER = 1 / 1.2
MOST_TRIALS = 400
ADAM = {
    "name": "hpobench", "objective": "none:train", "train_size": 10_000, "budget": {"epochs": 1},
    "space": {
        "batch_size": {"low": 4, "high": 256, "log2": True}, "base_lr": {"low": 1e-5, "high": 1.0, "log": True},
        "optimizer": "adam", "family_factors": False,
    },
    "search": {"trials": BUDGET_TRIALS, "metric": "validation_accuracy"},
}  # fmt: skip
LEVELS = {  # of HPOBench's grids
    "batch_size": np.array([4, 6, 10, 16, 25, 40, 64, 101, 161, 256]),
    "learning_rate_init": np.logspace(-5, 0, 10),
}


@dataclass
class Started(replay_curves.Search):
    """A search on recorded curves whose first trials are given."""

    factor: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self._spec.values_of("base_lr")
        for point in published_start(self._spec) if self.factor is not None else []:
            moved = point | {"base_lr": float(np.clip(point["base_lr"] * self.factor, low, high))}
            self.study.enqueue_trial(params_of(moved, self._spec))


def on_curves(task: str, factor: float | None, budget: float, seed: int) -> list[float]:
    """Regrets at the shares, and at the earlier end."""
    search = Started(task, "tpe hyperband", seed, factor=factor).run(lambda search: search.time >= budget)
    return [search.regret(share * budget) for share in (*SHARES, EARLIER)]


def searched(name: str, factor: float | None, budget: float, seed: int) -> Found:
    """Trials on a grid, one after another, until the seconds are spent; with an endless budget a hundred."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    grid, study = read_grid(name), optuna.create_study(direction="maximize", sampler=TPESampler(seed=seed))
    if factor is not None:
        [point] = published_start(parse_spec(ADAM, name))
        values = {"batch_size": point["batch_size"], "learning_rate_init": point["base_lr"] * factor}
        near = {key: int(abs(np.log(LEVELS[key]) - np.log(value)).argmin()) for key, value in values.items()}
        study.enqueue_trial(near)
    spent, regrets, best, most = [0.0], [np.inf], -np.inf, BUDGET_TRIALS if np.isinf(budget) else MOST_TRIALS
    while spent[-1] < budget and len(spent) <= most:
        trial = study.ask()
        cell = grid.suggest(trial)
        score = float(grid.scores[cell].mean())
        study.tell(trial, score)
        spent.append(spent[-1] + float(grid.seconds[cell]))
        regrets.append(grid.regret(cell) if score > best else regrets[-1])
        best = max(best, score)
    return Found(spent[1:], regrets[1:], 0.0)


def on_grid(name: str, factor: float | None, budget: float, seed: int) -> list[float]:
    """Regrets at the shares, and at the earlier end."""
    found, untuned = searched(name, factor, budget, seed), read_grid(name).untuned
    return [found.at(share * budget, untuned) for share in (*SHARES, EARLIER)]


def seconds_of_hundred(name: str, seed: int) -> float:
    return searched(name, None, np.inf, seed).spent[-1]


def compare(table: str, seeds: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """All starts on one table."""
    curves = table not in NAMES
    hundred = replay_curves.seconds_of_hundred if curves else seconds_of_hundred
    budget = float(np.median(list(pool.map(partial(hundred, table), range(seeds)))))
    rows, base = [], np.empty((0, 0))
    for start, factor in STARTS.items():
        run = partial(on_curves if curves else on_grid, table, factor, budget)
        found: NDArray[np.float64] = np.array(list(pool.map(run, range(seeds))))
        base = found if factor is None else base
        at = found[:, :-1]
        rows.append(
            {
                "start": start, "regret": [interval(column) for column in at.T],
                "less_none": [interval(column) for column in (at - base[:, :-1]).T],
                "late": interval(at[:, -1] - base[:, -1]),
            }
        )  # fmt: skip
    return {"table": table, "budget_seconds": budget, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=["digits", *NAMES])
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, tables = Console(width=160), []
    with ProcessPoolExecutor(options.workers) as pool:
        for name in options.tables:
            tables.append(compare(name, options.seeds, pool))
            show(tables[-1], console)
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "python": platform.python_version(), "seeds": options.seeds, "shares": SHARES,
            "versions": {package: version(package) for package in ("optuna", "numpy", "scipy")},
        }  # fmt: skip
        options.json.write_text(json.dumps({**facts, "tables": tables}, indent=2) + "\n")


def show(record: dict[str, Any], console: Console) -> None:
    """Regrets, and beneath them the differences from no start."""
    title = f"{record['table']}: regret × 1000, and less none's; budget {record['budget_seconds']:.0f} s"
    grid = Table("start", *[f"at 1/{1 / share:.0f}" for share in SHARES], "late", title=title)
    for row in record["rows"]:
        grid.add_row(row["start"], *[f"{1000 * each['mean']:.1f}" for each in row["regret"]])
        if row["start"] != "none":
            grid.add_row("", *[told(each) for each in (*row["less_none"], row["late"])])
    console.print(grid)


def told(each: dict[str, float]) -> str:
    return f"{1000 * each['mean']:.1f} \\[{1000 * each['ci_low']:.1f}, {1000 * each['ci_high']:.1f}]"


if __name__ == "__main__":
    main()
