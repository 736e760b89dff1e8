"""What a search gains by starting from an earlier one, and what it loses where that misleads, on recorded grids.

    python tests/benchmarks/warm_start.py [--kinds budget] [--seeds 3] [--digits-seeds 150] [--workers 1] [--json FILE]

A trial looks its score and its cost up in a table. Two kinds of earlier study:

- "budget": the same network on digits at a tenth of the budget (tests/data/digits/budgets.csv.gz, which budgets.py
  records): 198 configurations, the score is the validation loss, the cost the steps.
- "data set": another of the four grids of HPOBench (tests/data/hpobench), all twelve pairs: the score is the validation
  accuracy, the cost the seconds of training. Its best may be none here.

The earlier study is a search by Optuna's default (as batchlaw has it). Its best configurations are the first trials of
the new search, chosen as `--warm-start` chooses them; after that TPE goes on, which sees them like other trials. The
cold search is the same without them, with the same seed. "misled" begins with the worst configurations instead.

The budget is what 100 trials of the cold search cost (digits: 40), in the median over seeds. Regret is the best score
of the table less that of the best trial ended by then. Differences are paired by pair and seed; intervals are
bootstrapped over these. "third": the regret at a third of the budget less that of the cold search at all of it. "late":
the regret at all of the budget less that of the cold search at 1/1.2 of it; above 0 a start costs more than 20 % of the
time.
"""

import argparse
import json
import os
import platform
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from batchlaw.recipe.cube import Cube
from batchlaw.sampling.known_space import KnownSpaceTPESampler
from batchlaw.study.warm_start import APART, BEST, n_points, spread
from grids import DIMENSIONS, NAMES, Grid, read_grid
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from replay import interval
from rich.console import Console
from rich.progress import track
from rich.table import Table

DIGITS = Path(__file__).parents[1] / "data" / "digits" / "budgets.csv.gz"
SHARES = (1 / 8, 1 / 4, 1 / 3, 1 / 2, 1 / 1.2, 1.0)
SHOWN = (1 / 8, 1 / 4, 1 / 2, 1.0)
MOST_TRIALS = 400
Params = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Task:
    """A table that a search looks its trials up in."""

    space: dict[str, BaseDistribution]
    scores: NDArray[np.float64]  # (*levels,) higher is better
    costs: NDArray[np.float64]  # (*levels,)
    trials: int  # whose cost is the budget

    def cell(self, params: Params) -> tuple[int, ...]:
        return tuple(
            of.choices.index(params[name]) if isinstance(of, CategoricalDistribution) else params[name]
            for name, of in self.space.items()
        )

    def regret(self, score: float) -> float:
        return float(self.scores.max() - score)


@cache
def task_of(name: str) -> Task:
    if not name.startswith("digits"):
        grid = read_grid(name)
        return Task(space_of(grid), grid.scores.mean(axis=-1), grid.seconds, 100)
    table = pd.read_csv(DIGITS).sort_values(["batch_size", "base_lr", "optimizer"])
    sizes, rates, optimizers = (sorted(table[column].unique()) for column in ("batch_size", "base_lr", "optimizer"))
    shape, epochs = (len(sizes), len(rates), len(optimizers)), name.removeprefix("digits ")
    space: dict[str, BaseDistribution] = {
        "batch_size": IntDistribution(0, len(sizes) - 1), "base_lr": IntDistribution(0, len(rates) - 1),
        "optimizer": CategoricalDistribution(optimizers),
    }  # fmt: skip
    losses, steps = (table[f"{column}_{epochs}"].to_numpy(float).reshape(shape) for column in ("loss", "steps"))
    return Task(space, -losses, steps, 40)


def space_of(grid: Grid) -> dict[str, BaseDistribution]:
    """The number of a level in each dimension."""
    return {name: IntDistribution(0, n - 1) for name, n in zip(DIMENSIONS, grid.seconds.shape, strict=True)}


@dataclass(frozen=True)
class Found:
    """One search."""

    params: list[Params]
    scores: list[float]
    spent: list[float]  # after each trial

    def at(self, cost: float, task: Task) -> float:
        """The regret of the trials that had ended by then; that of the median configuration if there are none."""
        ended = int(np.searchsorted(self.spent, cost, side="right"))
        return task.regret(max(self.scores[:ended], default=float(np.median(task.scores))))


def searched(name: str, seed: int, trials: int, cost: float = np.inf, first: list[Params] | None = None) -> Found:
    """Trials one after another, the given ones first, until that many are done or the cost is spent."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    task = task_of(name)
    study = optuna.create_study(direction="maximize", sampler=KnownSpaceTPESampler(task.space, seed=seed))
    for point in first or ():
        study.enqueue_trial(point)
    params, scores, spent = [], [], []
    while len(params) < trials and (not spent or spent[-1] < cost):
        trial = study.ask(task.space)
        cell = task.cell(trial.params)
        params.append(trial.params)
        scores.append(float(task.scores[cell]))
        spent.append((spent[-1] if spent else 0.0) + float(task.costs[cell]))
        study.tell(trial, scores[-1])
    return Found(params, scores, spent)


def one_pair(name: str, source: str, seed: int, budget: float) -> dict[str, list[float]]:
    """The regret of each method at each share of the budget."""
    task, earlier = task_of(name), searched(source, 10_000 + seed, task_of(source).trials // 2)
    cube, starts = Cube.of(task.space), {"cold": list[Params]()}
    for method, sign in (("warm", 1), ("misled", -1)):
        order = np.argsort(-sign * np.array(earlier.scores), kind="stable")[: int(np.ceil(BEST * len(earlier.scores)))]
        ranked = [earlier.params[place] for place in order]
        starts[method] = [ranked[place] for place in spread(ranked, cube, n_points(task.trials), APART)]
    found = {method: searched(name, seed, MOST_TRIALS, budget, first) for method, first in starts.items()}
    return {method: [each.at(share * budget, task) for share in SHARES] for method, each in found.items()}


def record_of(kind: str, rows: list[dict[str, list[float]]]) -> dict[str, Any]:
    """The table of one kind of earlier study."""
    regrets = {method: np.array([row[method] for row in rows]) for method in rows[0]}  # (n, n_shares)
    at, cold = {share: place for place, share in enumerate(SHARES)}, regrets["cold"]
    methods = {
        method: {
            "regret": {f"{share:g}": interval(own[:, at[share]]) for share in SHOWN},
            "less_cold": {f"{share:g}": interval((own - cold)[:, at[share]]) for share in SHOWN},
            "third": interval(own[:, at[1 / 3]] - cold[:, at[1.0]]),
            "late": interval(own[:, at[1.0]] - cold[:, at[1 / 1.2]]),
        }
        for method, own in regrets.items()
    }
    return {"kind": kind, "searches": len(rows), "methods": methods}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=["budget", "data set"], default=["budget", "data set"])
    parser.add_argument("--seeds", type=int, default=3, help="of each pair of data sets")
    parser.add_argument("--digits-seeds", type=int, default=150)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, records = Console(width=150), []
    pairs = {
        "budget": ([("digits 20", "digits 2")], options.digits_seeds),
        "data set": ([(name, source) for name in NAMES for source in NAMES if source != name], options.seeds),
    }
    with ProcessPoolExecutor(options.workers) as pool:
        for kind in options.kinds:
            of, seeds = pairs[kind]
            targets = {name for name, _ in of}
            hundred = {
                name: [pool.submit(searched, name, 20_000 + seed, task_of(name).trials) for seed in range(seeds)]
                for name in targets
            }
            budgets = {name: float(np.median([each.result().spent[-1] for each in hundred[name]])) for name in targets}
            futures = [
                pool.submit(one_pair, name, source, 1000 * place + seed, budgets[name])
                for place, (name, source) in enumerate(of)
                for seed in range(seeds)
            ]
            rows = [future.result() for future in track(futures, kind, console=console, transient=True)]
            records.append(record_of(kind, rows))
            show(records[-1], console)
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "versions": {package: version(package) for package in ("optuna", "numpy", "scipy")},
            "apart": APART, "best": BEST,
        }  # fmt: skip
        options.json.write_text(json.dumps({**facts, "kinds": records}, indent=2) + "\n")


def show(record: dict[str, Any], console: Console) -> None:
    """Regrets in thousandths."""

    def shown(of: dict[str, float]) -> str:
        return f"{1000 * of['mean']:.2f} \\[{1000 * of['ci_low']:.2f}, {1000 * of['ci_high']:.2f}]"

    shares = [f"at {share:g}" for share in SHOWN]
    table = Table("", *shares, "third", "late", title=f"{record['kind']}: regret × 1000, {record['searches']} searches")
    for method, row in record["methods"].items():
        table.add_row(method, *map(shown, row["regret"].values()))
        if method != "cold":
            less = map(shown, row["less_cold"].values())
            table.add_row("  less cold", *less, shown(row["third"]), shown(row["late"]))
    console.print(table)


if __name__ == "__main__":
    main()
