"""Training functions that harm their process: each has its outcome, and the next trial finds nothing of it."""

import json
import os
import subprocess
import sys
import threading

import pytest
import tomli_w
from batchlaw.objectives.surroundings import kept
from batchlaw.results.records import records_of
from batchlaw.storage import load, open_storage

from tests.conftest import tiny_study
from tests.waiting import DEADLINE

CODE = """
import json, os, random, signal, sys, threading, time, warnings
from pathlib import Path
import numpy as np, torch

def surroundings():
    return {
        "folder": os.getcwd(), "mask": os.umask(0o022), "variable": os.environ.get("HAZARD"),
        "streams": [sys.stdout.closed, sys.stderr.closed, sys.stdout.fileno()],
        "files": [os.fstat(number).st_ino for number in range(3)],
        "alarm": str(signal.getsignal(signal.SIGALRM)), "stop": str(signal.getsignal(signal.SIGTERM)),
        "errors": [each for each in map(str, warnings.filters) if each.startswith("('error', None, <class 'Warning'>")],
        "dtype": str(torch.get_default_dtype()), "threads": torch.get_num_threads(), "grad": torch.is_grad_enabled(),
        "random": hash(random.getstate()), "numpy": np.random.get_state()[1].sum().item(),
        "torch": torch.get_rng_state().sum().item(), "device": str(torch.get_default_device()),
        "error": np.geterr()["over"], "limit": sys.getrecursionlimit(),
        "deterministic": torch.get_deterministic_debug_mode(),
    }

class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def place():
    os.chdir("/"); os.umask(0); os.environ["HAZARD"] = "1"; del os.environ["PATH"]

def close_stdout():
    print("said"); sys.stdout.close()

def close_descriptors():
    os.close(0); os.close(1); os.close(2)

def redirect():
    sys.stdout = open(os.devnull, "w"); os.dup2(sys.stdout.fileno(), 1)

def warn():
    warnings.simplefilter("error"); signal.signal(signal.SIGTERM, signal.SIG_IGN)

def defaults():
    torch.set_default_dtype(torch.float64); torch.set_num_threads(2); torch.set_grad_enabled(False)
    torch.set_default_device("meta"); torch.manual_seed(1); np.random.seed(1); random.seed(1); np.seterr(all="raise")
    sys.setrecursionlimit(5000); torch.use_deterministic_algorithms(True, warn_only=True)

def close_all():
    os.closerange(3, 1000)

def alarm():
    signal.alarm(1); time.sleep(60)

def own_alarm():
    signal.signal(signal.SIGALRM, lambda *_: None); signal.alarm(1)

def unspeakable():
    raise Unspeakable

def fork():
    if os.fork() == 0:
        time.sleep(0.2)

def thread():
    threading.Thread(target=time.sleep, args=(3600,), name="left").start()

HAZARDS = [place, close_stdout, close_descriptors, redirect, alarm, warn, defaults, unspeakable, own_alarm, fork,
           "progress", "numbers", "object", close_all, thread, "many", "none"]

def train(trial):
    with Path(__file__).with_name("seen.jsonl").open("a") as seen:
        print(json.dumps(surroundings()), file=seen)
    hazard = HAZARDS[trial.number]
    if callable(hazard):
        hazard()
    if hazard == "progress":
        trial.report(1.5, {"loss": 0.5})
    if hazard == "many":
        for step in range(12000):
            trial.report((step + 1) / 12000, {"loss": torch.tensor(0.5), "other": np.float32(2)})
    if hazard == "object":
        return {"loss": 0.5, "what": object()}
    if hazard == "numbers":
        import pandas as pd
        return pd.Series({"loss": torch.tensor([0.25], requires_grad=True), "n": np.int64(3), "z": np.array(0.5)})
    return {"loss": 0.5}
"""
FAILED = {
    4: "ObjectiveError: the training function set an alarm, and did not handle it (SIGALRM)",
    7: "Unspeakable: its text cannot be had, RuntimeError",
    10: "ObjectiveError: progress: got 1.5; must be above 0 and at most 1",
    12: "ObjectiveError: what: got <class 'object'>; must be a number",
}


@pytest.mark.slow
def test_every_hazard_has_its_outcome_and_none_reaches_the_next_trial(tmp_path):
    (tmp_path / "hazards.py").write_text(CODE)
    study = tiny_study(
        task=None, objective="hazards:train", train_size=64,
        search={"trials": 17, "metric": "loss", "direction": "minimize", "pruner": "none", "max_retries": 0},
    )  # fmt: skip
    (tmp_path / "tiny.toml").write_text(
        tomli_w.dumps({key: value for key, value in study.items() if value is not None})
    )
    url = f"sqlite:///{tmp_path / 'study.db'}"
    words = ["run", "tiny.toml", "--workers", "1", "--storage", url]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "batchlaw", *words], cwd=tmp_path, capture_output=True, text=True,
        timeout=DEADLINE, env=os.environ | {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    records = records_of(load(open_storage(url), "tiny"))
    assert {r.number: r.reason for r in records if r.outcome == "failed"} == FAILED
    assert len(records) == 17 and {r.outcome for r in records} == {"failed", "complete"}
    assert records[11].result.metrics == {"loss": 0.25, "n": 3.0, "z": 0.5}
    assert 1000 < len(records[15].result.curve) < 10_000 and records[15].result.flags[0].startswith("curve: one of ")
    assert records[15].result.curve[-1] == (1.0, {"loss": 0.5, "other": 2.0})
    first, *seen = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    assert len(seen) == 16
    for number, found in enumerate(seen):
        assert found == first, f"after trial {number}"


def test_a_thread_that_is_left_behind_is_told(caplog):
    end = threading.Event()
    with kept():
        threading.Thread(target=end.wait, name="left\x1b").start()
    end.set()
    [line] = [record.getMessage() for record in caplog.records]
    assert line == "warning: the training function left 1 thread behind: left\\x1b"


LATE = """
import os, sys
from batchlaw.objectives.surroundings import kept
from batchlaw.objectives.threads import Threads
assert "torch" not in sys.modules
Threads(2).use(2)
with kept():
    import torch
    assert torch.get_num_threads() == 2 and os.environ["OMP_NUM_THREADS"] == "2"
    torch.set_default_dtype(torch.float64); torch.set_num_threads(1)
    torch.set_grad_enabled(False); torch.manual_seed(1)
assert torch.get_default_dtype() == torch.float32 and torch.get_num_threads() == 2 and torch.is_grad_enabled()
drawn = torch.rand(3)
torch.default_generator.set_state(torch.Generator().get_state())
assert torch.equal(torch.rand(3), drawn) and "OMP_NUM_THREADS" not in os.environ
assert "torch._dynamo" not in sys.modules  # PyTorch's compiler, which takes 1.6 s to import
"""


@pytest.mark.slow
def test_pytorch_that_a_function_loads_has_its_own_defaults_afterwards():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=DEADLINE, env=environment)
