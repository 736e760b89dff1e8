"""The share of the workers' time that is not training, and where it goes.

    python tests/benchmarks/overhead.py [--quick] [--seconds 0.2 1 5] [--workers 1 2 4] [--stored 20 1000 10000]
                                        [--sampler tpe] [--pruner hyperband] [--prune] [--wall 15] [--json FILE]

Workers of the service run a study like `digits-joint`, of seven dimensions, with the sampler and the pruner that a
study has by default, beside so many finished trials. A trial sleeps, as a process does while a GPU trains, and reports
ten times; its scores rise from trial to trial, so that the pruner is asked and ends none, and a trial of one second
lasts one second (`--prune` draws the scores at random, and trials end early). Overhead is 1 - the seconds asleep / the
seconds between the ends of a worker's first and last trial, over all workers. Sleeping workers compete for the
processor only with their overhead, and with whatever else runs: `processor` is a trial's own milliseconds on it alone,
and `trips` are its messages to a server and back: statements, and two more for each transaction of several statements.

The parts are milliseconds a trial: claim of a slot, ask, suggest, reports, should_prune, tell; `rest` is what these
leave. The race is left out. What is paid once a worker, such as reading the stored trials and loading the sampler, is
before the clock: it is in the second table, the time from the start of the process `batchlaw worker` to the first line
of its training function.
"""

import argparse
import json
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import tomli_w
import torch
from batchlaw import __version__
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.space import suggest
from batchlaw.spec import StudySpec, parse_spec
from batchlaw.storage import Slots, load, open_storage, register
from batchlaw.storage.attributes import CONFIG, RESULT
from batchlaw.storage.tables import slots
from batchlaw.workers.slot_trial import SlotTrial
from batchlaw.workers.worker import Worker
from many_trials import store
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table
from servers import SERVERS, fresh_database
from sqlalchemy import event, select, update

ROOT = Path(__file__).parents[2]
REPORTS = 10
PARTS = ("claim", "ask", "suggest", "reports", "should_prune", "tell", "rest")
PACKAGES = ("optuna", "SQLAlchemy", "torch", "numpy", "psycopg")
STUDY: dict[str, Any] = {
    "name": "sleepers",
    "question": "What does the service cost?",
    "objective": "sleeper:train",
    "train_size": 800,
    "budget": {"epochs": 20},
    "space": {
        "batch_size": {"low": 2, "high": 512, "log2": True},
        "base_lr": {"low": 1e-4, "high": 1.0, "log": True},
        "reference_batch_size": 32,
        "scaling_rule": ["constant", "sqrt", "linear"],
        "warmup_fraction": {"low": 0.0, "high": 0.3},
        "optimizer": ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"],
        "decay": ["constant", "cosine", "linear", "step", "batch-growth"],
        "momentum": {"low": 0.5, "high": 0.99},
    },
    "search": {
        "trials": 1,
        "metric": "score",
        "direction": "maximize",
        "reports": REPORTS,
        "confirm": False,
    },  # the race fits its model once in a search, and not for each trial
}
# The training function of the process whose start is timed.
SLEEPER = """\
import os, time
from pathlib import Path

def train(trial):
    with Path("began.txt").open("a") as file:
        print(time.time(), file=file)
    return {"score": 1.0}
"""


@contextmanager
def database(backend: str) -> Iterator[str]:
    if backend == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/study.db"
    else:
        with fresh_database(os.environ.get(f"BATCHLAW_TEST_{backend.upper()}", SERVERS[backend])) as url:
            yield url


def fill(url: str, spec: StudySpec, n: int) -> None:
    """The study with so many finished trials, and open slots for as many as a run may want."""
    storage = open_storage(url, create=True)
    stored = register(storage, spec, trials=n + 10_000, version=__version__)
    trials = list(finished(spec, n))
    store(storage, stored.study._study_id, trials)
    with storage.engine.begin() as connection:
        ids = select(slots.c.slot).where(slots.c.study_id == stored.study._study_id, slots.c.slot < n)
        connection.execute(update(slots).where(slots.c.slot.in_(ids)).values(state="done"))
    storage.engine.dispose()


def finished(spec: StudySpec, n: int) -> Iterator[FrozenTrial]:
    """Trials at random points, as a worker leaves them; three in four were pruned after three reports."""
    drawer, began = (
        optuna.create_study(sampler=optuna.samplers.RandomSampler(0)),
        datetime.now(UTC).replace(tzinfo=None),
    )
    facts = {"batchlaw": __version__, "python": platform.python_version(), "torch": torch.__version__}
    for number in range(n):
        trial = drawer.ask()
        config = derive(spec, suggest(trial, spec), run_seeds(0, spec.arm.replicates))
        pruned, value = number % 4 != 0, number / n
        reports = 3 if pruned else REPORTS
        curve = [{"progress": k / REPORTS, "score": value * k / REPORTS} for k in range(1, reports + 1)]
        yield FrozenTrial(
            number=number, trial_id=-1, state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
            value=curve[-1]["score"], params=trial.params, distributions=trial.distributions,
            datetime_start=began - timedelta(seconds=n - number), datetime_complete=began,
            user_attrs={
                CONFIG: config.model_dump(mode="json"), RESULT: {"curve": curve, "seconds": 1.0, "versions": facts},
            },
            system_attrs={"completed_rung_0": curve[0]["score"]},
            intermediate_values={k + 1: entry["score"] for k, entry in enumerate(curve)},
        )  # fmt: skip


class Stopwatch:
    """Seconds by part, of the main thread, counted where a part is not within another; and the span of the trials."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.trips = 0
        self.began: tuple[float, float] | None = None  # the end of the first trial, by the clock and the processor's
        self.ended = (0.0, 0.0)  # of the last trial
        self._begin = begin  # called with the first trial's end
        self._inside = False

    def count(self, trips: int, *_: Any) -> None:
        """Count what an event of an engine takes."""
        self.trips += trips

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Time a method of a class."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            if self._inside or threading.current_thread() is not threading.main_thread():
                return method(*arguments, **options)
            self._inside, began = True, time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                self.seconds[part] += time.perf_counter() - began
                self._inside = False
                if part == "tell":
                    self.ended = _clocks()
                    if self.began is None:
                        self.began = self.ended
                        self.seconds.clear()
                        self.trips = 0
                        self._begin()

        setattr(owner, name, timed)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


@dataclass
class Sleeper:
    """The training function: sleeps, and reports ten times."""

    seconds: float
    prune: bool
    trials: int = 0
    whole: int = 0  # of the trials, that were not pruned
    asleep: float = 0.0

    def begin(self) -> None:
        """Count from now."""
        self.trials, self.whole, self.asleep = 0, 0, 0.0

    def __call__(self, trial: Trial) -> dict[str, float]:
        score, self.trials = random.random() if self.prune else time.time(), self.trials + 1
        for part in range(1, REPORTS + 1):
            began = time.perf_counter()
            time.sleep(self.seconds / REPORTS)
            self.asleep += time.perf_counter() - began
            trial.report(part / REPORTS, {"score": score * part / REPORTS})
        self.whole += 1
        return {"score": score}


def work(url: str, trial_seconds: float, wall: float, prune: bool, ready: Any, results: Any) -> None:
    """A worker for a time; its trials, the seconds they span, and seconds by part."""
    sleeper = Sleeper(trial_seconds, prune)
    watch = Stopwatch(sleeper.begin)
    stored = load(open_storage(url), "sleepers")
    began = time.perf_counter()
    stored.study.get_trials(deepcopy=False)
    reading = time.perf_counter() - began
    worker = Worker(stored, Runtime(torch.device("cpu"), Path("unused"), sleeper), study_seed=os.getpid())
    for name, trips in (("before_cursor_execute", 1), ("commit", 2)):
        event.listen(stored.storage.engine, name, partial(watch.count, trips))
    for owner, name, part in (
        (Slots, "lease", "claim"), (optuna.Study, "ask", "ask"), (optuna.Trial, "report", "reports"),
        (optuna.Trial, "should_prune", "should_prune"), (SlotTrial, "tell", "tell"),
        *((optuna.Trial, f"suggest_{kind}", "suggest") for kind in ("int", "float", "categorical")),
    ):  # fmt: skip
        watch.watch(owner, name, part)
    ready.wait()
    worker.timeout = wall
    worker.work()
    assert watch.began is not None
    span, processor = (after - before for before, after in zip(watch.began, watch.ended, strict=True))
    results.put(
        {
            "trials": sleeper.trials, "whole": sleeper.whole, "asleep": sleeper.asleep, "span": span, "cpu": processor,
            "trips": watch.trips, "reading": reading, "parts": dict(watch.seconds),
        }
    )  # fmt: skip


def cell(url: str, workers: int, trial_seconds: float, wall: float, prune: bool) -> dict[str, Any]:
    """One setting: workers of one study for a time, all started before the clock."""
    context = multiprocessing.get_context("fork")
    ready, results = context.Barrier(workers), context.Queue()
    arguments = (url, trial_seconds, wall, prune, ready, results)
    processes = [context.Process(target=work, args=arguments) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    trials, whole, span, asleep, cpu, trips = (
        sum(each[key] for each in found) for key in ("trials", "whole", "span", "asleep", "cpu", "trips")
    )
    parts = {name: sum(each["parts"].get(name, 0.0) for each in found) for name in PARTS[:-1]}
    parts["rest"] = span - asleep - sum(parts.values())
    return {
        "trials": trials, "not_pruned": whole, "overhead": 1 - asleep / span,
        "beside_ms": 1e3 * (span - asleep) / trials, "processor_ms": 1e3 * cpu / trials, "trips": trips / trials,
        "parts_ms": {name: 1e3 * seconds / trials for name, seconds in parts.items()},
        "reading_seconds": statistics.median(each["reading"] for each in found),
    }  # fmt: skip


def start_up(url: str, runs: int) -> dict[str, float]:
    """Seconds from the start of `batchlaw worker` to the first line of its training function, of several runs."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sleeper.py").write_text(SLEEPER)
        (folder / "sleepers.toml").write_text(tomli_w.dumps(STUDY))
        for _ in range(runs):
            (folder / "began.txt").unlink(missing_ok=True)
            began = time.time()
            command = [
                sys.executable,
                "-P",
                "-m",
                "batchlaw",
                "worker",
                "sleepers.toml",
                "--storage",
                url,
                "--threads",
                "1",
            ]
            process = subprocess.Popen([*command, "--timeout", "1"], cwd=folder, stdout=subprocess.DEVNULL)
            if process.wait():
                raise SystemExit("the worker failed")
            found.append(float((folder / "began.txt").read_text().split()[0]) - began)
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.2, 1.0, 5.0], help="of a trial")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--stored", type=int, nargs="+", default=[20, 1_000, 10_000])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", *SERVERS])
    parser.add_argument("--wall", type=float, default=15.0, help="seconds of a setting; a trial of 5 s gets 20")
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--pruner", default="hyperband")
    parser.add_argument("--prune", action="store_true", help="scores at random, so that trials are pruned")
    parser.add_argument("--starts", type=int, default=3, help="processes whose start is timed")
    parser.add_argument("--quick", action="store_true", help="trials of 1 s, two workers, five seconds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.workers, options.wall = [1.0], [2], 5.0
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "search")}
    STUDY["search"] |= {"sampler": options.sampler, "pruner": options.pruner}
    spec = parse_spec(STUDY, "overhead")
    console, rows, starts = Console(width=160), [], []
    for backend in options.databases:
        for n in options.stored:
            with database(backend) as url:
                fill(url, spec, n)
                for workers in options.workers:
                    for seconds in options.seconds:
                        wall = max(options.wall, 4 * seconds)
                        row = {"database": backend, "stored": n, "workers": workers, "trial_seconds": seconds}
                        rows.append(row | cell(url, workers, seconds, wall, options.prune))
                        last = rows[-1]
                        print(
                            backend, n, workers, seconds, f"{last['overhead']:.1%}", f"{last['beside_ms']:.0f} ms",
                            f"{last['processor_ms']:.1f} ms of the processor, {last['trips']:.1f} trips",
                            {name: round(ms, 1) for name, ms in last["parts_ms"].items()}, flush=True,
                        )  # fmt: skip
                if options.starts:
                    reading = [row["reading_seconds"] for row in rows if row["stored"] == n]
                    facts = start_up(url, options.starts)
                    starts.append({"database": backend, "stored": n, "reading": statistics.median(reading), **facts})
    console.print(cells_table(rows))
    if starts:
        console.print(starts_table(starts))
    if options.json:
        facts = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "load_average": os.getloadavg()[0], "python": platform.python_version(),
            "versions": {package: version(package) for package in PACKAGES},
            "sampler": options.sampler, "pruner": options.pruner, "pruning": options.prune, "reports": REPORTS,
        }  # fmt: skip
        options.json.write_text(json.dumps({**facts, "rows": rows, "start_up": starts}, indent=2) + "\n")


def cells_table(rows: Sequence[dict[str, Any]]) -> Table:
    grid = Table(
        "database", "stored", "workers", "trial, s", "trials", "overhead", "beside, ms", "processor", "trips", *PARTS
    )
    for row in rows:
        grid.add_row(
            row["database"], f"{row['stored']:,}", str(row["workers"]), f"{row['trial_seconds']:g}",
            str(row["trials"]), f"{row['overhead']:.1%}", f"{row['beside_ms']:.0f}", f"{row['processor_ms']:.0f}",
            f"{row['trips']:.0f}",
            *(f"{row['parts_ms'][name]:.1f}" for name in PARTS),
        )  # fmt: skip
    return grid


def starts_table(rows: Sequence[dict[str, Any]]) -> Table:
    grid = Table("database", "stored", "start of a worker, s", "min", "max", "of it reading the trials, s")
    for row in rows:
        times = (f"{row[of]:.2f}" for of in ("median", "min", "max", "reading"))
        grid.add_row(row["database"], f"{row['stored']:,}", *times)
    return grid


if __name__ == "__main__":
    main()
