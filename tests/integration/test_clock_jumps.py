"""The database's clock jumps by an hour, forwards and back, while workers train and are killed: n of n trials.

A jump is made as the workers see it: every time that is stored moves the other way at once. For leases and heartbeats
they read the database's clock and their own monotonic one, so that a jump of a host's clock says nothing to them.
"""

import os
import signal
import sys

import pytest
import sqlalchemy
from batchlaw.results.records import records_of
from batchlaw.spec import parse_spec, toml_of
from batchlaw.storage import register
from batchlaw.storage.tables import pages, slots, workers
from optuna.trial import TrialState

from tests.waiting import wait_for

DATABASES = (
    "postgresql", pytest.param("sqlite", marks=pytest.mark.release), pytest.param("mysql", marks=pytest.mark.release),
)  # fmt: skip
TRIALS, HOUR = 12, 3600.0
STUDY = {
    "name": "jumps",
    "objective": "sleeper:train",
    "space": {"batch_size": 8, "base_lr": {"low": 0.01, "high": 0.3, "log": True}},
    "search": {"trials": TRIALS, "sampler": "random", "metric": "loss", "direction": "minimize", "pruner": "none"},
}
SLEEPER = """
import time

def train(trial):
    time.sleep(0.5)
    return {"loss": trial.config.base_lr ** 2 + trial.seed % 7}
"""


def jump(engine, seconds):
    with engine.begin() as connection:
        for table, columns in ((slots, ("lease_until",)), (workers, ("started", "last_seen")), (pages, ("due",))):
            connection.execute(sqlalchemy.update(table).values({name: table.c[name] - seconds for name in columns}))


@pytest.mark.slow
def test_nothing_is_lost_or_counted_twice_when_the_clock_jumps(storage, storage_url, tmp_path, popen):
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    spec = parse_spec(STUDY, "test")
    (tmp_path / "jumps.toml").write_text(toml_of(spec))
    stored = register(storage, spec, trials=None, version="test")

    def start():
        command = [sys.executable, "-P", "-m", "batchlaw", "worker", str(tmp_path / "jumps.toml"), "--threads", "1"]
        return popen(command, env=os.environ | {"BATCHLAW_STORAGE": storage_url, "OMP_NUM_THREADS": "1"})

    at_work = [start(), start()]
    for done, seconds in ((2, HOUR), (4, -HOUR), (TRIALS - 2, HOUR)):
        wait_for(lambda done=done: stored.slots.counts().done >= done and stored.slots.counts().held)
        jump(storage.engine, seconds)
        victim = at_work.pop(0)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        at_work.append(start())
    assert [worker.wait() for worker in at_work] == [0, 0]
    counts, records = stored.slots.counts(), records_of(stored)
    complete = [record for record in records if record.outcome == "complete"]
    assert (counts.done, counts.total, len(complete)) == (TRIALS, TRIALS, TRIALS)
    assert {record.outcome for record in records} <= {"complete", "lost"}
    assert all(trial.state != TrialState.RUNNING for trial in stored.study.get_trials())
    values = [record.config.base_lr**2 + record.config.seeds[0] % 7 for record in complete]
    assert [record.value for record in complete] == values
