"""Devices that several workers share, with programs as trials: none is used twice, and none is lost."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import batchlaw as bl
import pytest
import tomli_w
from batchlaw.objectives.devices import Devices, held

from tests.conftest import tiny_spec
from tests.waiting import wait_for

PROGRAM = """
import fcntl, json, os, sys, time
def log(event):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps([event, os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"].split(",")]) + "\\n")
log("begin")
time.sleep(float(sys.argv[2]))
log("end")
print(json.dumps({"loss": 1.0}))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def study_of(folder, name, *, devices, trials, seconds=0.2):
    table = {
        "name": name, "command": ["python", "program.py", "log", str(seconds), "{batch_size}"], "devices": devices,
        "space": {"batch_size": [8, 16]},
        "search": {"metric": "loss", "direction": "minimize", "trials": trials, "sampler": "random", "pruner": "none"},
    }  # fmt: skip
    (folder / f"{name}.toml").write_text(tomli_w.dumps(table))
    return bl.Study.create(folder / f"{name}.toml", f"sqlite:///{folder / name}.db")


@pytest.fixture
def forked(popen, folder):
    """A function that starts a process to start workers from."""

    def process(devices):
        started = popen(
            [sys.executable, Path(__file__).with_name("forked_workers.py")], cwd=folder, text=True,
            env=os.environ | {"BATCHLAW_DEVICES": devices}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

        def worker(study):
            """Start a worker, and give its PID."""
            started.stdin.write(f"{study.name}.toml {study.storage}\n")
            started.stdin.flush()
            return int(started.stdout.readline())

        worker.codes = lambda: json.loads(started.communicate()[0])
        return worker

    return process


def events(folder):
    log = folder / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def is_locked(path):
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def check_alone(found):
    """No device has two trials at once."""
    busy = {}
    for event, pid, names in found:
        for name in names:
            if event == "begin":
                assert name not in busy, f"{name}: {pid} beside {busy[name]}"
                busy[name] = pid
            else:
                assert busy.pop(name) == pid
    assert not busy


@pytest.mark.slow
def test_trials_of_one_and_of_two_devices_never_share_one(folder, forked):
    one, two = (study_of(folder, f"of-{n}", devices=n, trials=8) for n in (1, 2))
    worker = forked("a,b,c,d")
    for study in (one, two, one, two, one):
        worker(study)
    assert worker.codes() == [0] * 5
    found = events(folder)
    check_alone(found)
    assert len(found) == 2 * 16
    assert {len(names) for _, _, names in found} == {1, 2} and {"a", "b", "c", "d"} == {n for e in found for n in e[2]}


@pytest.mark.slow
def test_a_killed_worker_gives_its_devices_back(folder, forked):
    endless = study_of(folder, "endless", devices=2, trials=1, seconds=600)
    short = study_of(folder, "short", devices=2, trials=2)
    worker = forked("a,b")
    killed = worker(endless)
    wait_for(lambda: events(folder))
    worker(short)
    wait_for(lambda: is_locked(folder / f"batchlaw-devices-{os.getuid()}" / "queue.lock"))
    os.kill(killed, signal.SIGKILL)
    assert worker.codes() == [-signal.SIGKILL, 0]
    found = events(folder)
    assert [event for event, _, _ in found] == ["begin", "begin", "end", "begin", "end"]
    check_alone(found[1:])


def test_a_worker_waits_for_its_turn(folder, monkeypatch):
    monkeypatch.setenv("BATCHLAW_DEVICES", "a, b")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "before")
    one, two = (Devices(tiny_spec(**program(n))) for n in (1, 2))
    with one.taken() as first:
        assert first and os.environ["CUDA_VISIBLE_DEVICES"] == "a" and len(held) == 1
        with two.taken() as both:
            assert not both
        other = Devices(tiny_spec(**program(1)))
        with other.taken() as second:  # b is free, and it is not this worker's turn
            assert not second
    with two.taken() as both:
        assert both and os.environ["CUDA_VISIBLE_DEVICES"] == "a,b"
    with other.taken() as second:
        assert second
    assert not held and os.environ["CUDA_VISIBLE_DEVICES"] == "before"


@pytest.mark.parametrize(
    ("names", "told"), [("a,a", "a device is named twice"), ("a", "devices: got 2; BATCHLAW_DEVICES names 1")]
)
def test_names_that_cannot_be_are_refused(monkeypatch, names, told):
    monkeypatch.setenv("BATCHLAW_DEVICES", names)
    with pytest.raises(bl.BatchlawError, match=told):
        Devices(tiny_spec(**program(2)))


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    monkeypatch.setenv("BATCHLAW_DEVICES", "a")
    (folder / "elsewhere").mkdir()
    (folder / f"batchlaw-devices-{os.getuid()}").symlink_to(folder / "elsewhere")
    with pytest.raises(bl.BatchlawError, match="belongs to another user"), Devices(tiny_spec(**program(1))).taken():
        pass


def program(devices):
    search = {"metric": "loss", "direction": "minimize", "pruner": "none"}
    command = ["true", "{lr} {batch_size} {warmup_steps} {optimizer}"]
    return {"task": None, "train_size": 100, "command": command, "devices": devices, "search": search}
