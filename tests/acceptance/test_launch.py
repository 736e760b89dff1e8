"""`batchlaw launch` on this machine, through submitit's local executor, and on a local Ray cluster."""

import importlib.util
import json

import pytest
import tomli_w
from batchlaw.errors import BatchlawError
from batchlaw.results.status import status_of
from batchlaw.storage import load, open_storage
from batchlaw.workers.launch import shares

from tests.conftest import tiny_study
from tests.waiting import wait_for


@pytest.fixture
def created(batchlaw_here, study_file):
    batchlaw_here("create", study_file)
    return study_file


@pytest.mark.slow
def test_on_this_machine(batchlaw, batchlaw_here, created):
    assert "6 of 6 trials" in batchlaw("launch", "tiny", "--workers", 2).stdout
    status = json.loads(batchlaw_here("status", "tiny", "--json").stdout)
    assert (status["done"], status["workers"], status["workers_ended"]) == (6, [], 2)
    assert sum(status["outcomes"].values()) == 6


@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs pip install 'batchlaw[slurm]'")
@pytest.mark.slow
def test_as_jobs_of_submitits_local_executor(batchlaw, created, tmp_path):
    said = batchlaw(
        "launch", "tiny", "--on", "slurm", "--slurm-here", "--workers", 2, "--logs", tmp_path / "logs"
    ).stdout
    assert "2 jobs submitted" in said
    storage = open_storage(f"sqlite:///{tmp_path / 'batchlaw.db'}")
    stored = load(storage, "tiny")
    wait_for(lambda: [worker.state for worker in status_of(stored).workers] == ["ended", "ended"])
    assert stored.slots.counts().done == 6
    storage.engine.dispose()
    # The address of the database, and a password in it, travel in the environment and not in the job.
    for pickled in (tmp_path / "logs").glob("*submitted.pkl"):
        assert b"batchlaw.db" not in pickled.read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--on", "moon"], ["--on: got 'moon'", "local, slurm, ray"]),
        (["--on", "slurm"], ["--storage: got sqlite", "postgresql or mysql"]),
        (["--on", "slurm", "--slurm-here", "--slurm", "partition"], ["--slurm: got 'partition'", "KEY=VALUE"]),
        (["--gpus-per-worker", 1, "--workers-per-gpu", 2], ["--workers-per-gpu: got 2", "not both"]),
        (["--gpus-per-worker", 2, "--device", "cpu"], ["--gpus-per-worker: got 2", "1 workers need 2 GPUs; 0 found"]),
        (["--workers", 0], ["--workers: got 0"]),
    ],
)
def test_wrong_requests_are_one_line(batchlaw_here, created, options, words):
    said = batchlaw_here("launch", "tiny", *options, code=2).stderr
    assert said.count("\n") == 1
    for word in words:
        assert word in said


@pytest.mark.slow
def test_code_of_ones_own_needs_its_file(batchlaw, tmp_path):
    (tmp_path / "mine.py").write_text("def train(trial):\n    return {'validation_loss': 1.0}\n")
    study = tiny_study(objective="mine:train", train_size=64, search={"metric": "validation_loss", "pruner": "none"})
    del study["task"]
    file = tmp_path / "own.toml"
    file.write_text(tomli_w.dumps(study))
    batchlaw("create", file)
    assert "give the study's file" in batchlaw("launch", "tiny", code=2).stderr
    assert "6 of 6 trials" in batchlaw("launch", file).stdout


def test_gpus_are_shared_as_asked():
    gpus = ["GPU-a", "GPU-b", "GPU-c", "GPU-d"]
    none = {"gpus_per_worker": None, "workers_per_gpu": None}
    assert shares([], 3, **none) == []
    assert shares(gpus[:2], 3, **none) == ["GPU-a", "GPU-b", "GPU-a"]
    assert shares(gpus, 2, **none | {"gpus_per_worker": 2}) == ["GPU-a,GPU-b", "GPU-c,GPU-d"]
    assert shares(gpus, 2, devices=2, **none) == ["GPU-a,GPU-b", "GPU-c,GPU-d"]
    assert shares(gpus, 4, **none | {"workers_per_gpu": 2}) == ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]
    for workers, asked in ((3, {"gpus_per_worker": 2}), (9, {"workers_per_gpu": 2}), (1, {"workers_per_gpu": 1})):
        with pytest.raises(BatchlawError):
            shares(gpus if workers > 1 else [], workers, **none | asked)
