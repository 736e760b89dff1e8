"""Where the files of trials and data sets lie, unless a user says otherwise."""

import os
from pathlib import Path

_CACHE = Path(".cache", "batchlaw")  # in the user's home


def default_runs_dir() -> Path:
    """The folder of the trials' own files."""
    return Path.home() / _CACHE / "runs"


def default_checkpoint_dir() -> Path:
    """The folder of interrupted trainings."""
    return Path.home() / _CACHE / "checkpoints"


def default_data_dir() -> Path:
    """The folder of data sets: `BATCHLAW_DATA`, or one in the user's cache."""
    return Path(os.environ.get("BATCHLAW_DATA") or Path.home() / _CACHE / "data")
