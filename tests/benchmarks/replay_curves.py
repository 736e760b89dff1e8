"""What a search that prunes finds for its seconds of training, on recorded learning curves.

    python tests/benchmarks/replay_curves.py [--tasks digits fashion-mnist] [--seeds 30] [--workers 2] [--json FILE]

A trial reads its curve from a table of record_curves.py, at the nearest cell: the metric of one seed at ten reports,
and its seconds. Two workers train on a clock that is simulated, so that a pruner sees what it would see then. The time
of the sampler itself is not in the seconds.

Methods: "optuna" has TPE and Hyperband with Optuna's settings, as its documentation has them; the others are ours, as
`search.sampler` and `search.pruner` name them. "promote" beside a pruner: a trial that it ended is paused instead, and
goes on from its checkpoint as soon as it is among the best of its rung (the promotion of Li et al. 2020), so that no
part of a curve is paid twice.

The budget is the seconds in which 100 trials of "optuna" end, in the median over seeds. Every search names its best
complete trial; the regret is by the test scores of two other seeds, beside the best cell's. "optuna's end" is the share
of the budget after which the mean regret of a method is as low as optuna's at the end of it. Intervals are bootstrapped
over seeds; differences are paired by seed.
"""

import argparse
import heapq
import json
import os
import platform
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from batchlaw.recipe.space import distributions_of
from batchlaw.sampling import pruner, rungs, sampler
from batchlaw.spec import StudySpec, parse_spec
from numpy.typing import NDArray
from optuna.pruners import HyperbandPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from record_curves import FACTORS, REPORTS, TASKS
from replay import interval
from rich.console import Console
from rich.progress import track
from rich.table import Table

CURVES = Path(__file__).parents[1] / "data" / "curves"
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
FINE = np.arange(1, 41) / 40  # shares at which "optuna's end" is looked for
TRIALS = 100
ETA = {"hyperband": 3, "asha": 4}  # as `batchlaw.sampling` has them
METHODS = (
    "optuna", "random asha", "tpe hyperband", "tpe asha", "tpe none", "per-second hyperband", "per-second asha",
    "per-second none", "tpe asha promote", "tpe hyperband promote", "per-second asha promote",
)  # fmt: skip


@cache
def table(task: str) -> dict[str, NDArray[Any]]:
    """The recorded cells; losses are negative, so that more is better, and a diverged run is worse than any other."""
    with np.load(CURVES / f"{task}.npz") as file:
        found = dict(file)
    sign = 1 if "accuracy" in TASKS[task]["metric"] else -1
    for name in ("curves", "test"):
        values = sign * found[name].astype(float)
        found[name] = np.where(np.isnan(values), np.nanmin(values) - 1, values)
    return found


@cache
def spec_of(task: str, sampler_name: str, pruner_name: str) -> StudySpec:
    """A study of the ranges that the table covers."""
    cells, facts = table(task), TASKS[task]
    sizes, rates, warmups = cells["batch_size"].tolist(), cells["base_lr"].tolist(), cells["warmup_fraction"].tolist()
    space = {
        "batch_size": {"low": sizes[0], "high": sizes[-1], "log2": True},
        "base_lr": {"low": rates[0], "high": rates[-1], "log": True}, "family_factors": False,
        "optimizer": [str(each) for each in cells["optimizer"]], "decay": [str(each) for each in cells["decay"]],
        "warmup_fraction": {"low": warmups[0], "high": warmups[-1]},
    }  # fmt: skip
    search = {"trials": 1000, "metric": "score", "direction": "maximize", "reports": REPORTS, "sampler": sampler_name}
    keys = {"task": facts["task"], "budget": facts["budget"], "space": space}
    search |= {"pruner": pruner_name, "metric": "validation_accuracy"}
    return parse_spec({"name": task, "search": search, **keys}, "replay_curves")


def place_of(task: str, params: dict[str, Any]) -> tuple[int, ...]:
    """The nearest cell."""
    cells = table(task)
    values = [2 ** params["log2_batch_size"], params["base_lr"], params["optimizer"], params["decay"]]
    place = []
    for name, value in zip(FACTORS, [*values, params["warmup_fraction"]], strict=True):
        levels = cells[name]
        if levels.dtype.kind == "U":
            place.append(levels.tolist().index(value))
        else:
            near = np.log(levels) - np.log(value) if name != "warmup_fraction" else levels - value
            place.append(int(np.argmin(abs(near))))
    return tuple(place)


@dataclass
class Run:
    """A trial that a worker trains."""

    trial: Trial
    place: tuple[int, ...]
    seconds: float  # of a report's share
    done: int = 0  # reports
    spent: float = 0.0


@dataclass
class Search:
    """One search on the simulated clock."""

    task: str
    method: str
    seed: int
    ended: list[tuple[float, float, float]] = field(default_factory=list)  # time, score, quality of complete trials
    n_ended: int = 0
    time: float = 0.0

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        name, _, rest = self.method.partition(" ")
        self._promotes = rest.endswith(" promote")
        self._pruner_name = rest.removesuffix(" promote")
        self._spec = spec_of(self.task, "tpe" if name == "optuna" else name, self._pruner_name or "none")
        self._rungs = rungs(self._spec)
        pruning: Any = HyperbandPruner(1, REPORTS, 3) if name == "optuna" else pruner(self._spec)
        self.study = optuna.create_study(
            direction="maximize", sampler=TPESampler(seed=self.seed), pruner=pruning, study_name=f"s{self.seed}"
        )
        self._ours = name != "optuna"
        self._space = distributions_of(self._spec)
        self._paused: dict[int, Run] = {}
        self._promoted: dict[int, set[int]] = {}  # by rung, the numbers of the trials that went on from it

    def run(self, until: Callable[["Search"], bool], workers: int = 2) -> "Search":
        """Train until told."""
        events: list[tuple[float, int, Run]] = []
        for _ in range(workers):
            self._start(events, 0.0)
        while events and not until(self):
            self.time, _, run = heapq.heappop(events)
            if self._report(run):
                heapq.heappush(events, (self.time + run.seconds, run.trial.number, run))
            else:
                self._start(events, self.time)
        return self

    def _start(self, events: list[tuple[float, int, Run]], now: float) -> None:
        run = self._promotable() if self._promotes else None
        if run is None:
            if self._ours:
                self.study.sampler = sampler(
                    self._spec, self.seed, len(self.study.get_trials(deepcopy=False)), self.study
                )
            trial = self.study.ask(self._space)
            place = place_of(self.task, trial.params)
            cells = table(self.task)
            run = Run(trial, place, float(cells["seconds"][place[0], place[2]]) / REPORTS)
        heapq.heappush(events, (now + run.seconds, run.trial.number, run))

    def _frozen(self, run: Run) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[run.trial.number]

    def _report(self, run: Run) -> bool:
        """A report at the present time; whether the trial goes on."""
        run.done, run.spent = run.done + 1, run.spent + run.seconds
        score = float(table(self.task)["curves"][(*run.place, 0, run.done - 1)])
        run.trial.report(score, run.done)
        if run.done == REPORTS:
            self._end(run, TrialState.COMPLETE, score)
            self.ended.append((self.time, score, float(table(self.task)["test"][run.place][1:].mean())))
            return False
        if self._promotes:
            if run.done in self._rungs and not self._goes_on(run):
                self._paused[run.trial.number] = run
                self._end(run, TrialState.PRUNED, score)
                return False
            return True
        asked = run.done in self._rungs if self._ours else True
        if asked and run.trial.should_prune():
            self._end(run, TrialState.PRUNED, score)
            return False
        return True

    def _end(self, run: Run, state: TrialState, score: float) -> None:
        self.study.tell(run.trial, score if state == TrialState.COMPLETE else None, state=state, skip_if_finished=True)
        frozen = self._frozen(run)  # the storage in memory hands out its own trials where no copies are asked for
        assert frozen.datetime_start is not None
        frozen.state, frozen.value = state, score
        frozen.datetime_complete = frozen.datetime_start + timedelta(seconds=run.spent)
        self.n_ended += 1

    def _goes_on(self, run: Run) -> bool:
        """Whether a trial is among the best of its rung, of those that have come to it."""
        reached = self._at(run.done)
        best = sorted(reached.values(), reverse=True)
        cut = best[max(len(best) // ETA[self._pruner_name], 1) - 1]
        if reached[run.trial.number] >= cut:
            self._promoted.setdefault(run.done, set()).add(run.trial.number)
            return True
        return False

    def _at(self, rung: int) -> dict[int, float]:
        trials = self.study.get_trials(deepcopy=False)
        return {t.number: t.intermediate_values[rung] for t in trials if rung in t.intermediate_values}

    def _promotable(self) -> Run | None:
        """A paused trial that later evidence has put among the best of its rung, from the highest rung down."""
        for rung in sorted(self._rungs, reverse=True):
            waiting = {number: run for number, run in self._paused.items() if run.done == rung}
            if not waiting:
                continue
            reached = self._at(rung)
            order = sorted(reached, key=lambda number: -reached[number])[: len(reached) // ETA[self._pruner_name]]
            for number in order:
                if number in waiting and number not in self._promoted.get(rung, set()):
                    self._promoted.setdefault(rung, set()).add(number)
                    run = self._paused.pop(number)
                    self._frozen(run).state = TrialState.RUNNING
                    self.n_ended -= 1
                    return run
        return None

    def regret(self, seconds: float) -> float:
        """Of the complete trial with the best score by then; of a cell in the middle without one."""
        test = table(self.task)["test"][..., 1:].mean(axis=-1)
        known = [(score, quality) for at, score, quality in self.ended if at <= seconds]
        return float(test.max()) - (max(known)[1] if known else float(np.median(test)))


def seconds_of_hundred(task: str, seed: int) -> float:
    """Until a hundred trials of Optuna have ended."""
    return Search(task, "optuna", seed).run(lambda search: search.n_ended >= TRIALS).time


def regrets(task: str, method: str, seed: int, budget: float) -> tuple[list[float], list[float], int, int]:
    """Of one search: regrets at the shares and at the fine ones, and its ended and complete trials."""
    search = Search(task, method, seed).run(lambda search: search.time >= budget)
    at = lambda shares: [search.regret(share * budget) for share in shares]  # noqa: E731
    return at(SHARES), at(FINE), search.n_ended, len(search.ended)


def compare(task: str, options: argparse.Namespace, pool: ProcessPoolExecutor, console: Console) -> dict[str, Any]:
    """All methods on one table."""
    seeds = range(options.seeds)
    budget = float(np.median(list(pool.map(seconds_of_hundred, [task] * len(seeds), seeds))))
    futures = {name: [pool.submit(regrets, task, name, seed, budget) for seed in seeds] for name in options.methods}
    n = sum(map(len, futures.values()))
    for future in track([each for own in futures.values() for each in own], task, total=n, console=console):
        future.result()
    found = {name: [future.result() for future in own] for name, own in futures.items()}
    base = np.array([each[0] for each in found["optuna"]])
    goal = float(base[:, -1].mean())
    rows = []
    for name, own in found.items():
        at, fine = np.array([each[0] for each in own]), np.array([each[1] for each in own]).mean(axis=0)
        reached = np.flatnonzero(fine <= goal)
        rows.append(
            {
                "method": name, "ended": float(np.mean([each[2] for each in own])),
                "complete": float(np.mean([each[3] for each in own])),
                "regret": [interval(column) for column in at.T],
                "less_optuna": [interval(column) for column in (at - base).T],
                "optunas_end": float(FINE[reached[0]]) if len(reached) else None,
            }
        )  # fmt: skip
    return {"task": task, "budget_seconds": budget, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=sorted(path.stem for path in CURVES.glob("*.npz")))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.methods = ["optuna", *(name for name in options.methods if name != "optuna")]
    console = Console(width=160)
    with ProcessPoolExecutor(options.workers) as pool:
        tasks = [compare(task, options, pool, console) for task in options.tasks]
    for record in tasks:
        shares = [f"at {share:g}" for share in SHARES]
        title = f"{record['task']}: regret × 1000 by test scores, budget {record['budget_seconds']:.0f} s"
        grid = Table("method", "ended", "complete", *shares, "less optuna's, all", "optuna's end", title=title)
        for row in record["rows"]:
            cells = [f"{1000 * each['mean']:.1f}" for each in row["regret"]]
            less = row["less_optuna"][-1]
            told = f"{1000 * less['mean']:.1f} \\[{1000 * less['ci_low']:.1f}, {1000 * less['ci_high']:.1f}]"
            end = "–" if row["optunas_end"] is None else f"{row['optunas_end']:.0%}"
            grid.add_row(row["method"], f"{row['ended']:.0f}", f"{row['complete']:.0f}", *cells, told, end)
        console.print(grid)
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "python": platform.python_version(), "seeds": options.seeds, "shares": SHARES,
            "versions": {package: version(package) for package in ("optuna", "numpy", "scipy", "torch")},
        }  # fmt: skip
        options.json.write_text(json.dumps({**facts, "tasks": tasks}, indent=2) + "\n")


if __name__ == "__main__":
    main()
