"""Trials of a study with a table [log]: all of them are logged, and what goes wrong there is no trial's fault."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from batchlaw.errors import Diverged
from batchlaw.objectives import processes
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.records import records_of
from batchlaw.spec import fingerprint, parse_spec
from batchlaw.storage import load, not_logged_since, note_not_logged, register
from batchlaw.study import Study
from batchlaw.study.code import Code
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs
from batchlaw.workers.worker import Worker

from tests.conftest import tiny_spec

CPU = torch.device("cpu")
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


def own_spec(log, **search):
    return tiny_spec(
        task=None, objective="mine:train", train_size=64, log=log,
        search={"metric": "val_loss", "direction": "minimize", "pruner": "none", "max_retries": 0, **search},
    )  # fmt: skip


def work(storage, spec, objective):
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(CPU, Path("unused"), objective), study_seed=0).work()
    return stored


def logged_in(folder):
    """The runs of TensorBoard's in a folder, by the number of their trial."""
    columns = Columns.of(score="val_loss", batch_size="hparams.batch_size", lr="hparams.peak_lr")
    table = read_runs(folder, columns).table
    return {int(row["hparams.trial"]): row for _, row in table.iterrows()}


def test_every_trial_is_logged_however_it_ended(sqlite_storage, tmp_path):
    def train(trial):
        if trial.number == 1:
            raise ValueError("a bug")
        if trial.number == 2:
            trial.report(0.25, {"val_loss": 2.0})
            raise Diverged({"val_loss": 3.0})
        trial.report(0.5, {"val_loss": 1.0})
        return {"val_loss": trial.config.peak_lr}

    runs = tmp_path / "runs"
    stored = work(sqlite_storage, own_spec({"to": "tensorboard", "folder": str(runs)}), train)
    records = {record.number: record for record in records_of(stored)}
    found = logged_in(runs)
    assert set(found) == set(records) and found[1]["hparams.outcome"] == "failed"
    assert found.pop(1)["hparams.reason"] == "ValueError: a bug"
    for number, row in found.items():
        config = records[number].config
        assert row["val_loss"] == pytest.approx(records[number].value, rel=1e-6)
        assert row["hparams.batch_size"] == config.batch_size
        assert row["hparams.peak_lr"] == pytest.approx(config.peak_lr, rel=1e-6)
        assert row["hparams.outcome"] == ("diverged" if number == 2 else "complete")
        assert row["hparams.study"] == "tiny" and row["hparams.seeds"] == str(config.seeds[0])
    assert not_logged_since(stored, LONG_AGO) is None


def test_a_log_that_fails_is_one_warning_and_the_trials_stand(sqlite_storage, tmp_path, caplog):
    (tmp_path / "runs").write_text("a file where the folder is to be")
    stored = work(
        sqlite_storage, own_spec({"to": "tensorboard", "folder": str(tmp_path / "runs")}), lambda trial: {"val_loss": 1}
    )
    assert {record.outcome for record in records_of(stored)} == {"complete"}
    [line] = [record.getMessage() for record in caplog.records if "logged" in record.getMessage()]
    assert line.startswith("warning: trial 0 was not logged to tensorboard: ")
    noted = not_logged_since(stored, LONG_AGO)
    assert noted.startswith("6 of 6 trials of a worker were not logged to tensorboard: ")
    assert not_logged_since(stored, datetime.now(UTC)) is None


def test_a_log_whose_process_dies_is_a_warning(sqlite_storage, tmp_path, monkeypatch):
    monkeypatch.setattr("batchlaw.workers.trial_log.PROCESS", "batchlaw.no_such_module")
    stored = work(
        sqlite_storage, own_spec({"to": "tensorboard", "folder": str(tmp_path)}), lambda trial: {"val_loss": 1}
    )
    assert {record.outcome for record in records_of(stored)} == {"complete"}
    assert "its process has ended: " in not_logged_since(stored, LONG_AGO)
    assert "No module named batchlaw.no_such_module" in not_logged_since(stored, LONG_AGO)


def test_a_log_that_takes_too_long_is_left(sqlite_storage, tmp_path, monkeypatch):
    monkeypatch.setattr("batchlaw.workers.trial_log.PROCESS", "timeit")  # that reads nothing
    monkeypatch.setattr("batchlaw.workers.trial_log._PATIENCE_SECONDS", 0.0)
    stored = work(
        sqlite_storage, own_spec({"to": "tensorboard", "folder": str(tmp_path)}), lambda trial: {"val_loss": 1}
    )
    assert "were not logged" in not_logged_since(stored, LONG_AGO)


def test_the_end_of_a_program_does_not_end_the_log(sqlite_storage, tmp_path, monkeypatch):
    """A worker process adopts orphans, and ends those that it did not have before with its program."""
    monkeypatch.setattr(processes, "_adopted_since", set())
    runs = tmp_path / "runs"
    study = {
        "name": "program", "command": ["sh", "-c", 'printf "%s\\n" "$0"', '{{"val_loss": {lr}}}'], "train_size": 64,
        "budget": {"epochs": 1}, "space": {"batch_size": 16, "base_lr": 0.5},
        "search": {
            "trials": 2, "metric": "val_loss", "direction": "minimize", "sampler": "random", "pruner": "none",
        },
        "log": {"to": "tensorboard", "folder": str(runs)},
    }  # fmt: skip
    spec = parse_spec(study, "study.toml")
    stored = register(sqlite_storage, spec, trials=None, version="test")
    runtime = Code(folder=tmp_path).runtime(spec, "cpu", None)
    Worker(stored, runtime, study_seed=0).work()
    assert [record.value for record in records_of(stored)] == [0.5, 0.5]
    assert set(logged_in(runs)) == {0, 1}


def test_trials_that_are_asked_for_are_logged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("batchlaw.workers.asking.refresh", lambda *_: None)
    study = Study.create(
        name="mine", storage=f"sqlite:///{tmp_path / 'study.db'}", metric="val_loss", direction="minimize", trials=3,
        space={"batch_size": [8, 16], "base_lr": (0.01, 1.0)}, train_size=64, epochs=1, log={"to": "tensorboard"},
    )  # fmt: skip
    while trial := study.ask():
        if trial.number == 0:
            study.tell(trial, error="a bug")
        else:
            study.tell(trial, {"val_loss": math.log(trial.config.batch_size)})
    assert set(logged_in(tmp_path / "runs")) == {0, 1, 2, 3}


def test_wandb_keeps_a_run_a_trial(sqlite_storage, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    stored = work(sqlite_storage, own_spec({"to": "wandb"}, trials=2), lambda trial: {"val_loss": 1})
    assert len(list((tmp_path / "wandb").glob("offline-run-*-tiny-*"))) == 2
    assert not_logged_since(stored, LONG_AGO) is None


def test_a_log_may_change_and_is_no_part_of_the_fingerprint(sqlite_storage):
    plain, told = tiny_spec(), tiny_spec(log={"to": "mlflow", "uri": "http://localhost:5000"})
    assert fingerprint(plain) == fingerprint(told)
    assert register(sqlite_storage, plain, trials=None, version="test").spec.log is None
    assert register(sqlite_storage, told, trials=None, version="test").spec == told
    assert load(sqlite_storage, "tiny").spec == told
    elsewhere = tiny_spec(log={"to": "tensorboard"})
    assert register(sqlite_storage, elsewhere, trials=None, version="test").spec.log == elsewhere.log
    assert register(sqlite_storage, plain, trials=None, version="test").spec.log is None
    assert load(sqlite_storage, "tiny").spec == plain


def test_a_note_that_is_none_is_passed_over(sqlite_storage):
    stored = register(sqlite_storage, tiny_spec(), trials=None, version="test")
    note_not_logged(stored, "1 of 2 trials")
    assert not_logged_since(stored, LONG_AGO) == "1 of 2 trials"
    for wrong in ("text", ["no time", "1 of 2"], ["2026-11-30T00:00:00", "without a zone"], 3):
        stored.study.set_user_attr("batchlaw:not-logged", wrong)
        assert not_logged_since(stored, LONG_AGO) is None
