"""Which search finds the better front of accuracy against seconds while it prunes, on recorded learning curves.

    python tests/benchmarks/replay_front.py [--tasks digits] [--seeds 20] [--workers 1] [--json FILE]

The tables, the clock and the budget are those of replay_curves.py. A search names the front of its complete trials:
those that no other beats in validation accuracy and in seconds. The front is judged by the test scores of two other
seeds: by its hypervolume over the table's median score and below the longest run, seconds on a log scale, as a share of
the hypervolume of the table's own front.

Methods: "plain" is the search for the metric alone, TPE and Hyperband. "kept" lets a trial go on if it is faster than
all that were as good at its report. "weights" draws a weight of the score for each trial, by which TPE sees what has
ended. "both" is what a search against seconds does (`batchlaw.sampling.weighted`).
"""

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from replay import interval
from replay_curves import CURVES, REPORTS, Run, Search, seconds_of_hundred, table
from rich.console import Console
from rich.table import Table

METHODS = ("plain", "kept", "weights", "both")


class FrontSearch(Search):
    """A search that remembers the seconds of its trials, and weighs or guards by them."""

    def __init__(self, task: str, method: str, seed: int) -> None:
        self._keeps = method in ("kept", "both")
        self.seconds: dict[int, float] = {}  # of a whole trial
        self.found: list[tuple[float, float, float]] = []  # score, quality and seconds of complete trials
        super().__init__(task, "tpe hyperband", seed)
        if method in ("weights", "both"):  # the sampler's part of it; pruning is below, by the simulated clock
            assert self._spec.search is not None
            search = self._spec.search.model_copy(update={"against": "seconds"})
            self._spec = self._spec.model_copy(update={"search": search})

    def _start(self, events: list[Any], now: float) -> None:
        super()._start(events, now)
        run = max((event[2] for event in events), key=lambda run: run.trial.number)
        self.seconds[run.trial.number] = run.seconds * REPORTS

    def _report(self, run: Run) -> bool:
        n = len(self.ended)
        if self._keeps:
            run.trial.should_prune = self._not_kept(run)
        goes_on = super()._report(run)
        if len(self.ended) > n:
            self.found.append((*self.ended[-1][1:], run.seconds * REPORTS))
        return goes_on

    def _not_kept(self, run: Run) -> Any:
        trial = run.trial

        def should_prune() -> bool:
            if not type(trial).should_prune(trial):
                return False
            reached = self._at(run.done)
            return any(
                reached[number] >= reached[trial.number] and self.seconds[number] <= self.seconds[trial.number]
                for number in reached
                if number != trial.number
            )

        return should_prune


def hypervolume(points: list[tuple[float, float]], floor: float, longest: float) -> float:
    """Of qualities and seconds: above the floor, and below the longest on a log scale."""
    total, best = 0.0, floor
    edge = [(seconds, quality) for quality, seconds in points if quality > floor and seconds < longest]
    for seconds, quality in sorted(edge):
        if quality > best:
            total += (quality - best) * np.log(longest / seconds)
            best = quality
    return float(total)


def named(found: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Qualities and seconds of what no other beats by score and seconds."""
    return [
        (quality, seconds)
        for score, quality, seconds in found
        if not any(
            (other >= score and fast < seconds) or (other > score and fast <= seconds) for other, _, fast in found
        )
    ]


def one(task: str, method: str, seed: int, budget: float) -> tuple[float, float, int]:
    """The share of the table's hypervolume, the regret of the best score, and the number of complete trials."""
    search = FrontSearch(task, method, seed)
    search.run(lambda search: search.time >= budget)
    cells = table(task)
    test = cells["test"][..., 1:].mean(axis=-1)
    seconds = np.broadcast_to(cells["seconds"][:, None, :, None, None], test.shape)
    floor, longest = float(np.median(test)), float(seconds.max())
    whole = hypervolume(list(zip(test.ravel().tolist(), seconds.ravel().tolist(), strict=True)), floor, longest)
    return hypervolume(named(search.found), floor, longest) / whole, search.regret(budget), len(search.found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=sorted(path.stem for path in CURVES.glob("*.npz")))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, records = Console(width=140), []
    with ProcessPoolExecutor(options.workers) as pool:
        for task in options.tasks:
            seeds = range(options.seeds)
            budget = float(np.median(list(pool.map(seconds_of_hundred, [task] * 5, range(5)))))
            futures = {name: [pool.submit(one, task, name, seed, budget) for seed in seeds] for name in METHODS}
            found = {name: np.array([future.result() for future in own]) for name, own in futures.items()}
            rows = [
                {
                    "method": name, "hypervolume": interval(own[:, 0]), "regret": interval(own[:, 1]),
                    "complete": float(own[:, 2].mean()), "more_plain": interval(own[:, 0] - found["plain"][:, 0]),
                }
                for name, own in found.items()
            ]  # fmt: skip
            records.append({"task": task, "budget_seconds": budget, "rows": rows})
            grid = Table("method", "complete", "hypervolume", "more than plain", "regret x 1000", title=task)
            for row in rows:
                told = [
                    f"{row[name]['mean']:.3f} \\[{row[name]['ci_low']:.3f}, {row[name]['ci_high']:.3f}]"
                    for name in ("hypervolume", "more_plain")
                ]
                grid.add_row(row["method"], f"{row['complete']:.0f}", *told, f"{1000 * row['regret']['mean']:.2f}")
            console.print(grid)
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "python": platform.python_version(), "seeds": options.seeds,
            "versions": {package: version(package) for package in ("optuna", "numpy", "scipy")},
        }  # fmt: skip
        options.json.write_text(json.dumps({**facts, "tasks": records}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
