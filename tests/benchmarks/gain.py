"""How often a search gains more by going on than it was told, and what ends early by `search.stop`, on published grids.

    python tests/benchmarks/gain.py [--seeds 8] [--json FILE]

Searches of 100 trials by Optuna's default (as batchlaw has it) look their scores up in the grids of HPOBench
(tests/data/hpobench): a search sees one of the five seeds. After every fifth trial from the 20th on, `results/gain.py`
tells what the rest of the trials gain. The real gain is that of the best configuration trained, by the mean of all five
seeds, from then to the end.

"above" is the share in which the real gain was above the upper bound (nominal: 5 %), "none" that in which there was no
real gain at all. Looks at one search are not independent; intervals are bootstrapped over searches.

Of each rule the table tells the trials when it ended the search, and what the trials left would have gained.
"""

import argparse
import json
import os
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import optuna
from batchlaw.recipe.result import Outcome
from batchlaw.results.gain import CONFIDENCE, gain_of
from batchlaw.results.search_run import SearchRun
from batchlaw.sampling.known_space import KnownSpaceTPESampler
from grids import DIMENSIONS, NAMES, read_grid
from numpy.typing import NDArray
from racing import spec_of
from replay import interval
from rich.console import Console
from rich.progress import track
from rich.table import Table
from warm_start import space_of

TRIALS = 100
LOOKS = tuple(range(20, TRIALS, 5))
RULES = (0.002, 0.005, 0.01, 0.02)  # gains of accuracy


def searched(name: str, seed: int) -> NDArray[np.float64]:
    """At each look what was expected, the upper bound and the real gain, (n_looks, 3)."""
    grid, drawn = read_grid(name), int(np.random.default_rng(seed).integers(5))
    spec, means = spec_of(grid), grid.scores.mean(axis=-1)
    study = optuna.create_study(direction="maximize", sampler=KnownSpaceTPESampler(space_of(grid), seed=seed))
    runs, trained = [], []
    for number in range(TRIALS):
        trial = study.ask()
        cell = grid.suggest(trial)
        score = float(grid.scores[cell][drawn])
        study.tell(trial, score)
        trained.append(means[cell])
        runs.append(
            SearchRun(
                number=number, outcome=Outcome.COMPLETE, value=score, scores=[score], seconds=None, confirms=None,
                params={f"{dimension}_": trial.params[dimension] for dimension in DIMENSIONS},
            )
        )  # fmt: skip
    best = np.maximum.accumulate(trained)
    told = [gain_of(runs[:n], spec, TRIALS - n) for n in LOOKS]
    return np.array([(gain.expected, gain.high, best[-1] - best[n - 1]) for n, gain in zip(LOOKS, told, strict=True)])


def record_of(name: str, found: NDArray[np.float64]) -> dict[str, object]:
    """Over searches, (n_searches, n_looks, 3)."""
    expected, high, real = np.moveaxis(found, 2, 0)
    above = real > high
    rules = []
    for rule in RULES:
        ended = [next((place for place, bound in enumerate(of) if bound < rule), None) for of in high]
        missed = [0.0 if place is None else of[place] for place, of in zip(ended, real, strict=True)]
        trials = [TRIALS if place is None else LOOKS[place] for place in ended]
        rules.append(
            {
                "gain": rule, "ended": float(np.mean([place is not None for place in ended])),
                "trials": float(np.mean(trials)), "missed": float(np.mean(missed)),
                "missed_more": float(np.mean(np.array(missed) > rule)),
            }
        )  # fmt: skip
    return {
        "grid": name, "searches": len(found), "above": interval(above.mean(axis=1)),
        "above_at": {n: float(share) for n, share in zip(LOOKS, above.mean(axis=0), strict=True)},
        "none": float((real == 0).mean()), "expected": float(expected.mean()), "high": float(high.mean()),
        "real": float(real.mean()), "rules": rules,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    console = Console(width=130)
    turns = [(name, 100 * place + seed) for place, name in enumerate(NAMES) for seed in range(options.seeds)]
    found = np.array([searched(name, seed) for name, seed in track(turns, "searches", console=console)])
    of = np.array([name for name, _ in turns])
    records = [record_of("all", found), *(record_of(name, found[of == name]) for name in NAMES)]
    table = Table("grid", "above", "none", "expected", "bound", "real", *(f"stop at {rule:g}" for rule in RULES))
    for record in records:
        above = record["above"]
        rules = [f"{row['trials']:.0f} trials, missed {1000 * row['missed']:.2f}" for row in record["rules"]]
        table.add_row(
            record["grid"], f"{above['mean']:.1%} \\[{above['ci_low']:.1%}, {above['ci_high']:.1%}]",
            f"{record['none']:.0%}", *(f"{1000 * record[key]:.2f}" for key in ("expected", "high", "real")), *rules,
        )  # fmt: skip
    table.title = f"gains in thousandths of accuracy; {CONFIDENCE:.0%} bound"
    console.print(table)
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "versions": {package: version(package) for package in ("optuna", "numpy", "scipy")},
            "trials": TRIALS, "looks": LOOKS, "confidence": CONFIDENCE,
        }  # fmt: skip
        options.json.write_text(json.dumps({**facts, "grids": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
