"""The commands on runs made elsewhere, as they are called: files, standard input, stores; nothing is written."""

import io
import sys

import optuna
import pytest
from batchlaw.cli import main

from tests.unit.tables.test_odd_tables import RUNS, csv


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A command in an empty folder with two files; returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHLAW_STORAGE", raising=False)
    for seed, part in RUNS.groupby("seed"):
        part.to_csv(tmp_path / f"seed{seed}.csv", index=False)

    def called(*arguments, stdin=""):
        before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        monkeypatch.setattr(sys, "argv", ["batchlaw", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
        return end.value.code, capsys.readouterr()

    return called


@pytest.mark.parametrize("command", ["claim", "law", "transfer"])
@pytest.mark.parametrize("data", [("seed0.csv", "seed1.csv"), ("-",), ("./",)])
def test_files_standard_input_and_folders_are_the_same_grid(call, command, data):
    code, told = call(command, *data, "--show-cells", stdin=csv())
    assert not code and told.out.startswith(
        "read: learning rate is lr, batch size is batch_size, score is val_loss (smaller is better), seed is seed"
    )
    first = next(line.split() for line in told.out.splitlines() if line.startswith("0.00391"))
    assert first == ["0.00391", "1.23", "(2)", "1.405", "(2)", "1.63", "(2)", "1.905", "(2)"]


def test_a_claim_on_standard_input_says_what_it_read(call):
    code, told = call("claim", "-", stdin=csv())
    assert not code and "H9 " in told.out and "read: learning rate is lr" in told.out


def test_a_study_of_optuna_is_read_and_not_written(call, tmp_path):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    study = optuna.create_study(study_name="theirs", storage=url, direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("lr", 0.1, 0.4) * trial.suggest_int("bs", 8, 32), n_trials=3)
    code, told = call("claim", "optuna:theirs", "--storage", url, "--show-cells")
    assert not code and "score is value (larger is better, by the study)" in told.out
    for name, storage, line in (
        ("optuna:theirs", (), "error: --storage: got 'sqlite:///batchlaw.db'; there is no such file"),
        ("optuna:other", ("--storage", url), "there is no such study in the storage"),
    ):
        code, told = call("claim", name, *storage)
        assert code == 2 and line in told.err and told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nosuch.csv",), "got 'nosuch.csv'; No such file or directory"),
        (("nosuch/",), "got 'nosuch/'; No such file or directory"),
        (("seed0.csv", "--lr", "rate"), "--lr: got 'rate'; seed0.csv has no such column"),
        (("seed0.csv", "--table", "3"), "--table: got 3; seed0.csv has 1 table"),
        (("seed0.csv", "--format", "parquet"), "not a Parquet file"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(call, arguments, line):
    code, told = call("claim", *arguments)
    assert code == 2 and line in told.err and told.err.count("\n") == 1 and not told.out
