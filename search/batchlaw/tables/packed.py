"""Columns whose cells hold several values: dictionaries, as W&B's API gives them, or key=value, as Hydra's do."""

import json
import re
from ast import literal_eval
from collections.abc import Callable
from itertools import islice
from typing import Any

import pandas as pd

from batchlaw.tables import names
from batchlaw.tables.formats.records import flat, rows_of
from batchlaw.tables.spelling import OF_LIBRARIES

_LOOKED_AT = 20  # cells that tell what a column holds
_PAIR = r"\+{0,2}[\w./@-]+=[^\s,;=]*"
_LIST = re.compile(r"[\[(]\s*[^\s,;\[\]()]+(?:[\s,;]+[^\s,;\[\]()]+)+\s*,?\s*[\])]")
_PAIRS = re.compile(rf"{_PAIR}(?:[\s,;]+{_PAIR})+")
_SCORE = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?%?"
_TWO = re.compile(rf"(?P<a>{_SCORE})\s*/\s*(?P<b>{_SCORE})", re.IGNORECASE)
_TWO_NAMES = re.compile(r"(?P<before>.*?)\s*(?P<a>\b\w+)\s*/\s*(?P<b>\w+)\s*(?P<after>.*)")
_MOSTLY = 0.8  # of the cells of a column hold two scores, at least
_NO_LITERAL = re.compile(r"(?<=[\s:,\[])-?(nan|inf)(?=[\s,}\]])")  # as Python prints them


def unpacked(table: pd.DataFrame) -> pd.DataFrame:
    """With a column for each value inside of such columns, such as `config.lr` or `lr`, in their place.

    A table that has a rate, a batch size and a score beside them is left as it is.
    """
    table = _with_parts_of_scores(_with_rows_of_lists(table))
    headers = [str(name) for name in table.columns]
    if all(any(map(is_one, headers)) for is_one in (names.rate_rank, names.batch_rank, names.metric_of)):
        return table
    for place in range(table.shape[1]):
        column = table.iloc[:, place]
        known = (cell for cell in column if isinstance(cell, str) and cell.strip())
        parse = _parser(list(islice(known, _LOOKED_AT)))
        if parse is None:
            continue
        name = str(table.columns[place])
        found = [parse(name, cell) if isinstance(cell, str) and cell.strip() else {} for cell in column]
        values = pd.DataFrame([part or {} for part in found], index=table.index, dtype=object).fillna("")
        if None in found or not len(values.columns):
            continue
        values.columns = pd.Index([f"{name}.{key}" if key in table.columns else key for key in values.columns])
        others = table.drop(columns=table.columns[place])
        return unpacked(pd.concat([others, values], axis="columns"))
    return table


def _with_rows_of_lists(table: pd.DataFrame) -> pd.DataFrame:
    """With a row for each number of lists of scores in cells, as in JSON."""
    lists = [name for name in table.columns if names.metric_of(str(name)) and _holds_lists(table[name])]
    if not lists or not table.columns.is_unique:
        return table
    records = table.assign(**{name: [_list(cell) for cell in table[name]] for name in lists}).to_dict("records")
    return pd.DataFrame(rows_of(records)).fillna("")


def _with_parts_of_scores(table: pd.DataFrame) -> pd.DataFrame:
    """With a column for each of two scores that stand in one cell, such as `91.2/88.1` of training and test data.

    Their names come from that of the column, as `train/val acc`, or say which they are. Where all are whole numbers of
    which the second is no smaller, they are fractions, such as 45/50.
    """
    for name in map(str, table.columns[table.columns.map(lambda name: names.metric_of(str(name)) is not None)]):
        column = table[name]
        if isinstance(column, pd.DataFrame) or pd.api.types.is_numeric_dtype(column):
            continue
        if not any(map(_TWO.fullmatch, map(str.strip, map(str, islice(column, _LOOKED_AT))))):
            continue
        cells = [str(cell).strip() for cell in column]
        pairs = [_TWO.fullmatch(cell) for cell in cells]
        told = [pair for pair in pairs if pair is not None]
        if len(told) < _MOSTLY * sum(map(bool, cells)) or not told or all(map(_is_fraction, told)):
            continue
        called = _TWO_NAMES.fullmatch(name)
        parts = [f"{name} ({which} of two)" for which in ("first", "second")]
        if called:
            parts = [" ".join(filter(None, (called["before"], called[each], called["after"]))) for each in "ab"]
        place = int(table.columns.get_loc(name))
        others = table.drop(columns=name)
        for at, part in enumerate(parts):
            values = [cell if pair is None else pair["ab"[at]] for pair, cell in zip(pairs, cells, strict=True)]
            others.insert(place + at, part, values)
        table = others
    return table


def _is_fraction(pair: re.Match[str]) -> bool:
    return pair["a"].isdigit() and pair["b"].isdigit() and int(pair["a"]) <= int(pair["b"])


def _holds_lists(column: "pd.Series[Any]") -> bool:
    cells = list(islice((cell for cell in column if isinstance(cell, str) and cell.strip()), _LOOKED_AT))
    return bool(cells) and all(isinstance(_list(cell), list) for cell in cells)


def _list(cell: Any) -> Any:
    """The numbers of a cell such as `[0.9, 0.91]`; the cell if it holds none."""
    if not isinstance(cell, str):
        return cell
    bare = OF_LIBRARIES.sub(r"\g<value>", cell).strip()
    return [part for part in re.split(r"[\s,;]+", bare.strip("[]() ")) if part] if _LIST.fullmatch(bare) else cell


def _parser(cells: list[str]) -> Callable[[str, str], dict[str, str] | None] | None:
    if cells and all(cell.lstrip().startswith("{") and cell.rstrip().endswith("}") for cell in cells):
        return _dictionary
    if cells and all(_PAIRS.fullmatch(cell.strip()) for cell in cells):
        return _pairs
    return None


def _dictionary(name: str, cell: str) -> dict[str, str] | None:
    """What is in a dictionary, as JSON or Python writes it; None if it is none."""
    found: Any
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        try:
            found = literal_eval(_NO_LITERAL.sub(r"'\g<0>'", cell))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    if not isinstance(found, dict):
        return None
    return {f"{name}.{key}": "" if value is None else str(value) for key, value in flat(found)}


def _pairs(_: str, cell: str) -> dict[str, str] | None:
    pairs = [pair.partition("=") for pair in re.split(r"[\s,;]+", cell.strip())]
    return {key.lstrip("+"): value for key, _, value in pairs}
