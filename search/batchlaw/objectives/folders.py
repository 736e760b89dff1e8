"""Where the files of trials lie."""

from pathlib import Path


def default_runs_dir() -> Path:
    """In the user's cache."""
    return Path.home() / ".cache" / "batchlaw" / "runs"
