"""A folder with a folder for each run, in which files of JSON, YAML or CSV tell what it was and what it brought.

Keras Tuner writes `trial.json`; Sacred `config.json` and `run.json`; Ray Tune `params.json` and `result.json`; Hydra
`.hydra/config.yaml`; Lightning `hparams.yaml` and `metrics.csv`; a Trainer `all_results.json`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batchlaw.errors import DataError
from batchlaw.tables.formats.records import flat
from batchlaw.tables.formats.registry import parts_of
from batchlaw.tables.formats.yaml_text import load_yaml

_TOLD = (".json", ".jsonl", ".yaml", ".yml", ".csv")
_LARGEST, _MOST = 1 << 24, 100_000  # bytes of a file, and files, that are looked at
_HIDDEN = ".hydra"  # the only folder of a run whose name begins with a dot that tells something
_INTERNAL = frozenset({"hydra.yaml", "overrides.yaml"})  # of Hydra: about itself, and what the configuration has


def read_run_folders(folder: Path) -> pd.DataFrame:
    """A row for each run, or for each of its epochs, where a file lists them; empty where no folder holds runs.

    Raises:
        DataError: a file cannot be read.
    """
    files: dict[Path, list[Path]] = {}
    for file in sorted(folder.rglob("*"))[:_MOST]:
        inner = file.relative_to(folder).parts
        hidden = [part for part in inner if part.startswith(".")]
        if (
            file.suffix.lower() not in _TOLD
            or len(inner) < 2
            or file.name in _INTERNAL
            or hidden not in ([], [_HIDDEN])
        ):
            continue
        if file.is_file() and file.stat().st_size <= _LARGEST:
            files.setdefault(file.parent.parent if hidden else file.parent, []).append(file)
    rows = [row | {"run": str(run.relative_to(folder))} for run, own in files.items() for row in _rows(own)]
    return pd.DataFrame(rows).fillna("").astype(str) if rows else pd.DataFrame()


def _rows(files: Sequence[Path]) -> list[dict[str, Any]]:
    """What files tell of a run: single records together, with each row of the longest list."""
    told: dict[str, Any] = {}
    several: list[dict[str, Any]] = []
    for file in files:
        record = _record(file)
        if record is not None:
            told |= {name: value for name, value in flat(record) if not isinstance(value, list)}
            continue
        table = parts_of(file.read_bytes(), None, str(file))[0].table
        if len(table) > len(several):
            several = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    return [told | row for row in several] or [told]


def _record(file: Path) -> dict[str, Any] | None:
    """What a file holds, if that is one record.

    Raises:
        DataError: it is neither YAML nor JSON.
    """
    if file.suffix.lower() == ".csv":
        return None
    try:
        text = file.read_text()
        found = load_yaml(text) if file.suffix.lower() in (".yaml", ".yml") else json.loads(text)
    except json.JSONDecodeError:
        return None  # perhaps lines
    except ValueError as error:
        raise DataError(" ".join(str(error).split()), argument="data", got=str(file)) from None
    return found if isinstance(found, dict) else None
