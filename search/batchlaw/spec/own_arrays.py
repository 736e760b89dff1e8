"""Arrays of a user's own, from a file in NumPy's format or from Python: read, checked and hashed."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlaw.errors import DataError
from batchlaw.shared_files import write_whole
from batchlaw.spec.datasets import OwnData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TEST_SHARE = 5  # one example in so many is test data where none is named, as of scikit-learn's digits
_FORMS = (("x", "y"), ("train_x", "train_y", "test_x", "test_y"))
_FOLDER = "arrays"  # in the folder of data sets: arrays that came from Python


@dataclass(frozen=True)
class Arrays:
    """Examples, uint8 or float32 (n, …), and labels, int64 (n,); test data if the file names them."""

    x: "NDArray[Any]"
    y: "NDArray[np.int64]"
    test_x: "NDArray[Any] | None"
    test_y: "NDArray[np.int64] | None"
    facts: OwnData


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file, checked.

    Raises:
        DataError: it cannot be read, or its arrays are not examples and labels.
    """
    try:
        status = path.stat()
        return _read_arrays(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DataError(f"task.dataset: {path}: {error.strerror or error}") from None


@lru_cache(maxsize=2)
def _read_arrays(path: Path, mtime: int, size: int) -> Arrays:
    import numpy as np

    try:
        with path.open("rb") as file:  # NumPy leaves it open where it fails
            opened = np.load(file, allow_pickle=False)
            if isinstance(opened, np.ndarray):
                raise ValueError("is one array, not a file of several (numpy.savez)")
            named = {name: opened[name] for form in _FORMS for name in form if name in opened.files}
            known = list(opened.files)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"task.dataset: {path}: {' '.join(str(error).split())}") from None
    form = next((form for form in _FORMS if set(form) <= named.keys()), None)
    if form is None:
        raise DataError(
            f"task.dataset: {path} has the arrays {', '.join(known) or 'of none'}; "
            f"it must have {' or '.join(', '.join(form) for form in _FORMS)}"
        )
    return checked_arrays([named[name] for name in form], str(path))


def checked_arrays(given: "Sequence[NDArray[Any]]", origin: str) -> Arrays:
    """Arrays as examples and labels.

    Args:
        given: x and y, or those to train on and then those to test on.
        origin: names them in errors.

    Raises:
        DataError: shapes, types or values cannot be trained on.
    """
    import numpy as np

    names = next(form for form in _FORMS if len(form) == len(given))
    examples = [_examples(x, name, origin) for x, name in zip(given[::2], names[::2], strict=True)]
    labels = [_labels(y, name, origin) for y, name in zip(given[1::2], names[1::2], strict=True)]
    for x, y, name in zip(examples, labels, names[::2], strict=True):
        if len(x) != len(y):
            raise DataError(f"task.dataset: {origin}: {name} has {len(x)} examples, and its labels are {len(y)}")
    if examples[0].shape[1:] != examples[-1].shape[1:]:
        shapes = f"{examples[0].shape[1:]} and {examples[-1].shape[1:]}"
        raise DataError(f"task.dataset: {origin}: examples to train and to test on have the shapes {shapes}")
    n_classes = 1 + max(int(y.max()) for y in labels)
    absent = np.setdiff1d(np.arange(n_classes), labels[0])
    if n_classes < 2 or len(absent):
        missing = f"there is no {absent[0]}" if len(absent) else "there is one class"
        raise DataError(
            f"task.dataset: {origin}: {names[1]} must have every label from 0 to the largest, {n_classes - 1}; "
            f"{missing}"
        )
    n = len(labels[0])
    n_test = len(labels[1]) if len(labels) > 1 else n // _TEST_SHARE
    if n_test < 1:
        raise DataError(f"task.dataset: {origin}: got {n} examples; must be at least {_TEST_SHARE}")
    facts = OwnData(
        sha256=_hash_of(examples + labels),
        n_train=n if len(labels) > 1 else n - n_test,
        n_test=n_test,
        n_classes=n_classes,
        shape=examples[0].shape[1:],
    )
    has_test = len(labels) > 1
    return Arrays(examples[0], labels[0], examples[1] if has_test else None, labels[1] if has_test else None, facts)


def _examples(x: "NDArray[Any]", name: str, origin: str) -> "NDArray[Any]":
    import numpy as np

    if x.dtype.kind not in "uif":
        raise DataError(f"task.dataset: {origin}: {name} must be numbers; got the type {x.dtype}")
    squares = x.ndim == 2 or (x.ndim in (3, 4) and x.shape[-1] == x.shape[-2])
    if not squares or 0 in x.shape:
        raise DataError(
            f"task.dataset: {origin}: {name} must have the shape (n, features), (n, side, side) or "
            f"(n, channels, side, side); got {x.shape}"
        )
    with np.errstate(over="ignore"):
        plain = x if x.dtype == np.uint8 else x.astype(np.float32)
    if not np.isfinite(plain).all():
        example = int(np.argwhere(~np.isfinite(plain))[0][0])
        raise DataError(f"task.dataset: {origin}: {name} must be finite in single precision; example {example} is not")
    return np.ascontiguousarray(plain[:, None] if x.ndim == 3 else plain)


def _labels(y: "NDArray[Any]", name: str, origin: str) -> "NDArray[np.int64]":
    import numpy as np

    if y.ndim != 1 or y.dtype.kind not in "uib" or len(y) == 0:
        raise DataError(
            f"task.dataset: {origin}: {name} must be one whole number for each example; got {y.shape} of {y.dtype}"
        )
    if y.min() < 0:
        raise DataError(f"task.dataset: {origin}: {name} must have labels from 0; got {y.min()}")
    return y.astype(np.int64)


def _hash_of(arrays: "Sequence[NDArray[Any]]") -> str:
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(f"{array.dtype.str}{array.shape}".encode())
        hashed.update(array.data)
    return hashed.hexdigest()


def file_of(arrays: Arrays) -> str:
    """The file of arrays that came from Python, in the folder of data sets; it is named after what it holds."""
    return f"{_FOLDER}/{arrays.facts.sha256[:16]}.npz"


def save_arrays(arrays: Arrays, data_dir: Path) -> None:
    """Write arrays to `file_of`, unless it is there."""
    import numpy as np

    file = data_dir / file_of(arrays)
    if file.is_file():
        return
    given: dict[str, Any] = {"x": arrays.x, "y": arrays.y}
    if arrays.test_x is not None and arrays.test_y is not None:
        given = dict(zip(_FORMS[1], (arrays.x, arrays.y, arrays.test_x, arrays.test_y), strict=True))
    content = io.BytesIO()
    np.savez(content, **given)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, content.getvalue())
