"""What a verdict on H9 costs: a factorial run by run, the same with runs stacked, and an adaptive design.

    python tests/benchmarks/verdict.py [--study studies/claim-batch-per-lr.toml] [--runs 150] [--json FILE]

Each is the study on digits, run by one worker of the service on SQLite, on one thread. Training seconds are those of
the steps, evaluation apart; wall seconds are all that the worker took, with the measurements that decide what is
stacked. The interval is that of H9's slope. A factorial is also judged on fewer of its seeds, for the cheapest that is
narrower than ± 0.25; run by run its seconds go with the seeds, and stacked it is run again with so many. The adaptive
design is judged after each of its rounds: when it is narrower than ± 0.25, and when it is as narrow as the factorial.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from batchlaw.claims.evidence import gather, gather_adaptive
from batchlaw.claims.runs import adaptive_runs_of, runs_of
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.records import TrialRecord, records_of
from batchlaw.spec import StudySpec, levels_of, parse_spec, read_spec
from batchlaw.stats.slope import Slope
from batchlaw.storage import open_storage, register
from batchlaw.workers.worker import Worker
from rich.console import Console
from rich.table import Table

NARROW = 0.25
FEWEST_SEEDS = 3  # of a paired test


def changed(spec: StudySpec, **claim: Any) -> StudySpec:
    """The study with another [claim], for H9 alone."""
    table = spec.model_dump(mode="json", exclude_none=True)
    return parse_spec(table | {"claim": table["claim"] | {"hypotheses": ["H9"], "noise_scale": False} | claim}, "study")


def run(spec: StudySpec) -> tuple[list[TrialRecord], float, float]:
    """The trials of a study, their training seconds, and those that its worker took."""
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{folder}/study.db", create=True)
        stored = register(storage, spec, trials=None, version="benchmark")
        began = time.perf_counter()
        Worker(stored, Runtime(torch.device("cpu"), Path("unused")), study_seed=spec.arm.seed).work()
        wall = time.perf_counter() - began
        records = records_of(stored)
        storage.engine.dispose()
    return records, sum(record.result.train_seconds or 0.0 for record in records), wall


def by_itself(spec: StudySpec) -> tuple[list[TrialRecord], float, float]:
    """As `run`, each run in a network of its own."""
    with (
        patch("batchlaw.objectives.builtin.configs_together", lambda *_: 1),
        patch("batchlaw.train.loop.stack_size", lambda *_: 1),
    ):
        return run(spec)


def factorial_slope(spec: StudySpec, records: list[TrialRecord], seeds: int) -> Slope | None:
    """H9's slope from the first so many seeds of every cell."""
    [(_, surface)] = surfaces_of(spec, runs_of(spec, records), "lr")
    fewer = replace(surface, scores=surface.scores[:, :, :seeds], unstable=surface.unstable[:, :, :seeds])
    return gather(fewer).forward.slope


def adaptive_slopes(spec: StudySpec, records: list[TrialRecord]) -> Iterator[tuple[int, float, Slope | None]]:
    """After each round: the runs and training seconds so far, and H9's slope."""
    runs, tuned = adaptive_runs_of(spec, records), np.array(levels_of(spec.space.batch_size), float)
    seconds = np.cumsum([record.result.train_seconds for record in records])
    a_round = len(levels_of(spec.space.base_lr))
    for trials in range(3 * a_round, len(records) + 1, a_round):
        n = trials * spec.arm.replicates
        so_far = type(runs)(*(column[:n] for column in vars(runs).values()))
        yield n, float(seconds[trials - 1]), gather_adaptive(so_far, np.sort(tuned)).forward.slope


def half_width(slope: Slope | None) -> float:
    return np.inf if slope is None else (slope.ci_high - slope.ci_low) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path(__file__).parents[2] / "studies" / "claim-batch-per-lr.toml")
    parser.add_argument("--runs", type=int, default=150, help="of the adaptive design, of one seed each")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    console, load = Console(width=120), os.getloadavg()[0]
    spec = changed(read_spec(options.study))
    seeds = spec.arm.replicates
    rows: list[dict[str, Any]] = []

    def row(name: str, runs: int, training: float, wall: float | None, slope: Slope | None) -> None:
        interval = None if slope is None else [slope.slope, slope.ci_low, slope.ci_high]
        rows.append({"design": name, "runs": runs, "train_seconds": training, "wall_seconds": wall, "slope": interval})
        console.print(f"{name}: {runs} runs, {training:.1f} s of training, ± {half_width(slope):.3f}")

    alone, training, wall = by_itself(spec)
    n_cells = len(alone)
    row("factorial, run by run", n_cells * seeds, training, wall, factorial_slope(spec, alone, seeds))
    stacked, stacked_training, stacked_wall = run(spec)
    reference = factorial_slope(spec, stacked, seeds)
    row("factorial, stacked", n_cells * seeds, stacked_training, stacked_wall, reference)
    narrow = next((n for n in range(FEWEST_SEEDS, seeds) if half_width(factorial_slope(spec, stacked, n)) < NARROW), 5)
    if narrow < seeds:
        slope = factorial_slope(spec, stacked, narrow)
        row(f"run by run, {narrow} seeds", n_cells * narrow, training * narrow / seeds, None, slope)
        # A study needs five seeds of a cell, so the stack of fewer is made of the specification past its checks.
        fewer = spec.model_copy(update={"claim": spec.claim.model_copy(update={"replicates": narrow})})
        _, fewer_training, fewer_wall = run(fewer)
        row(f"stacked, {narrow} seeds", n_cells * narrow, fewer_training, fewer_wall, slope)
    adaptive = changed(spec, design="adaptive", runs=options.runs, replicates=1)
    records, adaptive_training, adaptive_wall = run(adaptive)
    course = list(adaptive_slopes(adaptive, sorted(records, key=lambda record: record.number)))
    for name, bound in (("narrower than ± 0.25", NARROW), ("as narrow as the factorial", half_width(reference))):
        reached = next(((n, s, slope) for n, s, slope in course if half_width(slope) <= bound), None)
        if reached is None:
            console.print(f"adaptive: not {name} after {options.runs} runs")
        else:
            row(f"adaptive, {name}", reached[0], reached[1], None, reached[2])
    row("adaptive, to its end", len(records), adaptive_training, adaptive_wall, course[-1][2])

    table = Table("design", "runs", "training, s", "wall, s", "slope of H9")
    for each in rows:
        interval = each["slope"]
        table.add_row(
            each["design"], str(each["runs"]), f"{each['train_seconds']:.1f}",
            "" if each["wall_seconds"] is None else f"{each['wall_seconds']:.1f}",
            "none" if interval is None else "{:.3f} [{:.3f}, {:.3f}]".format(*interval),
        )  # fmt: skip
    console.print(table)
    console.print(f"stacking: {training / stacked_training:.1f} times fewer seconds of training")
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "versions": {package: version(package) for package in ("optuna", "torch", "numpy", "scipy")},
            "load_average": load,
            "study": options.study.stem,
            "rows": rows,
            "adaptive_course": [
                {"runs": n, "train_seconds": s, "half_width": None if slope is None else half_width(slope)}
                for n, s, slope in course
            ],
        }
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
