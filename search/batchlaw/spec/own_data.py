"""Data that are not built in: found on this machine, and known by a SHA-256 of what they hold.

A file may be moved or compressed anew, but what it holds may not change while a study runs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchlaw.errors import DataError
from batchlaw.spec.datasets import OwnData
from batchlaw.spec.own_arrays import Arrays, read_arrays
from batchlaw.spec.own_text import facts_of_text, python_source, read_text
from batchlaw.spec.task import Task


def read_own_data(task: Mapping[str, Any], folder: Path) -> OwnData:
    """The facts of the data set of a [task] that is not built in.

    Args:
        task: the table, with a dataset for which `is_own` is true.
        folder: from which a relative path starts.

    Raises:
        DataError: it cannot be read, or cannot be trained on; one line with the field.
    """
    if task["dataset"] == "python-source":
        return facts_of_text(python_source())
    name = task["file"] if task["dataset"] == "text" else task["dataset"]
    path = folder / name
    found = facts_of_text(read_text(path)) if task["dataset"] == "text" else read_arrays(path).facts
    return found.model_copy(update={"folder": str(folder.resolve())})


def find(task: Task, data_dir: Path) -> Path:
    """The file of a task's own data on this machine: beside the study file, or in the folder of data sets.

    Raises:
        DataError: there is none, or it has changed.
    """
    assert task.data is not None
    name = task.file or task.dataset
    folders = [Path(folder) for folder in (task.data.folder, data_dir) if folder is not None]
    found = next((path for folder in folders if (path := folder / name).is_file()), None)
    if found is None:
        raise DataError(f"{_field(task)}: {name} is not under {' nor under '.join(map(str, folders))}")
    return found


def check_unchanged(task: Task, facts: OwnData) -> None:
    """Make sure that data are those with which a study was registered.

    Raises:
        DataError: they are not.
    """
    assert task.data is not None
    if facts.model_copy(update={"folder": task.data.folder}) != task.data:
        other = (
            "the standard library of this interpreter" if task.dataset == "python-source" else task.file or task.dataset
        )
        raise DataError(
            f"{_field(task)}: {other} is not the one that the study was registered with: its SHA-256 begins with "
            f"{facts.sha256[:12]}, not {task.data.sha256[:12]}"
        )


def _field(task: Task) -> str:
    return "task.file" if task.file is not None else "task.dataset"


def text_of(task: Task, data_dir: Path) -> bytes:
    """The bytes of a task's text, as they were when the study was registered.

    Raises:
        DataError: they cannot be read, or have changed.
    """
    content = python_source() if task.dataset == "python-source" else read_text(find(task, data_dir))
    check_unchanged(task, facts_of_text(content))
    return content


def arrays_of(task: Task, data_dir: Path) -> Arrays:
    """The arrays of a task, as they were when the study was registered.

    Raises:
        DataError: they cannot be read, or have changed.
    """
    arrays = read_arrays(find(task, data_dir))
    check_unchanged(task, arrays.facts)
    return arrays
