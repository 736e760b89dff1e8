"""What judging a claim costs, in seconds of the processor.

    OMP_NUM_THREADS=1 python tests/benchmarks/claim_speed.py [--rounds 5] [--json FILE]

A grid of 8 rates × 9 batch sizes × 5 seeds is judged as a study is, beside a wall, on smooth curves and on curves whose
shape changes with the rate; then a table of 31,000 rows as one group (10 × 10 × 310 seeds) and of 30,960 rows as 86
groups (8 × 9 × 5), as a user judges a DataFrame. Medians over the rounds, each of another study, after one that is not
counted. Goals: .3 s for a grid (.7 s where shapes change), 5 s for one group and 30 s for 86.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import batchlaw
import numpy as np
import pandas as pd
from batchlaw.claims.evidence import gather
from batchlaw.claims.verdict import judge
from batchlaw.stats.surface import Surface
from rich.console import Console
from rich.table import Table
from simulated_claims import Setting, log_cosh, simulated, smooth_into_wall, wall

GRID = Setting(shape=wall, slopes=(0.7,))
GROUPS = 86


def table(surface: Surface, group: int) -> pd.DataFrame:
    """A row a run."""
    rates, batch_sizes, seeds = np.meshgrid(
        surface.given, surface.tuned, np.arange(surface.n_replicates), indexing="ij"
    )
    columns = {"lr": rates, "batch_size": batch_sizes, "seed": seeds, "score": surface.scores}
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()}).assign(group=group)


def of_surface(setting: Setting) -> Callable[[int], Callable[[], Any]]:
    """From a study's number to what is timed."""

    def prepared(number: int) -> Callable[[], Any]:
        surface, _ = simulated(setting, number)
        return lambda: judge(gather(surface, "lr", seed=number), ["H9"])

    return prepared


def of_table(setting: Setting, groups: int) -> Callable[[int], Callable[[], Any]]:
    def prepared(number: int) -> Callable[[], Any]:
        numbers = range(number * groups, (number + 1) * groups)
        runs = pd.concat([table(simulated(setting, study)[0], study) for study in numbers], ignore_index=True)
        by = "group" if groups > 1 else None
        return lambda: batchlaw.claim(runs, score="score", seed="seed", by=by)

    return prepared


TIMED = {
    "grid 8×9×5, wall": of_surface(GRID),
    "grid 8×9×5, log-cosh": of_surface(replace(GRID, shape=log_cosh)),
    "grid 8×9×5, shape changes": of_surface(replace(GRID, shape=smooth_into_wall)),
    "31,000 rows, 1 group": of_table(replace(GRID, rates=10, batch_sizes=10, seeds=310), 1),
    "30,960 rows, 86 groups": of_table(GRID, GROUPS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name, prepared in TIMED.items():
        seconds = []
        for number in range(options.rounds + 1):
            task = prepared(number)
            began = time.process_time()
            task()
            seconds.append(time.process_time() - began)
        rows.append({"of": name, "seconds": median(seconds[1:]), "rounds": [round(each, 4) for each in seconds[1:]]})
    grid = Table("", "median, s", "lowest", "highest")
    for row in rows:
        grid.add_row(row["of"], *(f"{value:.3f}" for value in (row["seconds"], min(row["rounds"]), max(row["rounds"]))))
    Console(width=100).print(grid)
    if options.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        record = {"machine": machine, "load_average": os.getloadavg()[0], "rows": rows}
        options.json.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
