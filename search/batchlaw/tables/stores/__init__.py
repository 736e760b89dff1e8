"""Stores of other tools, read with their own libraries: Optuna, MLflow, TensorBoard. A store is a file here."""

from pathlib import Path

import pandas as pd

from batchlaw.errors import DataError

_STORES = ("optuna", "mlflow")


def is_store(name: str) -> bool:
    """Whether a name such as `optuna:STUDY` names something in a store."""
    tool, colon, rest = name.partition(":")
    return bool(colon) and tool in _STORES and bool(rest)


def read_store(name: str, storage: str | None) -> tuple[pd.DataFrame, tuple[bool, str] | None]:
    """The runs of a study or experiment, and whether larger scores are better if the store says so.

    Args:
        name: such as `optuna:STUDY` or `mlflow:EXPERIMENT`.
        storage: the database of Optuna; the tracking URI of MLflow, or None for MLflow's own.

    Raises:
        DataError: the library is not installed, or there is no such study; one line.
    """
    tool, _, what = name.partition(":")
    try:
        if tool == "optuna":
            from batchlaw.tables.stores.optuna_study import read_study

            return read_study(what, storage)
        from batchlaw.tables.stores.mlflow_experiment import read_experiment

        return read_experiment(what, storage), None
    except ImportError as error:
        raise DataError(f"needs {tool}: pip install {tool} ({error})", argument="data", got=name) from None


def is_tensorboard(folder: Path) -> bool:
    """Whether a folder holds event files of TensorBoard."""
    return next(folder.rglob("*tfevents*"), None) is not None


def read_folder(folder: Path) -> pd.DataFrame:
    """The runs in a folder of TensorBoard, a row for each step of a run.

    Raises:
        DataError: tensorboard is not installed.
    """
    try:
        from batchlaw.tables.stores.tensorboard_runs import read_events
    except ImportError:
        raise DataError("needs tensorboard: pip install tensorboard", argument="data", got=str(folder)) from None
    return read_events(folder)


def read_runs_of(folder: Path) -> pd.DataFrame:
    """The runs of a folder that has a folder for each; empty where it has none.

    Raises:
        DataError: a file cannot be read.
    """
    from batchlaw.tables.stores.run_folders import read_run_folders

    return read_run_folders(folder)
