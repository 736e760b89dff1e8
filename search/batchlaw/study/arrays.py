"""Arrays as the data set of a study, from Python: kept in the folder of data sets, where worker processes read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchlaw.errors import DataError
from batchlaw.spec.own_arrays import Arrays, checked_arrays, file_of, save_arrays


def with_arrays(keywords: Mapping[str, Any], data_dir: Path) -> tuple[Mapping[str, Any], Arrays | None]:
    """The keywords of a study, its arrays replaced by the file that is to hold them; and the arrays, if it has any.

    Args:
        keywords: of `Study.create`; its `dataset`, or that of its `task`, may be (x, y) or (train_x, train_y, test_x,
            test_y).
        data_dir: folder of the data sets.

    Raises:
        DataError: the arrays cannot be trained on.
    """
    task = keywords.get("task")
    task = dict(task) if isinstance(task, Mapping) else {}
    alone = keywords.get("dataset")
    given = task.get("dataset") if alone is None else alone
    if given is None or isinstance(given, str):
        return keywords, None
    if alone is not None and "dataset" in task:
        raise DataError("dataset: task has it as well")
    if not isinstance(given, list | tuple) or len(given) not in (2, 4):
        raise DataError("dataset: must be a name, (x, y) or (train_x, train_y, test_x, test_y)")
    import numpy as np

    try:
        arrays = checked_arrays([np.asarray(array) for array in given], "the arrays")
    except (TypeError, ValueError, RuntimeError) as error:  # of PyTorch, about a tensor on another device
        raise DataError(f"dataset: is no array: {' '.join(str(error).split())}") from None
    data = arrays.facts.model_copy(update={"folder": str(data_dir.resolve())})
    task |= {"dataset": file_of(arrays), "data": data.model_dump(mode="json")}
    return {**keywords, "dataset": None, "task": task}, arrays


def keep(arrays: Arrays, data_dir: Path) -> None:
    """Write arrays to their file in the folder of the data sets.

    Raises:
        DataError: it cannot be written.
    """
    try:
        save_arrays(arrays, data_dir)
    except OSError as error:
        raise DataError(error.strerror or str(error), argument="data_dir", got=str(data_dir)) from None
