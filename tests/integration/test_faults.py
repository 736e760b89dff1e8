"""Real worker processes that are stopped, killed, stuck or cut off from their database."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
import tomli_w
import torch
from batchlaw.errors import StorageError
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.records import records_of
from batchlaw.spec import parse_spec
from batchlaw.storage import open_storage, register, workers_of
from batchlaw.train.checkpoint import read_state
from batchlaw.workers.recovery import reap

from tests.conftest import tiny_study
from tests.waiting import DEADLINE, wait_for


def slow_task(**search):
    """Trials of about two seconds, with a checkpoint wherever one is due."""
    return tiny_study(
        task={"train_size": 800, "model_options": {"widths": [128]}},
        budget={"epochs": 60},
        space={"batch_size": 4, "base_lr": 0.05, "optimizer": "momentum", "momentum": [0.8, 0.9]},
        search={"trials": 2, "pruner": "none", "reports": 20, **search},
    )


def user_code(folder, body, **search):
    """A study file of a training function with this body, and the function beside it."""
    (folder / "stuck_training.py").write_text(f"import ctypes, time\ndef train(trial):\n    {body}\n")
    study = tiny_study(
        task=None, objective="stuck_training:train", train_size=64,
        search={"trials": 2, "metric": "validation_loss", "pruner": "none", **search},
    )  # fmt: skip
    file = folder / "tiny.toml"
    file.write_text(tomli_w.dumps({key: value for key, value in study.items() if value is not None}))
    return study, file


@pytest.fixture
def start(popen, tmp_path):
    """A function that starts a worker."""

    def worker(url, argument):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "BATCHLAW_STORAGE": url, "HOME": str(tmp_path)}
        words = ["worker", str(argument), "--threads", "1", "--checkpoint-seconds", "0"]
        return popen(
            [sys.executable, "-P", "-m", "batchlaw", *words],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    return worker


def ended(worker):
    """What a worker said, when it has ended well."""
    output, _ = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 0, output
    return output


def registered(url, study):
    storage = open_storage(url, create=True)
    return register(
        storage, parse_spec({k: v for k, v in study.items() if v is not None}, "t"), trials=None, version="t"
    )


def reports_of(stored):
    return [len(trial.intermediate_values) for trial in stored.study.get_trials(deepcopy=False)]


def checkpoints(folder):
    return list((folder / ".cache/batchlaw/checkpoints").glob("*"))


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.release)])
def test_asked_to_stop_a_worker_saves_hands_back_and_ends_with_0(start, tmp_path, url, number):
    stored = registered(url, slow_task())
    worker = start(url, "tiny")
    wait_for(lambda: max(reports_of(stored), default=0) >= 3)
    worker.send_signal(number)
    ended(worker)
    counts = stored.slots.counts()
    assert (counts.held, counts.done) == (0, 0)
    assert [record.outcome for record in records_of(stored)] == ["waiting"]
    assert len(checkpoints(tmp_path)) == 1
    (seen,) = workers_of(stored.storage.engine, stored.study._study_id)
    assert seen.state == "ended"  # by itself: one that is ended by force does not say so
    assert "2 trials done" in ended(start(url, "tiny"))
    assert_undisturbed(stored, 2)
    assert checkpoints(tmp_path) == []


def assert_undisturbed(stored, n):
    torch.set_num_threads(1)
    records = [record for record in records_of(stored) if record.outcome == "complete"]
    assert len(records) == n == stored.slots.counts().done
    for record in records:
        comparison = replay(record, stored.spec, Runtime(torch.device("cpu"), Path("unused")))
        assert comparison.largest_difference == 0 and len(comparison.pairs) == 21


@pytest.mark.slow
def test_a_killed_workers_trial_goes_on_from_its_last_report(start, tmp_path, url):
    stored = registered(url, slow_task())
    worker = start(url, "tiny")
    wait_for(lambda: max(reports_of(stored), default=0) >= 5)
    worker.kill()
    worker.communicate(timeout=DEADLINE)
    (kept,) = checkpoints(tmp_path)
    done = read_state(kept, torch.device("cpu"))["done"]
    assert done >= 4 * 600  # of 12000 steps
    assert reap(stored) == 1
    ended(start(url, "tiny"))
    assert [record.outcome for record in records_of(stored)] == ["lost", "complete", "complete"]
    assert_undisturbed(stored, 2)
    assert checkpoints(tmp_path) == []


# In C, where no signal ends it and no handler of Python's runs: a lock that is taken twice.
STUCK = "lock = ctypes.create_string_buffer(64); [ctypes.CDLL(None).pthread_mutex_lock(lock) for _ in range(2)]"


@pytest.mark.slow
def test_a_stuck_objective_is_ended_past_its_limit_and_recorded(start, tmp_path, url):
    study, file = user_code(
        tmp_path,
        f"if not (here := __import__('pathlib').Path('once')).exists():\n        here.touch(); {STUCK}\n"
        "    return {'validation_loss': 1.0}",
        trial_seconds=10.0,  # the second trial takes a millisecond, and many on a busy machine
    )
    stored = registered(url, study)
    ended(start(url, file))  # it went on, in the place of the process that was stuck
    records = records_of(stored)
    assert [record.outcome for record in records] == ["pruned", "complete"]
    assert records[0].reason == "past trial_seconds = 10.0, and ended by force"
    assert stored.slots.counts().done == 2


@pytest.mark.slow
def test_a_stuck_objective_does_not_keep_a_worker_from_stopping(start, tmp_path, url):
    study, file = user_code(tmp_path, f"open('begun', 'w').close(); {STUCK}")
    stored = registered(url, study)
    worker = start(url, file)
    wait_for((tmp_path / "begun").exists)
    worker.send_signal(signal.SIGTERM)
    ended(worker)
    assert [record.outcome for record in records_of(stored)] == ["waiting"]
    assert stored.slots.counts().held == 0


@pytest.mark.slow
def test_a_database_that_is_away_is_waited_for(start, tmp_path, own_postgresql):
    url, server = own_postgresql
    stored = registered(url, slow_task())
    worker = start(url, "tiny")
    wait_for(lambda: max(reports_of(stored), default=0) >= 3)
    server("stop")
    with socket.create_server(("127.0.0.1", stored.storage.engine.url.port)) as in_its_place:
        in_its_place.settimeout(DEADLINE)
        for _ in range(3):
            in_its_place.accept()[0].close()  # the worker looks for its database
    server("start")
    stored.storage.engine.dispose()
    ended(worker)
    assert [record.outcome for record in records_of(stored)] == ["complete"] * 2
    assert_undisturbed(stored, 2)
    stored.storage.engine.dispose()


def batchlaw(*words, folder):
    return subprocess.run(
        [sys.executable, "-P", "-m", "batchlaw", *map(str, words)],
        cwd=folder, env=os.environ | {"HOME": str(folder), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip


def one_line(done, *words):
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr + done.stdout, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path):
    """A small disk of its own where we may mount one; else a limit on the size of files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.getuid() or not shutil.which("mount"):
        pytest.skip("needs root to mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a small disk here")
    try:
        url = f"sqlite:///{disk / 'study.db'}"
        stored = registered(url, tiny_study(search={"trials": 400}))
        done = batchlaw("worker", "tiny", "--storage", url, folder=tmp_path)
        one_line(done, "full")
        ended = stored.slots.counts().done
        assert ended > 0
        counted = [record for record in records_of(stored) if record.outcome in ("complete", "pruned")]
        assert len(counted) in (ended, ended + 1)  # it may end between telling and finishing
        stored.storage.engine.dispose()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_may_not_be_written_is_one_line(tmp_path, url):
    registered(url, tiny_study()).storage.engine.dispose()
    file = tmp_path / "study.db"
    if os.getuid() == 0:  # root writes everything that is not immutable
        if subprocess.run(["chattr", "+i", str(file)], capture_output=True).returncode:
            pytest.skip("root may write every file here")
    else:
        file.chmod(0o400)
    try:
        one_line(batchlaw("worker", "tiny", "--storage", url, folder=tmp_path))
    finally:
        subprocess.run(["chattr", "-i", str(file)], capture_output=True)


def test_a_wrong_password_is_one_line_without_it(tmp_path):
    done = batchlaw(
        "status", "tiny", "--storage", "mysql+pymysql://root:hunter2secret@127.0.0.1:3306/test", folder=tmp_path
    )
    if "refused" in done.stderr:
        pytest.skip("no mysql server")
    one_line(done)
    assert "hunter2" not in done.stderr + done.stdout and "***" in done.stderr


def test_a_wrong_password_is_tried_once():
    tried = []

    def count(*_):
        tried.append(1)

    sqlalchemy.event.listen(sqlalchemy.Engine, "do_connect", count)
    try:
        with pytest.raises(StorageError) as refused:
            open_storage("mysql+pymysql://root:hunter2secret@127.0.0.1:3306/test")
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "do_connect", count)
    if "refused" in str(refused.value):
        pytest.skip("no mysql server")
    assert "Access denied" in str(refused.value) and len(tried) == 1
