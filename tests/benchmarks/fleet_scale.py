"""How the service scales with workers and stored trials, beside plain `study.optimize` on the same PostgreSQL server.

    python tests/benchmarks/fleet_scale.py
    python tests/benchmarks/fleet_scale.py --workers 1 16 --stored 100 --seconds 5

An objective that sleeps for a second and reports four times, drawn at random, so that what is measured is the service:
utilisation (the share of the workers' time spent in the objective), the time beside the objective a trial, and for ours
the time to claim a slot and to tell a result, with the connections to the server. Workers are forked, so that they
start at once. Prints a table and writes JSON. On few cores many workers compete for the processor, both sides alike.
"""

import argparse
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

import optuna
import sqlalchemy
import torch
from batchlaw.objectives.runtime import Runtime
from batchlaw.spec import parse_spec
from batchlaw.storage import load, open_storage, register
from batchlaw.storage.attributes import CONFIG, RESULT
from batchlaw.workers.worker import Worker
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from servers import fresh_database, own_postgresql

RESULTS = Path(__file__).parent / "results"
SLEEP = 1.0
REPORTS = 4
STUDY = {
    "name": "sleepers",
    "question": "What does the service cost?",
    "objective": "benchmark:sleep",
    "train_size": 64,
    "budget": {"epochs": 1},
    "space": {"batch_size": 8, "base_lr": {"low": 0.01, "high": 1.0, "log": True}, "optimizer": "sgd"},
    "search": {
        "trials": 1, "sampler": "random", "pruner": "none", "metric": "loss", "direction": "minimize",
        "reports": REPORTS,
    },
}  # fmt: skip


def fill(url: str, n: int) -> None:
    """Finished trials of the study, up to n."""
    storage = open_storage(url)
    study = optuna.load_study(study_name="sleepers", storage=storage)
    missing = n - len(study.get_trials(deepcopy=False))
    distribution = FloatDistribution(0.01, 1.0, log=True)
    study.add_trials(
        optuna.trial.create_trial(params={"base_lr": 0.1}, distributions={"base_lr": distribution}, value=float(i))
        for i in range(missing)
    )
    storage.engine.dispose()


def ours(url: str, until: float, ready, results) -> None:
    """A worker of ours until a time; its trials, sleep, and seconds to claim and to tell."""
    claims: list[float] = []
    tells: list[float] = []
    done = [0]

    def objective(trial):
        for part in range(REPORTS):
            time.sleep(SLEEP / REPORTS)
            trial.report((part + 1) / REPORTS, {"loss": 1.0})
        done[0] += 1
        return {"loss": 1.0}

    stored = load(open_storage(url), "sleepers")
    worker = Worker(stored, Runtime(torch.device("cpu"), Path("unused"), objective), study_seed=0)
    span = [math.inf, 0.0]  # of the trials: a worker registers once, before the first, and says goodbye after the last

    def run(claim, before=worker._run):
        before(claim)
        span[1] = time.monotonic()

    lease = timed(worker.stored.slots.lease, claims)

    def claim(last):
        span[0] = min(span[0], time.monotonic())
        return lease(last)

    worker.stored.slots.lease, worker._run = claim, run
    worker._tell = timed(worker._tell, tells)
    stored.study.get_trials(deepcopy=False)  # what a worker reads once
    ready.wait()
    worker.timeout = until
    worker.work()
    results.put((done[0], span[1] - span[0], claims, tells))


def plain(url: str, until: float, ready, results) -> None:
    """`study.optimize` until a time."""
    done = [0]

    def objective(trial):
        trial.suggest_float("base_lr", 0.01, 1.0, log=True)
        for part in range(REPORTS):
            time.sleep(SLEEP / REPORTS)
            trial.report(1.0, part + 1)
            trial.should_prune()
        trial.set_user_attr(CONFIG, {"base_lr": 0.1})
        trial.set_user_attr(RESULT, {"loss": 1.0})
        done[0] += 1
        return 1.0

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool_size": 2, "max_overflow": 2, "pool_pre_ping": True})
    study = optuna.load_study(
        study_name="sleepers", storage=storage, sampler=RandomSampler(), pruner=optuna.pruners.NopPruner()
    )
    study.get_trials(deepcopy=False)
    ready.wait()
    began = time.monotonic()
    while time.monotonic() - began < until:
        study.optimize(objective, n_trials=1)
    results.put((done[0], time.monotonic() - began, [], []))


def timed(function, durations):
    def wrapped(*arguments, **options):
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            durations.append(time.perf_counter() - began)

    return wrapped


def measure(target, url: str, workers: int, seconds: float) -> dict:
    context = multiprocessing.get_context("fork")
    ready, results = context.Barrier(workers + 1), context.Queue()
    processes = [context.Process(target=target, args=(url, seconds, ready, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    ready.wait()
    time.sleep(seconds / 2)
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        connections = connection.scalar(
            sqlalchemy.text("select count(*) from pg_stat_activity where datname = current_database()")
        )
    engine.dispose()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    trials = sum(done for done, *_ in found)
    spent = sum(wall for _, wall, *_ in found)
    claims = [second for *_, claimed, _ in found for second in claimed]
    tells = [second for *_, told in found for second in told]
    return {
        "trials": trials,
        "utilisation": trials * SLEEP / spent,
        "beside_ms": 1e3 * (spent / trials - SLEEP),
        "claim_ms": round(1e3 * statistics.median(claims), 2) if claims else None,
        "tell_ms": round(1e3 * statistics.median(tells), 2) if tells else None,
        "connections": connections - 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--stored", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--database", help="URL on a PostgreSQL server with enough connections; else one is started")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        server = fresh_database(args.database) if args.database else own_postgresql(Path(name))
        with server as found:
            url = found if isinstance(found, str) else found[0]
            rows = compare(url, args)
    document = {"cores": os.cpu_count(), "optuna": optuna.__version__, "sleep_seconds": SLEEP, "rows": rows}
    (RESULTS / "fleet_scale.json").write_text(json.dumps(document, indent=2) + "\n")


def compare(url: str, args) -> list[dict]:
    storage = open_storage(url, create=True)
    register(storage, parse_spec(STUDY, "scale"), trials=50_000, version="benchmark")
    storage.engine.dispose()
    head = ("stored", "workers", "side", "trials", "in objective", "beside, ms", "claim, ms", "tell, ms", "connections")
    print("  ".join(f"{title:>12}" for title in head))
    rows = []
    for n_stored in sorted(args.stored):
        fill(url, n_stored)
        for workers in args.workers:
            for side in (ours, plain):
                row = {"stored": n_stored, "workers": workers, "side": side.__name__}
                row |= measure(side, url, workers, args.seconds)
                rows.append(row)
                shown = [
                    row["stored"], row["workers"], row["side"], row["trials"], f"{row['utilisation']:.1%}",
                    f"{row['beside_ms']:.1f}", row["claim_ms"] or "", row["tell_ms"] or "", row["connections"],
                ]  # fmt: skip
                print("  ".join(f"{cell:>12}" for cell in shown), flush=True)
    return rows


if __name__ == "__main__":
    main()
