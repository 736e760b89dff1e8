"""Each library is given a trial, and what it has kept is read back by its own means."""

import json
import sys

import pytest
from batchlaw.errors import BatchlawError
from batchlaw.spec.log import Log
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs
from batchlaw.workers.trackers import check_installed
from batchlaw.workers.trackers.logged_trial import LoggedTrial
from batchlaw.workers.trackers.process import tracker_of

POINTS = [(5, {"val_loss": 0.75, "progress": 0.5}), (10, {"val_loss": 0.5, "seconds": 2.0})]


def trial(**changes):
    facts = {
        "study": "mine-12345678", "number": 3, "ok": True, "started": 1_700_000_000.0, "ended": 1_700_000_002.5,
        "params": {"batch_size": 16, "peak_lr": 0.25, "optimizer": "adam", "bias_correction": True}, "points": POINTS,
        "tags": {"study": "mine", "trial": "3", "outcome": "complete"},
    }  # fmt: skip
    return LoggedTrial(**(facts | changes))


def tracker(**options):
    return tracker_of("mine", Log(**options).model_dump(mode="json"))


@pytest.mark.filterwarnings("ignore")  # of MLflow, on its folders
def test_mlflow_keeps_a_run_a_trial(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database takes it three seconds to make
    uri = (tmp_path / "mlruns").as_uri()
    many = {f"p{number}": number for number in range(250)}  # more than it takes at once
    tracker(to="mlflow", uri=uri).log(trial())
    again = tracker(to="mlflow", uri=uri)  # of another worker
    again.log(trial(number=4, ok=False, params=many, tags={"study": "mine", "outcome": "failed", "reason": "a bug"}))
    again.log(trial(number=5, points=[], tags={"study": "mine", "outcome": "pruned"}))
    tracker(to="mlflow", uri=uri, experiment="theirs").log(trial(number=6))
    client = MlflowClient(tracking_uri=uri)
    runs = {
        run.info.run_name: run
        for name in ("mine", "theirs")
        for run in client.search_runs([client.get_experiment_by_name(name).experiment_id])
    }
    assert {name: run.info.status for name, run in runs.items()} == {
        "mine 3": "FINISHED", "mine 4": "FAILED", "mine 5": "KILLED", "mine 6": "FINISHED"
    }  # fmt: skip
    run = runs["mine 3"]
    assert run.data.params == {"batch_size": "16", "peak_lr": "0.25", "optimizer": "adam", "bias_correction": "True"}
    assert run.data.metrics == {"val_loss": 0.5, "progress": 0.5, "seconds": 2.0}
    assert [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, "val_loss")] == [
        (5, 0.75),
        (10, 0.5),
    ]
    assert (run.info.start_time, run.info.end_time) == (1_700_000_000_000, 1_700_000_002_500)
    assert run.data.tags["trial"] == "3" and runs["mine 4"].data.tags["reason"] == "a bug"
    assert len(runs["mine 4"].data.params) == 250


def test_tensorboard_keeps_a_folder_a_trial_with_its_hyperparameters(tmp_path):
    log = tracker(to="tensorboard", folder=str(tmp_path / "runs"))
    for number in range(3):
        log.log(trial(number=number, params=trial().params | {"batch_size": 2**number}))
    found = read_runs(tmp_path / "runs", Columns.of(score="val_loss", batch_size="hparams.batch_size"))
    assert found.table["hparams.batch_size"].astype(float).tolist() == [1, 2, 4]
    assert found.table["val_loss"].tolist() == [0.5] * 3
    assert set(found.table["hparams.optimizer"]) == {"adam"} and set(found.table["hparams.outcome"]) == {"complete"}


@pytest.mark.parametrize("present", ["nothing", "a folder"])  # such as W&B leaves behind
def test_a_library_that_is_missing_is_one_line(tmp_path, monkeypatch, present):
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("sys.path_importer_cache", {})
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    if present == "a folder":
        (tmp_path / "wandb").mkdir()
    line = "log.to: got 'wandb'; its package is not installed: pip install wandb"
    with pytest.raises(BatchlawError) as error:
        check_installed(Log(to="wandb"))
    assert str(error.value) == line
    check_installed(None)


def test_what_is_sent_to_the_process_is_what_it_logs():
    sent = json.loads(json.dumps(vars(trial())))
    assert LoggedTrial(**sent) == trial(points=[list(point) for point in POINTS])
