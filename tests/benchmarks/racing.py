"""What a search names with and without its race on fresh seeds, on published grids whose true means are known.

    python tests/benchmarks/racing.py [--searches 50] [--trials 120] [--grids car kc1] [--json FILE]

A trial looks its score up in a grid of HPOBench (tests/data/hpobench), which has five seeds a cell. Their order is
drawn for each search: it sees the first; the race has the second and the third, so that a contender is raced twice at
most; the fourth and the fifth judge. Sampler, model and race are the product's own (TPE, `results/posterior.py`,
`results/race.py`), and so are the shares of the budget.

Named are: the luckiest score; what the model expects to be best; what the race chose. Each is compared with the best
configuration that was trained. That is the one with the best mean of all five seeds, an oracle that no search has. The
unit is the standard error of a difference of two means of two seeds, by the seeds of the 20 best trained.

"behind" is by the mean of all five seeds, "behind, judged" by the two seeds that nobody saw. Two equal configurations
are more than one standard error apart on two seeds each in 16 % of cases, so the share within one is told for both.
"optimism" is the score that was reported less that of the judging seeds. After the race the report is of a seed that
had no part in the choice: the fourth, judged by the fifth alone. "cost" is the seconds of the race as a share of those
of the search. Intervals are bootstrapped over searches.
"""

import argparse
import json
import os
import platform
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import optuna
from batchlaw.recipe.result import Outcome
from batchlaw.results.posterior import expected_first
from batchlaw.results.race import RACE, SEARCH, Race
from batchlaw.results.search_run import SearchRun
from batchlaw.spec import StudySpec, parse_spec
from grids import DIMENSIONS, NAMES, Grid, read_grid
from numpy.typing import NDArray
from replay import interval
from rich.console import Console
from rich.progress import track
from rich.table import Table

METHODS = ("luckiest", "model", "race")
RACED = 2  # seeds of a contender
BEST = 20  # trained configurations whose seeds give the standard error


@dataclass(frozen=True)
class Named:
    """What one search named by one method."""

    behind: float  # standard errors below the best that was trained, by all five seeds
    judged: float  # the same by the two that judge
    optimism: float  # standard errors
    seconds: float  # of a run, as a share of that of the best


def spec_of(grid: Grid) -> StudySpec:
    """The grid as a study: the number of a level in each dimension."""
    parameters = {
        name: {"low": 0, "high": n - 1} for name, n in zip(DIMENSIONS, grid.seconds.shape, strict=True)
    }  # fmt: skip
    search = {"trials": 1, "metric": "accuracy", "direction": "maximize"}
    # A space of our own names a batch size; here it is one of five levels.
    table = {"name": "grid", "objective": "ask", "parameters": {f"{name}_": of for name, of in parameters.items()}}
    return parse_spec({**table, "search": search}, "grid")


def searched(name: str, seed: int, trials: int) -> tuple[dict[str, Named], float, int]:
    """One search and what each method names; the cost of the race; and the number of contenders."""
    grid, generator = read_grid(name), np.random.default_rng(seed)
    spec, order = spec_of(grid), generator.permutation(grid.scores.shape[-1])
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    runs: list[SearchRun] = []
    cells = []
    while len(runs) < SEARCH * trials:
        trial = study.ask()
        cells.append(grid.suggest(trial))
        study.tell(trial, float(grid.scores[cells[-1]][order[0]]))
        params = {f"{key}_": value for key, value in trial.params.items()}
        runs.append(_run(len(runs), grid, cells[-1], order[0], params=params))
    expected = expected_first(runs, spec)
    assert expected is not None
    spent = sum(grid.seconds[cell] for cell in cells)
    race, cost = Race.of(runs, maximize=True), 0.0
    while len(runs) < RACE * trials:
        asked = race.next(expected, SEARCH)
        if asked is None or asked.purpose != "race":
            break
        done = len(race.contenders[asked.trial].asked["race"]) if asked.trial in race.contenders else 0
        if done == RACED:
            break
        runs.append(
            _run(len(runs), grid, cells[asked.trial], order[1 + done], confirms=asked._replace(fold=0))
        )  # a grid has none
        cost += grid.seconds[cells[asked.trial]]
        race = Race.of(runs, maximize=True)
    assert race.chosen is not None
    scores = np.array([grid.scores[cell] for cell in cells])
    chosen = {"luckiest": int(scores[:, order[0]].argmax()), "model": expected[0], "race": race.chosen.number}
    found = {method: _named(number, scores, order, grid, cells, method) for method, number in chosen.items()}
    return found, cost / spent, len(race.contenders)


def _run(number: int, grid: Grid, cell: tuple[int, ...], seed: int, params=None, confirms=None) -> SearchRun:
    score = float(grid.scores[cell][seed])
    return SearchRun(
        number=number, outcome=Outcome.COMPLETE, value=score, scores=[score], params=params or {},
        seconds=float(grid.seconds[cell]), confirms=confirms,
    )  # fmt: skip


def _named(
    number: int, scores: NDArray[np.float64], order: NDArray[np.int64], grid: Grid, cells: list[tuple[int, ...]],
    method: str,
) -> Named:  # fmt: skip
    means, judges = scores.mean(axis=1), scores[:, order[3:]].mean(axis=1)
    error = np.sqrt(scores[np.argsort(-means)[:BEST]].var(axis=1, ddof=1).mean())  # of a difference: s √(1/2 + 1/2)
    best = int(means.argmax())
    reported, judge = scores[number, order[0]], judges[number]
    if method == "race":
        reported, judge = scores[number, order[3]], scores[number, order[4]]
    return Named(
        behind=float((means[best] - means[number]) / error),
        judged=float((judges[best] - judges[number]) / error),
        optimism=float((reported - judge) / error),
        seconds=float(grid.seconds[cells[number]] / grid.seconds[cells[best]]),
    )


def summary(found: list[Named]) -> dict[str, object]:
    """Over searches."""
    columns = {name: np.array([getattr(each, name) for each in found]) for name in ("behind", "judged", "optimism")}
    return {
        **{name: interval(values) for name, values in columns.items()},
        "within_one": float((columns["behind"] <= 1).mean()),
        "within_one_judged": float((columns["judged"] <= 1).mean()),
        "median_seconds": float(np.median([each.seconds for each in found])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=50, help="over all grids together")
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--grids", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    console = Console(width=130)
    turns = [(options.grids[n % len(options.grids)], n) for n in range(options.searches)]
    rows = [(name, *searched(name, seed, options.trials)) for name, seed in track(turns, "searches", console=console)]
    methods = {method: summary([found[method] for _, found, _, _ in rows]) for method in METHODS}
    table = Table(
        "named", "behind, s.e.", "within 1", "behind, judged", "within 1", "optimism, s.e.", "seconds of the best's"
    )

    def shown(of: dict[str, float]) -> str:
        return f"{of['mean']:.2f} \\[{of['ci_low']:.2f}, {of['ci_high']:.2f}]"

    for method, row in methods.items():
        table.add_row(
            method, shown(row["behind"]), f"{row['within_one']:.0%}", shown(row["judged"]),
            f"{row['within_one_judged']:.0%}", shown(row["optimism"]), f"{row['median_seconds']:.2f}",
        )  # fmt: skip
    console.print(table)
    cost = interval(np.array([cost for _, _, cost, _ in rows]))
    console.print(f"The race costs {shown(cost)} of the seconds of its search.")
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "versions": {package: version(package) for package in ("optuna", "numpy", "scipy")},
            "searches": options.searches, "trials": options.trials, "grids": options.grids, "cost": cost,
            "contenders": float(np.mean([n for _, _, _, n in rows])),
        }  # fmt: skip
        by_grid = {
            grid: {method: summary([found[method] for name, found, _, _ in rows if name == grid]) for method in METHODS}
            for grid in options.grids
        }
        options.json.write_text(json.dumps({**facts, "methods": methods, "by_grid": by_grid}, indent=2) + "\n")


if __name__ == "__main__":
    main()
