"""A new hyperparameter and a new optimizer are one entry each: added to a copy of the package, all of it knows them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "search"
STUDY = """
name = "one-entry"
question = "Is it found everywhere?"
task = {{dataset = "digits", model = "mlp", train_size = 64, model_options = {{widths = [8]}}}}
budget = {{epochs = 2}}

[space]
batch_size = [8, 16]
base_lr = [0.1, 0.2]
{space}

[search]
trials = 6
sampler = "random"
pruner = "none"
reports = 2
"""


def with_entry(folder: Path, module: str, before: str, entry: str) -> Path:
    """A copy of the package with one entry added before a line of one module."""
    shutil.copytree(SOURCE, folder / "search", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "search" / "batchlaw" / module
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, entry + before))
    return folder / "search"


def ran(package: Path, folder: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(package), "BATCHLAW_FIGURES": "0"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def batchlaw(tmp_path):
    def run(package: Path, *words: str) -> str:
        return ran(package, tmp_path, "-P", "-m", "batchlaw", *words)

    return run


KNOB = """    dropout: Annotated[float, Knob(label="dropout rate", unit="of the units", low=0, below=1)] = 0.0
"""
LOOK = """
import json
from batchlaw.claims.planned import FACTORS
from batchlaw.dashboard.trials import ShownTrials
from batchlaw.figures.gallery import gallery
from batchlaw.results.records import records_of
from batchlaw.spec.config import PLACEHOLDERS
from batchlaw.storage import load, open_storage

stored = load(open_storage("sqlite:///batchlaw.db"), "one-entry")
records = records_of(stored)
shown = ShownTrials(stored.storage).get_all_trials(stored.study._study_id)
figures = gallery(stored.spec, records, [])
print(json.dumps({
    "factors": FACTORS, "placeholders": PLACEHOLDERS,
    "shown": [trial.params["dropout"] for trial in shown],
    "map": [text for trace in figures["score-map"].data for text in trace.text or ()],
}))
"""


@pytest.mark.release
def test_a_hyperparameter(tmp_path, batchlaw):
    package = with_entry(tmp_path, "spec/knobs.py", "    train_size: Annotated[\n", KNOB)
    (tmp_path / "study.toml").write_text(STUDY.format(space="dropout = {low = 0.1, high = 0.5}"))
    batchlaw(package, "run", "study.toml", "--workers", "1", "--plain")
    exported = json.loads(batchlaw(package, "export", "one-entry", "--format", "json"))
    [configuration] = exported["configurations"]
    assert 0.1 <= configuration["params"]["dropout"] <= 0.5
    assert "dropout:" in batchlaw(package, "export", "one-entry", "--format", "wandb")
    schema = json.loads(batchlaw(package, "schema"))
    assert "dropout" in schema["$defs"]["Space"]["properties"]
    found = json.loads(ran(package, tmp_path, "-P", "-c", LOOK))
    assert "dropout" in found["factors"] and "dropout" in found["placeholders"]
    assert len(found["shown"]) == 6 and all(0.1 <= value <= 0.5 for value in found["shown"])
    assert len(found["map"]) == 6 and all("dropout rate 0." in text for text in found["map"])
    (tmp_path / "study.toml").write_text(STUDY.format(space="dropout = 1.0"))
    refused = subprocess.run(
        [sys.executable, "-P", "-m", "batchlaw", "create", "study.toml"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(package)}, capture_output=True, text=True,
    )  # fmt: skip
    assert refused.returncode == 2 and "space.dropout: must be below 1; got 1.0" in refused.stderr


OPTIMIZER = """    "nadam": Family(
        torch="NAdam", keywords={"betas": ("beta1", "beta2"), "eps": "eps"}, factor=0.01, second_moment="beta2",
        timm="nadam",
    ),
"""
TRAIN = """
import torch
from batchlaw.results.records import records_of
from batchlaw.results.standings import Standings
from batchlaw.storage import load, open_storage
from batchlaw.train import optimizers

stored = load(open_storage("sqlite:///batchlaw.db"), "one-entry")
config = Standings(stored.spec, records_of(stored)).best.config
print(type(optimizers.build(config, torch.nn.Linear(2, 2))).__name__, config.peak_lr / config.base_lr)
"""


@pytest.mark.release
def test_an_optimizer(tmp_path, batchlaw):
    package = with_entry(tmp_path, "spec/families.py", "})  # fmt: skip\n", OPTIMIZER)
    (tmp_path / "study.toml").write_text(STUDY.format(space='optimizer = "nadam"'))
    batchlaw(package, "run", "study.toml", "--workers", "1", "--plain")
    built, factor = ran(package, tmp_path, "-P", "-c", TRAIN).split()
    assert built == "NAdam" and float(factor) == pytest.approx(0.01)
    for name in ("python", "lightning"):
        file = tmp_path / f"{name}.py"
        batchlaw(package, "export", "one-entry", "--format", name, "-o", str(file))
        assert "torch.optim.NAdam(model.parameters(), lr=PEAK_LR, betas=(0.9, 0.999), eps=1e-08" in file.read_text()
    assert ran(package, tmp_path, "python.py").count("learning rate") == 5
    assert "--opt nadam" in batchlaw(package, "export", "one-entry", "--format", "timm")
    assert "value: nadam" in batchlaw(package, "export", "one-entry", "--format", "wandb")
    refused = subprocess.run(
        [sys.executable, "-P", "-m", "batchlaw", "export", "one-entry", "--format", "transformers"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(package)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (
        refused.returncode == 2
        and "optimizer is 'nadam', and the Trainer has no optimizer that makes the same" in refused.stderr
    )
