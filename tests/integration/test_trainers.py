"""Trainers of other libraries under a study: batch and rate of every update, pruning, and several devices."""

import contextlib
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import batchlaw as bl
import optuna
import pytest
from batchlaw.objectives.devices import Devices
from batchlaw.objectives.function import load_user_code
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.derive import derive
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.space import point_of

from tests.documentation import ROOT, blocks_of
from tests.leftovers import processes
from tests.waiting import wait_for

TRAINERS = Path(__file__).parent / "trainers"
# What these libraries deprecate in one another is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
STUDY = """
name = "line"
objective = "{name}:train"
devices = {devices}
micro_batch_size = 8
train_size = 96
{more}

[space]
batch_size = {batch_size}
base_lr = {base_lr}
optimizer = "{optimizer}"
decay = "cosine"
warmup_fraction = 0.25

[budget]
epochs = 4

[search]
metric = "loss"
direction = "minimize"
trials = {trials}
pruner = "{pruner}"
sampler = "random"
reports = 10
"""


def study_of(
    folder,
    name,
    *,
    devices=1,
    batch_size=16,
    base_lr=0.1,
    trials=1,
    pruner="none",
    optimizer="adamw",
    more="",
    of_search="",
):
    folder.mkdir(exist_ok=True)
    if not (folder / f"{name}.py").exists():
        shutil.copy(TRAINERS / f"{name}.py", folder)
    file = folder / "line.toml"
    keys = {"devices": devices, "batch_size": batch_size, "base_lr": base_lr, "trials": trials, "pruner": pruner}
    file.write_text(STUDY.format(name=name, optimizer=optimizer, more=more, **keys) + of_search)
    return bl.Study.create(file, f"sqlite:///{folder / 'line.db'}")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where the folders of trials lie."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def found(home, name):
    (path,) = home.rglob(name)
    return json.loads(path.read_text())


def reports_of(study):
    return [
        trial.intermediate_values for trial in optuna.load_study(study_name=study.name, storage=study.storage).trials
    ]


@pytest.mark.parametrize("name", ["with_transformers", "with_lightning"])
def test_every_update_has_the_batch_and_the_rate_of_its_trial(name, tmp_path, home):
    study = study_of(tmp_path / "study", name).run(workers=0, progress=False)
    seen, config = found(home, "seen.json"), study.best(1)[0].config
    assert seen["rates"] == pytest.approx(config.peak_lr * schedule_of(config).lr_multipliers(), rel=1e-6)
    assert seen["sizes"] == [8, 8] * config.steps


@pytest.mark.parametrize("name", ["with_transformers", "with_lightning"])
def test_a_wrong_accumulation_is_caught(name, tmp_path, home, monkeypatch):
    monkeypatch.setenv("WRONG", "3")
    study = study_of(tmp_path / "study", name)
    with pytest.raises(bl.WorkFailed) as error:
        study.run(workers=0, progress=False)
    assert "update 1: 24 examples (8 + 8 + 8); the trial's batch size is 16" in str(error.value)


@pytest.mark.parametrize("name", ["with_transformers", "with_lightning"])
def test_the_study_prunes(name, tmp_path, home):
    study = study_of(tmp_path / "study", name, base_lr=[1e-6, 0.3], trials=14, pruner="median")
    trials = study.run(workers=0, progress=False).trials()
    assert set(trials["outcome"]) == {"complete", "pruned"}
    assert set(trials.loc[trials["outcome"] == "pruned", "base_lr"]) == {1e-6}


@pytest.mark.parametrize(("name", "devices"), [("with_transformers", 1), ("with_ddp", 2)])
def test_what_does_not_fit_is_accumulated_and_the_batch_stays(name, devices, tmp_path, home, monkeypatch):
    monkeypatch.setenv("FITS", "7")
    study = study_of(tmp_path / "study", name, devices=devices).run(workers=0, progress=False)
    assert study.trials()["outcome"].tolist() == ["complete"]  # the guard has seen 16 examples in every update
    (fit,) = study.status().fits.values()
    assert fit == (4, 8)
    assert f"  computed   4 examples at once, in {4 // devices} parts of each batch" in study.show(0).lines()


WATCHED = """
import json
import with_keras

class Watch(with_keras.Follow):
    def on_train_batch_end(self, batch, logs=None):
        RATES.append(float(self.model.optimizer.learning_rate))
        super().on_train_batch_end(batch, logs)

RATES, with_keras.Follow = [], Watch

def train(trial):
    found = with_keras.train(trial)
    (trial.run_dir / "seen.json").write_text(json.dumps({"rates": RATES[:: trial.accumulate]}))
    return found
"""


def recipe(name, folder):
    """Write a file that a page shows."""
    folder.mkdir()
    page = ROOT / "docs" / "how-to" / "trainers.md"
    (text,) = [block.text for block in blocks_of(page) if block.title == name]
    (folder / name).write_text(text)


def test_the_recipe_for_timm_trains_as_it_is_shown(tmp_path, home):
    recipe("with_timm.py", tmp_path / "study")
    study = study_of(tmp_path / "study", "with_timm").run(workers=0, progress=False)
    assert study.trials()["outcome"].tolist() == ["complete"]  # guarded: batch and rate of every update
    assert len(reports_of(study)[0]) == 10


@pytest.mark.release
@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs pip install keras")
def test_the_recipe_for_keras_trains_as_it_is_shown(tmp_path, home):
    recipe("with_keras.py", tmp_path / "study")
    (tmp_path / "study" / "watched.py").write_text(WATCHED)
    study = study_of(tmp_path / "study", "watched").run(workers=0, progress=False)
    seen, config = found(home, "seen.json"), study.best(1)[0].config
    assert seen["rates"] == pytest.approx(config.peak_lr * schedule_of(config).lr_multipliers(), rel=1e-6)
    assert study.show(0).as_dict()["grad_accum_steps"] == 2 and len(reports_of(study)[0]) > 4


# Two agents of torchrun, as `srun` would start them, one on each node; here both are on this machine.
NODES = 'launcher = ["sh", "nodes.sh", "{devices / 2}"]'


@pytest.mark.parametrize(
    ("name", "launcher"),
    [("with_ddp", NODES), ("with_accelerate", ""), ("with_lightning", ""), ("with_transformers", "")],
)
def test_two_devices_train_as_one_does(name, launcher, tmp_path, monkeypatch):
    curves = {}
    for devices in (1, 2):
        monkeypatch.setenv("HOME", str(tmp_path / f"home-{devices}"))
        folder, more = tmp_path / f"study-{devices}", launcher if devices == 2 else ""
        folder.mkdir()
        shutil.copy(TRAINERS / "nodes.sh", folder)
        study = study_of(folder, name, devices=devices, optimizer="sgd", more=more)
        study.run(workers=0, progress=False)
        assert study.trials()["outcome"].tolist() == ["complete"]
        (curves[devices],) = reports_of(study)
    assert len(curves[1]) > 4 and curves[2] == pytest.approx(curves[1], rel=1e-4)


def test_all_processes_of_a_trial_end_together(tmp_path, monkeypatch):
    monkeypatch.setenv("SLOW", "0.1")
    study = study_of(tmp_path / "study", "with_ddp", devices=2)
    ranks, reported = load_user_code(study.spec, tmp_path / "study"), []

    def report(progress, metrics):
        reported.append(len(processes()))
        raise bl.Interrupted

    with pytest.raises(bl.Interrupted), contextlib.closing(ranks):
        ranks(trial_of(study, tmp_path, report))
    assert reported[0] >= 3  # torchrun and two ranks
    assert not [command for command in processes().values() if "rank" in command or "torch.distributed" in command]


def test_devices_that_draw_the_same_examples_are_caught(tmp_path, monkeypatch):
    monkeypatch.setenv("SAME", "1")
    study = study_of(tmp_path / "study", "with_ddp", devices=2)
    ranks = load_user_code(study.spec, tmp_path / "study")
    told = "ObjectiveError: the loader repeats the same examples on several devices"
    with pytest.raises(bl.ObjectiveError, match=told), contextlib.closing(ranks):
        ranks(trial_of(study, tmp_path, lambda progress, metrics: None))


def trial_of(study, folder, report):
    config = derive(study.spec, point_of({}, study.spec), (7,))
    return Trial(config, report, folder / "runs", devices=2, micro_batch_size=8)


PRUNING = {  # of two trials, the worse one second
    "base_lr": [1e-6, 0.3], "trials": 2, "pruner": "asha",
    "of_search": "confirm = false\nstart = [{base_lr = 0.3}, {base_lr = 1e-6}]",
}  # fmt: skip
HOUR = "3600"


def are_free(spec):
    with Devices(spec).taken() as free:
        return free


ENDINGS = {  # seconds between updates, the study, what is done to the worker, and the outcomes that follow
    "pruned": ("0.2", PRUNING, lambda worker: None, {"complete": 1, "pruned": 1}),
    "stopped": (HOUR, {}, lambda worker: worker.send_signal(signal.SIGTERM), {"waiting": 1}),
    "timed out": (HOUR, {"of_search": "trial_seconds = 20"}, lambda worker: None, {"pruned": 1}),
    "killed": (HOUR, {}, lambda worker: worker.kill(), {"lost": 1}),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_processes_of_a_trial_on_two_devices_end_with_it(ending, tmp_path, home, monkeypatch, popen):
    slow, keys, end, outcomes = ENDINGS[ending]
    monkeypatch.setenv("SLOW", slow)
    monkeypatch.setenv("BATCHLAW_DEVICES", "a,b")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = tmp_path / "study"
    study = study_of(folder, "with_ddp", devices=2, **keys)
    command = [sys.executable, "-m", "batchlaw", "worker", folder / "line.toml", "--storage", study.storage]
    worker = popen(command, start_new_session=True, stdout=subprocess.DEVNULL)

    def begun():
        """Whether torchrun has started both, unless the limit was past before."""
        return sum("batchlaw.objectives.rank" in line for line in processes().values()) == 3

    wait_for(lambda: begun() or worker.poll() is not None)
    end(worker)
    worker.wait()
    wait_for(lambda: not processes())
    status = study.status()  # which clears up
    assert {name: n for name, n in status.outcomes.items() if n} == outcomes
    if ending == "pruned":
        assert max(reports_of(study)[1]) < 10 == max(reports_of(study)[0])
    wait_for(lambda: are_free(study.spec))  # a process that is ending has no environment before it has no files


def test_a_function_that_other_processes_cannot_import_trains_on_one_device(tmp_path):
    def train(trial):
        return {"loss": 1.0}

    with pytest.raises(bl.ObjectiveError, match="devices: got 2; other processes cannot import"):
        bl.Study.create(
            name="mine", objective=train, metric="loss", direction="minimize", train_size=96, epochs=1, devices=2,
            trials=1, space={"batch_size": [8, 16]}, storage=f"sqlite:///{tmp_path / 'mine.db'}",
        ).run(workers=0, progress=False)  # fmt: skip
