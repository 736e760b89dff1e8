"""Modules in the working folder that have the names of ours, of libraries and of Python's own: none is imported."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from tests.acceptance.conftest import claim_study, environment
from tests.conftest import tiny_study
from tests.waiting import DEADLINE, wait_for

NAMES = ("search", "batchlaw", "stats", "torch", "optuna", "socket", "selectors")
HOSTILE = "open({marker!r}, 'w').close()\nraise RuntimeError('a module of the working folder was imported')\n"
SCRIPT = [str(Path(sys.executable).with_name("batchlaw"))]  # the command as it is installed
MODULE = [sys.executable, "-m", "batchlaw"]


@pytest.fixture
def folder(tmp_path):
    """A folder with hostile modules."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(HOSTILE.format(marker=str(tmp_path / f"imported-{name}")))
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "__init__.py").write_text(HOSTILE.format(marker=str(tmp_path / "imported-spec")))
    return tmp_path


def run(folder, *words, entry=SCRIPT):
    done = subprocess.run(
        [*entry, *map(str, words)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(folder.glob("imported-*"))
    return done.stdout


def written(folder, study):
    file = folder / "study.toml"
    file.write_text(tomli_w.dumps({key: value for key, value in study.items() if value is not None}))
    return file.name


def own_study(**changes):
    search = {"trials": 3, "metric": "validation_loss", "pruner": "none"}
    return tiny_study(task=None, objective="mine:train", train_size=64, search=search, **changes)


@pytest.mark.slow
def test_a_study_runs_to_its_end(folder):
    assert "6 of 6 trials" in run(folder, "run", written(folder, tiny_study()), "--workers", 2)


@pytest.mark.release
def test_python_m_leaves_the_working_folder_out(folder):
    (folder / "batchlaw.py").unlink()  # `python -m batchlaw` would run this one, as Python documents
    assert "6 of 6 trials" in run(folder, "run", written(folder, tiny_study()), entry=MODULE)


@pytest.mark.slow
def test_a_users_function_beside_them_runs(folder):
    (folder / "mine.py").write_text(
        "import torch\nimport batchlaw\n\n\ndef train(trial):\n"
        "    import helper\n"
        "    return {'validation_loss': helper.loss(torch.tensor(trial.config.peak_lr))}\n"
    )
    (folder / "helper.py").write_text("def loss(rate):\n    return float(rate)\n")
    assert "3 of 3 trials" in run(folder, "run", written(folder, own_study()), "--workers", 2)


@pytest.mark.release
def test_a_users_function_with_the_name_of_a_library_does_not_win(folder):
    (folder / "torch.py").write_text("def train(trial):\n    return {'validation_loss': 1.0}\n")
    file = written(folder, own_study() | {"objective": "torch:train"})
    done = subprocess.run([*SCRIPT, "run", file], cwd=folder, env=environment(folder), capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: objective: 'torch:train' names nothing") and str(folder) in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs pip install 'batchlaw[slurm]'")
@pytest.mark.release
def test_jobs_of_submitit_run(folder):
    file = written(folder, tiny_study())
    run(folder, "create", file)
    run(folder, "launch", "tiny", "--on", "slurm", "--slurm-here", "--logs", folder / "logs")
    wait_for(lambda: "6 of 6 trials" in run(folder, "status", "tiny"))


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs pip install 'batchlaw[ray]'")
@pytest.mark.release
def test_tasks_of_ray_run(folder):
    file = written(folder, tiny_study())
    run(folder, "create", file)
    assert "6 of 6 trials" in run(folder, "launch", "tiny", "--on", "ray", "--workers", 2, "--threads", 1)


@pytest.mark.release
def test_the_processes_that_measure_a_cost_start(folder):
    assert "runs" in run(folder, "cost", written(folder, claim_study()))


def test_nothing_named_search_can_be_imported(tmp_path):
    done = subprocess.run([sys.executable, "-c", "import search"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "No module named 'search'" in done.stderr
