"""Arrays as the data set of a study, from Python: kept in the folder of data sets, where worker processes read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchlaw.errors import DataError
from batchlaw.spec.own_arrays import checked_arrays, save_arrays


def with_saved_arrays(keywords: Mapping[str, Any], data_dir: Path | None) -> Mapping[str, Any]:
    """The keywords of a study, whose arrays are written to a file that is named after what they hold.

    Args:
        keywords: of `Study.create`; its `dataset`, or that of its `task`, may be (x, y) or (train_x, train_y, test_x,
            test_y).
        data_dir: folder of the data sets; None takes the default.

    Raises:
        DataError: the arrays cannot be trained on, or the file cannot be written.
    """
    task = keywords.get("task")
    task = dict(task) if isinstance(task, Mapping) else {}
    given = keywords.get("dataset", task.get("dataset"))
    if given is None or isinstance(given, str):
        return keywords
    from batchlaw.objectives.folders import default_data_dir

    if not isinstance(given, list | tuple) or len(given) not in (2, 4):
        raise DataError("must be a name, (x, y) or (train_x, train_y, test_x, test_y)", argument="dataset")
    import numpy as np

    try:
        arrays = checked_arrays([np.asarray(array) for array in given], "the arrays")
    except (TypeError, ValueError, RuntimeError) as error:  # of PyTorch, about a tensor on another device
        raise DataError(f"is no array: {error}", argument="dataset") from None
    folder = (data_dir or default_data_dir()).resolve()
    try:
        name = save_arrays(arrays, folder)
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}", argument="data_dir") from None
    data = arrays.facts.model_copy(update={"folder": str(folder)})
    return {**keywords, "dataset": None, "task": task | {"dataset": name, "data": data.model_dump(mode="json")}}
