"""A kill storm: four workers, one of them killed with SIGKILL every second or two and replaced, until the study ends.

    python tests/benchmarks/kill_storm.py sqlite
    python tests/benchmarks/kill_storm.py sqlite --task sleep --stops --bad-node
    python tests/benchmarks/kill_storm.py sqlite --task sleep --spare --workers 8 --every 5 5 --seconds 3600
    python tests/benchmarks/kill_storm.py postgresql --restarts 2     # a server of its own, restarted in the middle
    python tests/benchmarks/kill_storm.py mysql

Prints a table and writes JSON. The study must end with exactly its trials, every score equal to that of an undisturbed
run of the same trial, and none left RUNNING; the exit code says whether it did. With `--stops` every second victim is
stopped for longer than its lease instead, and goes on. With `--bad-node` a further worker, on which every trial fails,
is started again whenever it has ended. With `--spare` one worker is left alone, its memory is watched, and the budget
is raised until the time is up. The task `digits` trains, `sleep` is a function that sleeps for a second, whose score is
known. On sqlite and mysql the server is not restarted. `--database URL` names another server; its database is made anew
and dropped.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import outcome_counts, records_of
from batchlaw.spec import parse_spec, toml_of
from batchlaw.storage import load, open_storage, register, workers_of
from batchlaw.workers.recovery import reap
from optuna.trial import TrialState
from servers import SERVERS, fresh_database, own_postgresql

RESULTS = Path(__file__).parent / "results"
STUDY = {
    "name": "storm",
    "question": "Does anything get lost?",
    "task": {"dataset": "digits", "model": "mlp", "train_size": 800, "model_options": {"widths": [64]}},
    "budget": {"epochs": 20},
    "space": {
        "batch_size": {"low": 4, "high": 32, "log2": True},
        "base_lr": {"low": 0.01, "high": 0.3, "log": True},
        "optimizer": ["momentum", "adam"],
    },
    "search": {"trials": 60, "sampler": "random", "pruner": "none", "replicates": 2},
}
SLEEP = {
    "name": "storm",
    "objective": "sleeper:train",
    "space": {"batch_size": 8, "base_lr": {"low": 0.01, "high": 0.3, "log": True}},
    "search": {"trials": 60, "sampler": "random", "pruner": "none", "metric": "loss", "direction": "minimize"},
}
SLEEPER = """
import os, time

def train(trial):
    if "BAD_NODE" in os.environ:
        raise OSError("no such device")
    time.sleep(1)
    return {"loss": trial.config.base_lr ** 2 + trial.seed % 7}
"""
LEASE_SECONDS = 10
LEFT = 500  # open trials while the budget is raised


def start(url: str, folder: Path, log, **more: str) -> subprocess.Popen:
    environment = os.environ | more | {"BATCHLAW_STORAGE": url, "BATCHLAW_CHECKPOINTS": str(folder / "checkpoints")}
    options = ["--threads", "1", "--lease-seconds", str(LEASE_SECONDS), "--checkpoint-seconds", "0.2"]
    study = str(folder / "storm.toml") if (folder / "storm.toml").exists() else "storm"
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "batchlaw", "worker", study, *options],
        env=environment | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip


def storm(url: str, folder: Path, args, server: Callable[[str], None] | None) -> dict:
    chance = random.Random(args.seed)
    storage = open_storage(url, create=True)
    study = STUDY if args.task == "digits" else SLEEP
    study = study | {"search": study["search"] | {"trials": args.trials}}
    if args.task == "sleep":
        (folder / "sleeper.py").write_text(SLEEPER)
        (folder / "storm.toml").write_text(toml_of(parse_spec(study, "storm")))
    stored = register(storage, parse_spec(study, "storm"), trials=None, version="storm")
    began, kills, starts, restarts, failed = time.monotonic(), 0, args.workers, 0, 0
    log = (folder / "workers.log").open("w")
    workers = [start(url, folder, log) for _ in range(args.workers)]
    next_kill = began + 5
    bad = start(url, folder, log, BAD_NODE="1") if args.bad_node else None
    paused: dict[subprocess.Popen, float] = {}  # until time.monotonic()
    stops, bad_starts, memory, next_look, budget = 0, 1, [], began, args.trials
    while True:
        time.sleep(0.05)
        now = time.monotonic() - began
        storming = now < args.seconds
        if storming and time.monotonic() >= next_kill:
            victim = chance.randrange(args.spare, len(workers))
            if workers[victim].poll() is None and workers[victim] not in paused:
                if args.stops and (kills + stops) % 2:
                    workers[victim].send_signal(signal.SIGSTOP)
                    paused[workers[victim]] = time.monotonic() + LEASE_SECONDS + 3
                    stops += 1
                else:
                    workers[victim].send_signal(signal.SIGKILL)
                    workers[victim].wait()
                    kills += 1
            next_kill = time.monotonic() + chance.uniform(*args.every)
        for worker in [each for each, until in paused.items() if time.monotonic() > until]:
            worker.send_signal(signal.SIGCONT)
            del paused[worker]
        if server and restarts < args.restarts and now > args.seconds * (restarts + 1) / (args.restarts + 1):
            storage.engine.dispose()
            server("restart")
            restarts += 1
        counts = stored.slots.counts()
        if args.spare and time.monotonic() >= next_look:
            memory.append((counts.done, round(pss(workers[0].pid), 1)))
            next_look = time.monotonic() + 15
        if args.spare and storming and counts.open < LEFT:
            budget += LEFT
            stored.slots.resize(budget)
        done = counts.done == counts.total
        for index, worker in enumerate(workers):
            if worker.poll() is not None and (storming or not done):
                failed += worker.returncode not in (0, -signal.SIGKILL)
                workers[index] = start(url, folder, log)
                starts += 1
        if bad and bad.poll() is not None and not done:
            bad = start(url, folder, log, BAD_NODE="1")
            bad_starts += 1
        if done and not storming and not paused:
            break
        if now > args.seconds * 10:
            break
    for worker in (*workers, *([bad] if bad else [])):
        worker.wait(300)
    reap(stored)
    seconds = time.monotonic() - began
    stored = load(storage, "storm")
    records = records_of(stored)
    torch.set_num_threads(1)
    complete = [record for record in records if record.outcome == Outcome.COMPLETE]
    if args.task == "digits":
        runtime = Runtime(torch.device("cpu"), folder)
        differing = sum(replay(record, stored.spec, runtime).largest_difference != 0 for record in complete)
    else:
        known = [record.known_config.base_lr**2 + record.known_config.seeds[0] % 7 for record in complete]
        differing = sum(record.value != value for record, value in zip(complete, known, strict=True))
    counts = stored.slots.counts()
    result = {
        "backend": storage.engine.dialect.name,
        "seconds": round(seconds, 1),
        "workers": args.workers,
        "kills": kills,
        "stops_past_the_lease": stops,
        "starts_of_the_bad_node": bad_starts if args.bad_node else 0,
        "server_restarts": restarts,
        "workers_started": starts,
        "workers_registered": len(workers_of(storage.engine, stored.study._study_id)),
        "workers_failed": failed,
        "budget": budget,
        "slots_done": counts.done,
        "outcomes": outcome_counts(records),
        "running_left": sum(trial.state == TrialState.RUNNING for trial in stored.study.get_trials()),
        "scores_checked": len(complete),
        "scores_differing": differing,
        "attempts": len(stored.study.get_trials(deepcopy=False)),
        "memory_every_15_s": memory,  # trials done, and MB (PSS) of the worker that was left alone
        "checkpoints_left": len(list((folder / "checkpoints").glob("*"))) if (folder / "checkpoints").exists() else 0,
    }
    storage.engine.dispose()
    result["whole"] = (
        counts.done == len(complete) == budget and not result["running_left"] and not differing and not failed
    )
    return result


def pss(pid: int) -> float:
    """The memory of a process in MB: what it has alone, and its share of what it shares."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return float("nan")
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backend", choices=["sqlite", "postgresql", "mysql"])
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--task", choices=["digits", "sleep"], default="digits")
    parser.add_argument("--every", type=float, nargs=2, default=[1.0, 2.0], help="seconds between two victims")
    parser.add_argument("--stops", action="store_true")
    parser.add_argument("--bad-node", action="store_true")
    parser.add_argument("--spare", action="store_true")
    parser.add_argument("--restarts", type=int, default=0, help="of a PostgreSQL server of its own")
    parser.add_argument("--database", help="URL of a database on the server to use")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.backend == "sqlite":
            result = storm(f"sqlite:///{folder / 'storm.db'}", folder, args, None)
        elif args.restarts:
            with own_postgresql(folder) as (url, server):
                result = storm(url, folder, args, server)
        else:
            with fresh_database(args.database or SERVERS[args.backend]) as url:
                result = storm(url, folder, args, None)
        log = (folder / "workers.log").read_text()
    for key, value in result.items():
        print(f"{key:>20}  {value}")
    if not result["whole"]:
        print(log[-4000:])
    suffix = "-soak" if args.spare else "-bad_node" if args.bad_node else "-restarts" if args.restarts else ""
    (RESULTS / f"kill_storm-{args.backend}{suffix}.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(0 if result["whole"] else 1)


if __name__ == "__main__":
    main()
