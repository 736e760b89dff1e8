"""Notebooks as a person runs them, through a Jupyter kernel."""

import json
from pathlib import Path

import nbformat
import pytest
import tomli_w
from nbclient import NotebookClient

from tests.acceptance.conftest import environment
from tests.waiting import DEADLINE

NOTEBOOKS = Path(__file__).parent / "notebooks"
SHOWN = Path(__file__).parents[2] / "studies" / "notebooks"
OWN_TRAINING = """\
import math
import numpy as np

def train(trial):
    noise = np.random.default_rng([trial.seed, trial.batch_size, round(1000 * math.log2(trial.config.base_lr)) + 10**6])
    off = math.log2(trial.batch_size) - math.log2(trial.config.peak_lr) - 8  # the best batch size is 256 × rate
    return {"loss": 1 + 0.02 * off**2 + noise.normal(scale=0.01)}
"""


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """A function that runs a notebook in an empty folder, and gives the outputs of its cells."""

    def run(name):
        for key in [key for key in environment(tmp_path) if key.startswith("BATCHLAW_")]:
            monkeypatch.delenv(key)
        monkeypatch.setenv("HOME", str(tmp_path))
        if (SHOWN / f"{name}.ipynb").exists():
            notebook = nbformat.read(SHOWN / f"{name}.ipynb", as_version=4)
        else:
            cells = (NOTEBOOKS / f"{name}.py").read_text().split("# %%\n")[1:]
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
        NotebookClient(notebook, timeout=round(DEADLINE), resources={"metadata": {"path": str(tmp_path)}}).execute()
        return [cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"]

    return run


def data_of(outputs):
    """What a cell shows, by type; its progress comes before its last value."""
    return [output["data"] for output in outputs if output["output_type"] in ("display_data", "execute_result")]


def printed(outputs, name="stdout"):
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream" and output["name"] == name)


@pytest.mark.slow
def test_a_function_of_a_cell_runs_in_process_to_a_law_and_a_figure(executed):
    *_, run, best, law, predicted, figure, loop = executed("own_function")
    bar, study = data_of(run)
    assert '<progress value="64" max="64">' in bar["text/html"]
    assert "Study(&#x27;notebook" not in study["text/html"] and "64 of 64 trials" in study["text/html"]
    assert "Study('notebook', 64 of 64 trials, minimize loss)" in study["text/plain"]
    assert "<table" in data_of(best)[0]["text/html"]
    assert "<p>" in data_of(law)[0]["text/html"]
    exponent, at_100, low, high = map(float, printed(predicted).split())
    assert exponent == pytest.approx(0.5, abs=0.1) and low < 0.1 < high and at_100 == pytest.approx(0.1, rel=0.25)
    assert data_of(figure)[0]["application/vnd.plotly.v1+json"]["data"]
    assert "Study('loop', 10 of 10 trials, minimize loss)" in data_of(loop)[-1]["text/plain"]
    for outputs in (run, best, law, predicted, figure, loop):
        assert printed(outputs, "stderr") == ""


@pytest.mark.release
def test_a_designed_study_of_a_module_gives_the_numbers_of_the_command(executed, batchlaw, tmp_path):
    (tmp_path / "own_training.py").write_text(OWN_TRAINING)
    _, run, claim, numbers, figure = executed("designed")
    assert "72 of 72 trials" in data_of(run)[-1]["text/plain"]
    here = json.loads(printed(numbers))
    assert here["verdict"] == "supported" and here["grade"] == "designed" and here["slope"] == pytest.approx(1, abs=0.1)
    assert "supported" in data_of(claim)[0]["text/html"]
    assert data_of(figure)[0]["application/vnd.plotly.v1+json"]["data"]
    file = tmp_path / "designed.toml"
    file.write_text(
        tomli_w.dumps(
            {
                "name": "designed", "question": "Does the best batch size grow with the learning rate?",
                "objective": "own_training:train", "train_size": 4096, "budget": {"epochs": 1},
                "space": {
                    "batch_size": {"low": 1, "high": 256, "log2": True},
                    "base_lr": [2.0**exponent for exponent in range(-8, 0)], "optimizer": "sgd",
                },
                "claim": {
                    "hypotheses": ["H9"], "metric": "loss", "direction": "minimize", "reports": 1, "replicates": 5
                },
            }
        )
    )  # fmt: skip
    batchlaw("create", file)  # the study of the notebook, by its fingerprint
    batchlaw("run", file, "--storage", "sqlite:///again.db", "--workers", 2)
    there = json.loads(batchlaw("claim", "designed", "--storage", "sqlite:///again.db", "--json").stdout)
    assert there == here


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformers", "lightning", "accelerate"])
def test_the_notebooks_of_trainers_run_as_they_are(executed, name):
    *_, run, best, figure = executed(name)
    assert "8 of 8 trials" in data_of(run)[-1]["text/plain"]
    assert "<table" in data_of(best)[0]["text/html"]
    assert data_of(figure)[0]["application/vnd.plotly.v1+json"]["data"]
