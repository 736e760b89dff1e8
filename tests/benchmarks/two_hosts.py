"""Two hosts on one database, the link of one cut for twenty seconds in the middle; the study must end whole.

    sudo python tests/benchmarks/two_hosts.py

The hosts are network namespaces with process and host names of their own, joined by a bridge to a PostgreSQL server of
our own. Needs root on Linux. Prints a table and writes JSON; the exit code says whether the study ended whole.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import outcome_counts, records_of
from batchlaw.spec import parse_spec
from batchlaw.storage import open_storage, register, workers_of
from batchlaw.workers.recovery import reap
from optuna.trial import TrialState
from servers import own_postgresql

RESULTS = Path(__file__).parent / "results"
HOSTS = ("north", "south")
CUT_SECONDS = 20.0
STUDY = {
    "name": "hosts",
    "question": "Does a study survive a cut link?",
    "task": {"dataset": "digits", "model": "mlp", "train_size": 800, "model_options": {"widths": [64]}},
    "budget": {"epochs": 60},
    "space": {
        "batch_size": {"low": 4, "high": 16, "log2": True},
        "base_lr": {"low": 0.01, "high": 0.3, "log": True},
        "optimizer": ["momentum", "adam"],
    },
    "search": {"trials": 50, "sampler": "random", "pruner": "none", "max_retries": 10},
}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def build() -> None:
    """A bridge at 10.77.0.1, and a namespace a host at 10.77.0.2 and 3."""
    ip("link", "add", "bl-bridge", "type", "bridge")
    ip("addr", "add", "10.77.0.1/16", "dev", "bl-bridge")
    ip("link", "set", "bl-bridge", "up")
    for number, host in enumerate(HOSTS, start=2):
        ip("netns", "add", host)
        ip("link", "add", f"bl-{host}", "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("link", "set", f"bl-{host}", "master", "bl-bridge", "up")
        ip("-n", host, "addr", "add", f"10.77.0.{number}/16", "dev", "eth0")
        ip("-n", host, "link", "set", "eth0", "up")
        ip("-n", host, "link", "set", "lo", "up")


def clear() -> None:
    for host in HOSTS:
        subprocess.run(["ip", "netns", "del", host], capture_output=True)
    subprocess.run(["ip", "link", "del", "bl-bridge"], capture_output=True)


def start(host: str, url: str, folder: Path, log) -> subprocess.Popen:
    environment = os.environ | {
        "BATCHLAW_STORAGE": url, "OMP_NUM_THREADS": "1", "BATCHLAW_CHECKPOINTS": str(folder / host)
    }  # fmt: skip
    worker = f"hostname {host}; exec {sys.executable} -P -m batchlaw worker hosts --threads 1 --lease-seconds 10"
    return subprocess.Popen(
        ["ip", "netns", "exec", host, "unshare", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", worker],
        env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def main() -> None:
    if os.getuid() != 0:
        sys.exit("network namespaces need root: sudo python tests/benchmarks/two_hosts.py")
    clear()
    build()
    try:
        with tempfile.TemporaryDirectory() as name, own_postgresql(Path(name), "10.77.0.1") as (url, _):
            result = race(url, Path(name))
    finally:
        clear()
    for key, value in result.items():
        print(f"{key:>20}  {value}")
    (RESULTS / "two_hosts.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(0 if result["whole"] else 1)


def race(url: str, folder: Path) -> dict:
    storage = open_storage(url, create=True)
    stored = register(storage, parse_spec(STUDY, "two hosts"), trials=None, version="two hosts")
    log = (folder / "workers.log").open("w")
    workers = [start(host, url, folder, log) for host in HOSTS]
    began = time.monotonic()
    while stored.slots.counts().done < 8:
        time.sleep(0.2)
    cut_at = stored.slots.counts().done
    ip("link", "set", f"bl-{HOSTS[0]}", "down")
    time.sleep(CUT_SECONDS)
    during = stored.slots.counts().done
    ip("link", "set", f"bl-{HOSTS[0]}", "up")
    codes = []
    for worker in workers:
        try:
            codes.append(worker.wait(300))
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            codes.append(-1)
    seconds = time.monotonic() - began
    reap(stored)
    records = records_of(stored)
    complete = [record for record in records if record.outcome == Outcome.COMPLETE]
    torch.set_num_threads(1)
    runtime = Runtime(torch.device("cpu"), folder)
    differing = sum(replay(record, stored.spec, runtime).largest_difference != 0 for record in complete)
    registry = workers_of(storage.engine, stored.study._study_id)
    counts = stored.slots.counts()
    running = sum(trial.state == TrialState.RUNNING for trial in stored.study.get_trials())
    storage.engine.dispose()
    trials = STUDY["search"]["trials"]
    if any(codes):
        print((folder / "workers.log").read_text()[-3000:])
    return {
        "hosts": {worker.host: worker.trials_done for worker in registry},
        "seconds": round(seconds, 1),
        "done_when_cut": cut_at,
        "done_while_cut": during - cut_at,
        "exit_codes": codes,
        "slots_done": counts.done,
        "outcomes": outcome_counts(records),
        "running_left": running,
        "scores_differing": differing,
        "whole": counts.done == len(complete) == trials and not running and not differing and not any(codes),
    }


if __name__ == "__main__":
    main()
