"""Exports of tools, made by them (tests/data/exports/README.md), read without options; and stores of tools."""

import math
from pathlib import Path

import numpy as np
import pytest
from batchlaw.errors import DataError
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs

from tests.data.exports.write import RATES, SEEDS, SIZES, loss

EXPORTS = Path(__file__).parents[2] / "data" / "exports"
WHOLE = [
    # file, how a note on it begins
    ("optuna.csv", "1 row is left out: state is PRUNED"),
    ("mlflow.csv", "the score of 1 row counts as missing: status is FAILED"),
    ("wandb.csv", "1 row is left out: State is running"),
    ("excel.xlsx", "of 2 tables of excel.xlsx this is read: 2 (runs Sweep of March)"),
    ("runs.parquet", ""),
    ("ray.csv", ""),
]


def grid_of(found):
    """The scores by rate, batch size and seed; those that are missing are left out."""
    columns = found.columns
    rows = found.table[[columns.lr, columns.batch_size, columns.seed, columns.score[0]]].astype(float)
    return {row[:3]: row[3] for row in rows.itertuples(index=False, name=None) if not math.isnan(row[3])}


@pytest.mark.parametrize(("name", "note"), WHOLE)
def test_an_export_is_read_without_options(name, note):
    found = read_runs(EXPORTS / name, Columns.of())
    assert not found.columns.maximize and found.columns.seed is not None
    assert not note or any(line.startswith(note) for line in found.notes)
    grid = grid_of(found)
    expected = {(rate, size, seed): loss(rate, size, seed) for rate in RATES for size in SIZES for seed in SEEDS}
    if name == "optuna.csv":
        del expected[RATES[0], 128, 0]  # the pruned one
    assert set(grid) == set(expected)
    for cell, value in expected.items():
        assert grid[cell] == pytest.approx(value, rel=1e-6)


def test_rows_of_epochs_of_syne_tune_are_reduced_to_runs():
    found = read_runs(EXPORTS / "syne_tune.csv", Columns.of())
    assert any("of each the last epoch with a score counts" in note for note in found.notes)
    columns = found.columns
    for row in found.table[[columns.lr, columns.batch_size, columns.seed, columns.score[0]]].itertuples(index=False):
        assert row[3] == pytest.approx(loss(float(row[0]), int(row[1]), int(row[2])), rel=1e-6)
    assert len(found.table) >= 20


@pytest.mark.parametrize(("name", "tool"), [("optuna.csv", "optuna"), ("mlflow.csv", "mlflow"), ("wandb.csv", "wandb")])
def test_a_tool_may_be_named(name, tool):
    assert len(read_runs(EXPORTS / name, Columns.of(format=tool)).table) > 100


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:.*set_metric_names.*")
def test_a_study_of_optuna_is_read_from_its_database(tmp_path):
    import optuna

    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="theirs", storage=url, direction="maximize")
    for rate in (0.1, 0.2, 0.4):
        for size in (8, 16, 32):
            study.enqueue_trial({"lr": rate, "batch_size": size})

    def objective(trial):
        rate, size = trial.suggest_float("lr", 0.1, 0.4), trial.suggest_int("batch_size", 8, 32)
        if (rate, size) == (0.1, 8):
            raise optuna.TrialPruned
        return size / rate

    study.optimize(objective, n_trials=9)
    (tmp_path / "empty.db").touch()
    found = read_runs("optuna:theirs", Columns.of(storage=url))
    assert found.columns.maximize and "larger is better, by the study" in found.columns.recognised
    assert found.notes == ("1 row is left out: state is PRUNED",)
    np.testing.assert_allclose(
        found.table["value"].astype(float), found.table["params_batch_size"] / found.table["params_lr"]
    )
    for name, storage, line in (
        ("optuna:nobody", url, "there is no such study"),
        ("optuna:theirs", None, "storage: is needed"),
        ("optuna:theirs", f"sqlite:///{tmp_path}/x.db", "storage: got 'sqlite:////.*/x.db'; there is no such file"),
        ("optuna:theirs", str(tmp_path / "x.log"), "storage: got '/.*/x.log'; there is no such file"),
        ("optuna:theirs", f"sqlite:///{tmp_path}/empty.db", "storage: got 'sqlite:////.*/empty.db'; cannot be read: "),
        ("optuna:x", "postgresql://me:secret@127.0.0.1:1/x", r"got 'postgresql://me:\*\*\*@127.0.0.1:1/x'; cannot be"),
    ):
        with pytest.raises(DataError, match=line) as refusal:
            read_runs(name, Columns.of(storage=storage))
        assert "\n" not in str(refusal.value) and "secret" not in str(refusal.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty.db", "theirs.db"]
    assert (tmp_path / "empty.db").stat().st_size == 0


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_study_of_optuna_is_read_from_its_journal(tmp_path):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = str(tmp_path / "journal.log")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="theirs", storage=JournalStorage(JournalFileBackend(path)))
    study.optimize(lambda trial: trial.suggest_float("lr", 0.1, 0.4) * trial.suggest_int("bs", 8, 32), n_trials=3)
    found = read_runs("optuna:theirs", Columns.of(storage=path))
    assert len(found.table) == 3 and not found.columns.maximize


def test_a_folder_of_tensorboard_runs_is_read_with_its_hyperparameters(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    runs = tmp_path / "runs"
    for rate in (0.1, 0.2):
        for size in (8, 16):
            # With the hparams plugin, and with Lightning's hparams.yaml.
            folder = runs / f"lr{rate}_bs{size}"
            with SummaryWriter(str(folder)) as writer:
                for step in (1, 2, 3):
                    writer.add_scalar("val/loss", rate * size + 3 - step, step)
                    writer.add_scalar("lr-Adam", rate / step, step)
                if size == 8:
                    writer.add_hparams({"lr": rate, "batch_size": size}, {"hparam/loss": 1.0})
            if size == 16:
                (folder / "hparams.yaml").write_text(f"optimizer:\n  lr: {rate}\nbatch_size: {size}\n")
    found = read_runs(runs, Columns.of(score="val/loss", lr="hparams.lr", where="`hparams.batch_size` == 8"))
    assert found.table["val/loss"].tolist() == pytest.approx([0.8, 1.6])
    found = read_runs(runs, Columns.of(where="`hparams.batch_size` == 16", lr="hparams.optimizer.lr"))
    assert found.columns.score == ("val/loss",)
    assert found.table["val/loss"].tolist() == pytest.approx([1.6, 3.2])
    assert any("of each the last step with a score counts" in note for note in found.notes)


@pytest.mark.filterwarnings("ignore")  # of MLflow, on SQLAlchemy
def test_an_experiment_of_mlflow_is_read(tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("theirs", artifact_location=str(tmp_path / "artifacts"))
    for rate in (0.1, 0.2, 0.4):
        for size in (8, 16, 32):
            run = client.create_run(experiment)
            client.log_param(run.info.run_id, "lr", rate)
            client.log_param(run.info.run_id, "batch_size", size)
            client.log_metric(run.info.run_id, "val_loss", math.inf if (rate, size) == (0.4, 8) else rate * size)
            client.set_terminated(run.info.run_id, "FAILED" if (rate, size) == (0.1, 8) else "FINISHED")
    found = read_runs("mlflow:theirs", Columns.of(storage=uri))
    assert len(found.table) == 9 and not found.columns.maximize
    scores = found.table.set_index(["params.lr", "params.batch_size"])["metrics.val_loss"]
    assert math.isnan(scores[0.1, 8]) and scores[0.4, 8] == math.inf and scores[0.2, 16] == pytest.approx(3.2)
    with pytest.raises(DataError, match="there is no such experiment"):
        read_runs("mlflow:nobody", Columns.of(storage=uri))
    with pytest.raises(DataError, match=r"storage: got 'sqlite:.*x.db'; there is no such file"):
        read_runs("mlflow:theirs", Columns.of(storage=f"sqlite:///{tmp_path / 'x.db'}"))
    assert not (tmp_path / "x.db").exists()
