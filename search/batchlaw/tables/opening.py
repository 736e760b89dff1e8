"""From what people have (files, pages, folders, stores, DataFrames, standard input) to one table."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from batchlaw.errors import BatchlawError, DataError
from batchlaw.tables import names
from batchlaw.tables.columns import Columns
from batchlaw.tables.exports import EXPORTS, check_export
from batchlaw.tables.formats.part import Part
from batchlaw.tables.formats.registry import ENDINGS, FORMATS, parts_of
from batchlaw.tables.matrix import unfolded
from batchlaw.tables.packed import unpacked
from batchlaw.tables.stores import is_store, is_tensorboard, read_folder, read_runs_of, read_store
from batchlaw.tables.turned import turned

Data: TypeAlias = pd.DataFrame | str | Path | Sequence[str | Path]  # what a table may be given as

STDIN = "-"
_FRAME = "the table"  # what a DataFrame is called
_MOST_LISTED = 6  # tables of a page that a line names


@dataclass(frozen=True, eq=False)
class Opened:
    """A table as it was found: `title` for messages, `notes` on what was chosen or put together."""

    title: str
    table: pd.DataFrame
    larger: tuple[bool, str] | None
    notes: tuple[str, ...] = ()


def open_table(data: Data, columns: Columns) -> Opened:
    """The table of a file, of several files together, of a folder or store, or a DataFrame as it is.

    Args:
        data: a DataFrame; a path, or several; "-" for standard input; "optuna:STUDY" or "mlflow:EXPERIMENT"; a folder
            of TensorBoard runs, or of files.
        columns: what is asked for: the format, the number of the table, names that tell which table is meant.

    Raises:
        DataError: it cannot be read, or no table of a page fits; one line.
        BatchlawError: there is no such format.
    """
    if columns.format is not None and columns.format not in (*FORMATS, *EXPORTS):
        known = ", ".join((*FORMATS, *EXPORTS))
        raise BatchlawError(f"must be one of {known}", argument="format", got=columns.format)
    if isinstance(data, pd.DataFrame):
        return _of_frame(data)
    if isinstance(data, str | Path):
        return _of_path(data, columns)
    if not isinstance(data, Sequence) or not all(isinstance(path, str | Path) for path in data) or not data:
        kind = type(data).__name__
        raise DataError(f"must be a DataFrame, or the path of a file or several, not {kind}", argument="data")
    return _together([_of_path(path, columns) for path in data], [str(path) for path in data])


def _of_frame(table: pd.DataFrame) -> Opened:
    title = _FRAME
    while table.columns.nlevels > 1 and table.columns.get_level_values(0).nunique() == 1:
        title, table = str(table.columns[0][0]), table.droplevel(0, axis="columns")  # the name of the metric
    if any(table.index.names) and not {*table.index.names} & {*table.columns}:
        table = table.reset_index()
    if all(isinstance(name, str) for name in table.columns):
        return Opened(_FRAME, unpacked(table), None)
    heading = "" if title == _FRAME else title
    part = _understood(Part(table.set_axis([str(name) for name in table.columns], axis="columns"), heading), "")
    return Opened(_FRAME, part.table, None, part.notes)


def _of_path(path: str | Path, columns: Columns) -> Opened:
    name = str(path)
    if is_store(name):
        return Opened(name, *read_store(name, columns.storage))
    title = "standard input" if name == STDIN else Path(path).name
    try:
        if name != STDIN and Path(path).is_dir():
            return _of_folder(Path(path), columns)
        content = sys.stdin.buffer.read() if name == STDIN else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(str(why), argument="data", got=name) from None
    wanted = columns.format if columns.format in FORMATS else None
    part, notes = _chosen(parts_of(content, wanted, name), columns, title)
    if columns.format in EXPORTS:
        check_export(part.table, columns.format, title)
    return Opened(title, part.table, part.larger, notes)


def _of_folder(folder: Path, columns: Columns) -> Opened:
    if is_tensorboard(folder):
        return Opened(folder.name, read_folder(folder), None)
    files = sorted(file for file in folder.iterdir() if file.name.lower().endswith(ENDINGS) and file.is_file())
    if not files:
        if len(table := read_runs_of(folder)):
            return Opened(folder.name, table, None)
        raise DataError("the folder has neither TensorBoard runs nor tables", argument="data", got=str(folder))
    return _together([_of_path(file, columns) for file in files], [file.name for file in files])


def _together(parts: list[Opened], paths: list[str]) -> Opened:
    """One table, in which `path` names the file of a row."""
    if len(parts) == 1:
        return parts[0]
    for part, path in zip(parts, paths, strict=True):
        twice = part.table.columns[part.table.columns.duplicated()]
        if len(twice):
            raise DataError(f"has several columns called {twice[0]!r}", argument="data", got=path)
    tables = [part.table.assign(path=path) for part, path in zip(parts, paths, strict=True)]
    table = (
        pd.concat(tables, ignore_index=True).fillna("") if _all_text(tables) else pd.concat(tables, ignore_index=True)
    )
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    larger = next((part.larger for part in parts if part.larger), None)
    return Opened(f"{len(parts)} files", table, larger, (*notes, f"{len(parts)} files are read as one table"))


def _all_text(tables: list[pd.DataFrame]) -> bool:
    return all(not pd.api.types.is_numeric_dtype(dtype) for table in tables for dtype in table.dtypes)


def _chosen(parts: list[Part], columns: Columns, title: str) -> tuple[Part, tuple[str, ...]]:
    """The tables that were asked for, or the largest with a learning rate, a batch size and a score.

    Raises:
        DataError: none fits, or there is no such table.
    """
    read = {number: _understood(part, title) for number, part in enumerate(parts, start=1)}
    wanted = columns.tables or tuple(read)
    if not {*wanted} <= {*read}:
        unknown = next(number for number in wanted if number not in read)
        n = f"{len(parts)} table" + ("s" if len(parts) > 1 else "")
        raise DataError(f"{title} has {n}", argument="table", got=unknown)
    fitting, notes = list(wanted), []
    if not columns.tables and len(read) > 1:
        fitting = [number for number in read if _fits(read[number].table, columns)]
        if not fitting:
            line = f"no table of {title} has a learning rate, a batch size and a score; there are {_listed(read)}"
            raise DataError(line, argument="table")
        fitting.sort(key=lambda number: -len(read[number].table))
        wanted = tuple(fitting[:1])
    if len(read) > 1:
        which = " and ".join(_called(number, read[number]) for number in wanted)
        notes.append(f"of {len(read)} tables of {title} this is read: {which}")
        if others := {number: read[number] for number in sorted(fitting) if number not in wanted}:
            notes[0] += f"; --table reads another that fits, or several with commas: {_listed(others)}"
    chosen = [read[number] for number in wanted]
    notes += [note for part in chosen for note in part.notes]
    if len(chosen) == 1:
        return chosen[0], tuple(notes)
    together = pd.concat(
        [part.table.assign(table=part.heading or str(number)) for number, part in zip(wanted, chosen, strict=True)]
    )
    larger = next((part.larger for part in chosen if part.larger), None)
    return Part(together.fillna(""), "", larger), tuple(notes)


def _listed(parts: dict[int, Part]) -> str:
    named = [_called(number, part) for number, part in parts.items()]
    more = f" and {len(named) - _MOST_LISTED} more" if named[_MOST_LISTED:] else ""
    return ", ".join(named[:_MOST_LISTED]) + more


def _understood(part: Part, title: str) -> Part:
    """With a column for each value, and a row for each run."""
    part = replace(part, table=unpacked(part.table))
    return unfolded(part, title) or turned(part) or part


def _called(number: int, part: Part) -> str:
    return f"{number} ({part.heading})" if part.heading else str(number)


def _fits(table: pd.DataFrame, columns: Columns) -> bool:
    """Whether a table has what is asked for, by names."""
    headers = [str(name) for name in table.columns]
    wanted = [name for argument in ("lr", "batch_size", "score") for name in columns.named[argument] if name in headers]
    called = (
        columns.lr or any(map(names.rate_rank, headers)),
        columns.batch_size or any(map(names.batch_rank, headers)),
        columns.score or any(map(names.metric_of, headers)) or any(map(names.is_untold, headers)),
    )
    named = {name for name in (columns.lr, columns.batch_size, *columns.score) if name and name.isidentifier()}
    return all(called) and named <= {*wanted}
