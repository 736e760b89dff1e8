"""What it costs to run a program as a trial, beside the program by itself.

    python tests/benchmarks/program_overhead.py [--workers 2] [--seconds 1] [--wall 30] [--lines 20000] [--json FILE]

Overhead: workers run a study of a program that sleeps and reports ten times, on SQLite, for some time. A trial lasts as
long as its worker spends between the ends of its first and its last trial, over their number; the program by itself, as
many at a time as there are workers, lasts from its start to its end. The difference is what a trial costs.

Output: a program prints so many lines a second, timed by its own clock, while it is heard; and the same into a file. It
tells by how much it is behind its clock at the end.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from batchlaw import __version__
from batchlaw.objectives.program import Command
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import point_of
from batchlaw.spec import StudySpec, parse_spec
from batchlaw.storage import load, open_storage, register
from batchlaw.workers.worker import Worker

SLEEPER = """\
import json, sys, time
for part in range(1, 11):
    time.sleep(float(sys.argv[2]) / 10)
    print(json.dumps({"progress": part / 10, "loss": float(sys.argv[1]) / part}), flush=True)
"""
PRINTER = """\
import sys, time
rate, seconds = int(sys.argv[1]), float(sys.argv[2])
began, late, n = time.perf_counter(), 0.0, 0
for _ in range(int(seconds * 100)):  # a hundredth of a second at a time
    for _ in range(rate // 100):
        n += 1
        print(f"step {n}: train loss {1 / n:.6f}, {n} examples, no more to say of this step")
    sys.stdout.flush()
    ahead = began + n / rate - time.perf_counter()
    if ahead > 0:
        time.sleep(ahead)
    late = max(late, -ahead)
print(f"loss {1000 * late:.3f} late, in ms; {time.perf_counter() - began:.6f} seconds", file=sys.stderr)
print("val loss 0.5")
"""


def study(command: list[str], **keys: Any) -> StudySpec:
    search = {"trials": 100_000, "metric": "loss", "direction": "minimize", "pruner": "none"}
    space = {"batch_size": {"low": 2, "high": 512, "log2": True}, "base_lr": {"low": 1e-4, "high": 1.0, "log": True}}
    table = {"name": "programs", "command": command, "space": space, "search": search, **keys}
    return parse_spec(table, "program_overhead")


def work(url: str, spec: StudySpec, folder: Path, wall: float, ready: Any, results: Any) -> None:
    """A worker for a time: its trials after the first, for which it loads much, and the seconds they span."""
    stored = load(open_storage(url), spec.name)
    ends: list[float] = []
    runtime = Runtime(torch.device("cpu"), folder, Command(spec, folder), runs_dir=folder / "runs")

    def ended() -> None:
        ends.append(time.perf_counter())

    worker = Worker(stored, runtime, study_seed=os.getpid(), timeout=wall, between=ended)
    ready.wait()
    worker.work()
    results.put((len(ends) - 1, ends[-1] - ends[0]))


def trials(folder: Path, workers: int, seconds: float, wall: float) -> float:
    """Seconds of a trial."""
    spec = study(["python", "sleeper.py", "{lr}", str(seconds), "{batch_size}"])
    url = f"sqlite:///{folder / 'study.db'}"
    storage = open_storage(url, create=True)
    register(storage, spec, trials=None, version=__version__)
    storage.engine.dispose()
    context = multiprocessing.get_context("fork")
    ready, results = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=work, args=(url, spec, folder, wall, ready, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return sum(span for _, span in found) / sum(n for n, _ in found)


def bare(folder: Path, workers: int, seconds: float, wall: float) -> float:
    """Seconds of the program by itself, as many at a time as there are workers."""
    took, until = [], time.monotonic() + wall
    command = [sys.executable, "sleeper.py", "0.1", str(seconds), "16"]
    while time.monotonic() < until:
        began = time.perf_counter()
        running = [subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) for _ in range(workers)]
        for process in running:
            process.wait()
            took.append(time.perf_counter() - began)
    return statistics.mean(took)


def lateness(folder: Path, rate: int, seconds: float, *, heard: bool) -> str:
    """How late the printing program was, in its own words."""
    if not heard:
        with (folder / "printed.txt").open("w") as file:
            command = [sys.executable, "printer.py", str(rate), str(seconds)]
            done = subprocess.run(command, cwd=folder, stdout=file, stderr=subprocess.PIPE, text=True, check=True)
        return done.stderr.strip()
    metrics = {"loss": {"regex": r"val loss ([0-9.]+)"}, "train": {"regex": r"train loss ([0-9.]+)"}}
    spec = study(["python", "printer.py", str(rate), str(seconds)], metrics=metrics, space={"base_lr": 0.1})
    notes: dict[str, Any] = {}
    config = derive(spec, point_of({}, spec), (0,))
    Command(spec, folder)(Trial(config, lambda progress, metrics: None, folder, notes=notes))
    return next(line for line in notes["output"] if " late, in ms" in line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of the program")
    parser.add_argument("--wall", type=float, default=30.0, help="seconds of each part")
    parser.add_argument("--lines", type=int, default=20_000, help="a second")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sleeper.py").write_text(SLEEPER)
        (folder / "printer.py").write_text(PRINTER)
        alone = bare(folder, options.workers, options.seconds, options.wall)
        trial = trials(folder, options.workers, options.seconds, options.wall)
        facts = {
            "workers": options.workers, "bare_seconds": alone, "trial_seconds": trial,
            "overhead_ms": 1e3 * (trial - alone), "load_average": os.getloadavg()[0],
            "lines_a_second": options.lines,
            "into_a_file": lateness(folder, options.lines, 5.0, heard=False),
            "heard": lateness(folder, options.lines, 5.0, heard=True),
        }  # fmt: skip
    text = json.dumps(facts, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
