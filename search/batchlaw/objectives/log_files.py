"""Metrics in the files that a program has written: CSV, JSON and TensorBoard."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from glob import has_magic
from pathlib import Path

from batchlaw.errors import ObjectiveError
from batchlaw.objectives.listeners import reduced
from batchlaw.spec.program import Listener

Stamps = Mapping[Path, tuple[int, int, int]]  # what tells that a file was written anew: its time, size and number


class Missing(Exception):
    """The metric is not there; the text says what was looked for."""


def read_metric(listener: Listener, path: Path, *, direction: str, before: Stamps | None) -> float:
    """The value of a metric in a file.

    Args:
        listener: what is read of the file.
        path: of the file; it may have `*`.
        direction: of the study.
        before: what `stamps` gave before the program began; None: the folder is its own.

    Raises:
        Missing: there is no such file, or nothing in it.
        ObjectiveError: what is there is no number, or several runs may have written it.
    """
    if listener.tensorboard is not None:
        values = _events(path, str(listener.tag), before)
    elif listener.csv is not None:
        values = _column(_newest(path, before), str(listener.column))
    else:
        values = [_key(_newest(path, before), str(listener.key))]
    return reduced(values, listener.reduce, direction)


def stamps(listener: Listener, path: Path) -> Stamps:
    """The files of a listener before a program begins. Their times are not compared with a clock, which may jump."""
    found = {}
    for file in (_event_files if listener.tensorboard is not None else _files)(path):
        with suppress(OSError):  # another program has just deleted it
            found[file] = _stamp(file)
    return found


def _stamp(file: Path) -> tuple[int, int, int]:
    facts = file.stat()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _newest(path: Path, before: Stamps | None) -> Path:
    """The file that the program has written."""
    files = [file for file in _files(path) if _is_new(file, before)]
    if not files:
        older = " by this program" if before is not None and any(_matching(path)) else ""
        raise Missing(f"no file {path} was written{older}")
    if len(files) > 1:
        raise ObjectiveError(
            f"{path}: {len(files)} files were written, such as {files[0]} and {files[1]}; name one, "
            "for instance with {run_dir} or {trial}"
        )
    return files[0]


def _matching(path: Path) -> list[Path]:
    if not has_magic(str(path)):
        return [path]
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _files(path: Path) -> Iterator[Path]:
    return (file for file in _matching(path) if file.is_file())


def _event_files(path: Path) -> Iterator[Path]:
    for folder in _matching(path):
        yield from [folder] if folder.is_file() else sorted(folder.rglob("*tfevents*"))


def _is_new(file: Path, before: Stamps | None) -> bool:
    return before is None or before.get(file) != _stamp(file)


def _column(file: Path, column: str) -> list[float]:
    with file.open(encoding="utf-8", errors="replace", newline="") as text:
        rows = csv.DictReader(text, skipinitialspace=True)
        names = rows.fieldnames or []
        if column not in names:
            raise Missing(f"{file} has no column {column!r}; it has {', '.join(names) or 'none'}")
        # A program that goes on in its folder may write the head of the table again.
        cells = [row[column] for row in rows if row[column] not in (None, "", column)]
    if not cells:
        raise Missing(f"{file} has no value in column {column!r}")
    return [_number(cell, f"{file}, column {column!r}") for cell in cells]


def _key(file: Path, key: str) -> float:
    """A key may itself have dots: the longest that is there is taken at each table."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise Missing(f"{file} is no JSON") from None
    rest = key.split(".")
    while rest:
        if isinstance(found, list) and rest[0].lstrip("-").isdigit() and -len(found) <= int(rest[0]) < len(found):
            found, rest = found[int(rest[0])], rest[1:]
            continue
        keys = found if isinstance(found, dict) else {}
        taken = next((n for n in range(len(rest), 0, -1) if ".".join(rest[:n]) in keys), None)
        if taken is None:
            raise Missing(f"{file} has no {key!r}; there are {', '.join(map(str, keys)) or 'no keys'}")
        found, rest = keys[".".join(rest[:taken])], rest[taken:]
    return _number(found, f"{file}, key {key!r}")


def _number(value: object, where: str) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        raise ObjectiveError(f"{where}: {value!r} is no number") from None


def check_tensorboard() -> None:
    """Make sure that event files can be read.

    Raises:
        ObjectiveError: the package is not installed.
    """
    try:
        import tensorboard.backend.event_processing.event_file_loader  # noqa: F401
    except ImportError:
        raise ObjectiveError("tensorboard: is not installed; pip install 'batchlaw[tensorboard]'") from None


def _events(path: Path, tag: str, before: Stamps | None) -> list[float]:
    """The values of a tag, by step."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    files = [file for file in _event_files(path) if _is_new(file, before)]
    folders = sorted({file.parent for file in files})
    found: dict[Path, list[tuple[int, float]]] = {}
    tags: set[str] = set()
    for file in files:
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                tags.add(value.tag)
                if value.tag == tag:
                    number = float(tensor_util.make_ndarray(value.tensor).item())
                    found.setdefault(file.parent, []).append((event.step, number))
    if not files:
        raise Missing(f"no event file was written in {path}")
    if not found:
        raise Missing(f"the event files in {path} have no tag {tag!r}; they have {_listed(tags)}")
    if len(found) > 1:
        raise ObjectiveError(
            f"{path}: {len(found)} runs have the tag {tag!r}, in {folders[0]} and {folders[1]}; name one, for instance "
            "with {run_dir} or {trial}"
        )
    [values] = found.values()
    return [value for _, value in sorted(values, key=lambda entry: entry[0])]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
