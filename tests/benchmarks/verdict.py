"""What a verdict on H9 costs: a factorial whose runs are stacked, and an adaptive design, whose runs are stacked, too.

    python tests/benchmarks/verdict.py [--study studies/claim-batch-per-lr.toml] [--runs 150] [--json FILE]

Each is the study on digits, run by one worker of the service on SQLite, on one thread. All seconds are of the
processor, so that other work on the machine counts little: training seconds are those of the steps, evaluation apart;
worker seconds are all that the worker took, with the measurements that decide what is stacked. The interval is that of
H9's slope. The adaptive design is judged after every fifteenth run: where it is as narrow as the factorial, and
where it is at a quarter of the factorial's training seconds.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
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

SHARE = 0.25  # of the factorial's training seconds
EVERY = 15  # runs between two judgements


def changed(spec: StudySpec, **claim: Any) -> StudySpec:
    """The study with another [claim], for H9 alone."""
    table = spec.model_dump(mode="json", exclude_none=True)
    return parse_spec(table | {"claim": table["claim"] | {"hypotheses": ["H9"], "noise_scale": False} | claim}, "study")


def run(spec: StudySpec) -> tuple[list[TrialRecord], float, float]:
    """The trials of a study in their order, their training seconds, and those that its worker took."""
    clock = SimpleNamespace(perf_counter=time.process_time)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("batchlaw.train.loop.time", clock),
        patch("batchlaw.train.stacking.time", clock),
    ):
        storage = open_storage(f"sqlite:///{folder}/study.db", create=True)
        stored = register(storage, spec, trials=None, version="benchmark")
        began = time.process_time()
        Worker(stored, Runtime(torch.device("cpu"), Path("unused")), study_seed=spec.arm.seed).work()
        worker = time.process_time() - began
        records = sorted(records_of(stored), key=lambda record: record.number)
        storage.engine.dispose()
    return records, sum(record.result.train_seconds or 0.0 for record in records), worker


def factorial_slope(spec: StudySpec, records: list[TrialRecord]) -> Slope | None:
    """H9's slope."""
    [(_, surface)] = surfaces_of(spec, runs_of(spec, records), "lr")
    return gather(surface).forward.slope


def adaptive_slopes(spec: StudySpec, records: list[TrialRecord]) -> Iterator[tuple[int, float, Slope | None]]:
    """The runs and training seconds so far, and H9's slope."""
    runs, tuned = adaptive_runs_of(spec, records), np.array(levels_of(spec.space.batch_size), float)
    seconds = np.cumsum([record.result.train_seconds for record in records])
    for n in range(4 * EVERY, len(records) + 1, EVERY):
        so_far = type(runs)(*(column[:n] for column in vars(runs).values()))
        yield n, float(seconds[n - 1]), gather_adaptive(so_far, np.sort(tuned)).forward.slope


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
    rows: list[dict[str, Any]] = []

    def row(name: str, runs: int, training: float, worker: float | None, slope: Slope | None) -> None:
        interval = None if slope is None else [slope.slope, slope.ci_low, slope.ci_high]
        rows.append(
            {"design": name, "runs": runs, "train_seconds": training, "worker_seconds": worker, "slope": interval}
        )
        print(f"{name}: {runs} runs, {training:.1f} s of training, ± {half_width(slope):.3f}", flush=True)

    adaptive = changed(spec, design="adaptive", runs=options.runs, replicates=1)
    records, adaptive_training, adaptive_worker = run(adaptive)
    course = list(adaptive_slopes(adaptive, records))
    row("adaptive, to its end", len(records), adaptive_training, adaptive_worker, course[-1][2])
    cells, training, worker = run(spec)
    reference = factorial_slope(spec, cells)
    row("factorial", len(cells) * spec.arm.replicates, training, worker, reference)
    narrow = next((each for each in course if half_width(each[2]) <= half_width(reference)), None)
    if narrow is not None:
        row("adaptive, as narrow as the factorial", narrow[0], narrow[1], None, narrow[2])
    within = [each for each in course if each[1] <= SHARE * training]
    if within:
        row("adaptive, in a quarter of the seconds", within[-1][0], within[-1][1], None, within[-1][2])

    table = Table("design", "runs", "training, s", "worker, s", "slope of H9")
    for each in rows:
        interval = each["slope"]
        table.add_row(
            each["design"], str(each["runs"]), f"{each['train_seconds']:.1f}",
            "" if each["worker_seconds"] is None else f"{each['worker_seconds']:.1f}",
            "none" if interval is None else "{:.3f} [{:.3f}, {:.3f}]".format(*interval),
        )  # fmt: skip
    console.print(table)
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
