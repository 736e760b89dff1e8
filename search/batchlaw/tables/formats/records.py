"""JSON: lines, lists of records, records by name, columns; records may hold others, and lists of runs."""

import json
from collections.abc import Iterator, Sequence
from math import isfinite, nan
from typing import Any

import pandas as pd

from batchlaw.tables import names
from batchlaw.tables.formats.part import Part
from batchlaw.tables.formats.text import decoded
from batchlaw.tables.formats.yaml_text import load_yaml
from batchlaw.tables.spelling import number
from batchlaw.tables.words import STEPS

_FEWEST_LISTS, _FEW_OTHERS = 6, 0.1  # lists that go the other way, of so many: seeds do by chance in 3 % (assumption)


def is_json(text: str) -> bool:
    """Whether a text looks like JSON."""
    return text.lstrip()[:1] in ("{", "[")


def read_records(content: bytes) -> list[Part]:
    """The records of a file, a row each.

    What a record holds in another is named with a dot: `config.lr`. A list of records in a record, such as its runs or
    its epochs, is a row each; so is a list of numbers that is called a score, which are those of seeds, or of epochs
    if the record tells its seed, or if they go one way in nearly all records.

    Raises:
        ValueError: it is no JSON, or holds no records.
    """
    text = decoded(content).strip()
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or error.lineno > 2:
            raise
        data = [json.loads(line) for line in lines]
    return [table_of(records_of(data))]


def read_yaml(content: bytes) -> list[Part]:
    """As `read_records`, of YAML.

    Raises:
        ValueError: it is no YAML, or holds no records.
    """
    return [table_of(records_of(load_yaml(decoded(content))))]


def table_of(records: Sequence[dict[str, Any]]) -> Part:
    """The table of records, numbered from 1.

    Raises:
        ValueError: there are none.
    """
    rows = rows_of(records)
    if not rows:
        raise ValueError("holds no records")
    table = pd.DataFrame(rows).fillna("")
    table.index += 1
    return Part(table)


def records_of(data: Any) -> list[dict[str, Any]]:
    """The records of what a file holds: a list, a mapping by name, columns, or lists beside what they share.

    Raises:
        ValueError: it holds none.
    """
    if isinstance(data, list):
        if all(isinstance(record, dict) for record in data):
            return data
        if data and all(isinstance(row, list) for row in data):  # rows under a row of names
            return [dict(zip(map(str, data[0]), row, strict=False)) for row in data[1:]]
        raise ValueError("holds a list of something else than records")
    if not isinstance(data, dict):
        raise ValueError("holds no records")
    if set(data) >= {"columns", "data"} and isinstance(data["data"], list):  # pandas' "split"
        return [dict(zip(map(str, data["columns"]), row, strict=False)) for row in data["data"]]
    values = list(data.values())
    if values and all(
        isinstance(value, list) and not any(isinstance(x, dict | list) for x in value) for value in values
    ):
        return [dict(zip(data, row, strict=False)) for row in zip(*values, strict=False)]  # columns
    if values and all(isinstance(value, dict) for value in values):
        inner = [set(value) for value in values]
        if names_columns(list(data)) and all(keys == inner[0] for keys in inner):  # pandas' columns, by index
            return [{name: column[row] for name, column in data.items()} for row in values[0]]
        return [{"name": name, **record} for name, record in data.items()]
    lists = [key for key, value in data.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        others = {key: value for key, value in data.items() if key != lists[0]}
        shared = {key: value for key, value in flat(others) if not isinstance(value, list)}
        return [shared | record for record in data[lists[0]]]
    return [data]


def rows_of(records: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows of records, a row for each run or epoch that is listed in one, as text."""
    courses = [course for record in records for course in _series(dict(flat(record))).values()]
    curves = _go_one_way(
        [values for course in courses if len(values := [x for x in map(_number, course) if x == x]) > 1]
    )
    return [
        {key: _cell(value) for key, value in row.items()}
        for place, record in enumerate(records)
        for row in _rows(record, place, curves)
    ]


def _go_one_way(courses: Sequence[Sequence[float]]) -> bool:
    """Whether the last of a list is above the first in nearly all lists, or in nearly none: scores of seeds do not."""
    rises = [course[-1] > course[0] for course in courses]
    return len(rises) >= _FEWEST_LISTS and not _FEW_OTHERS < sum(rises) / len(rises) < 1 - _FEW_OTHERS


def _number(value: Any) -> float:
    found = number(str(value))
    return nan if found is None or not isfinite(found) else found


def names_columns(keys: list[str]) -> bool:
    """Whether the keys are names of columns: a rate and a batch size are among them."""
    return any(map(names.rate_rank, keys)) and any(map(names.batch_rank, keys))


def flat(record: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Its values; what is inside of a record in it has a dot in its name."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _series(values: dict[str, Any]) -> dict[str, list[Any]]:
    """The lists of numbers of a record that are called a score."""
    return {
        key: value for key, value in values.items()
        if isinstance(value, list) and value and names.metric_of(key)
        and all(isinstance(x, int | float | str | None) for x in value)
    }  # fmt: skip


def _rows(record: dict[str, Any], place: int, curves: bool) -> list[dict[str, Any]]:
    """A row for each run in a record, or for each epoch of its run; `run` counts the runs.

    `curves` says that lists of scores are those of epochs.
    """
    values = dict(flat(record))
    inside = {key: value for key, value in values.items() if isinstance(value, list) and value}
    of_records = {key: value for key, value in inside.items() if all(isinstance(item, dict) for item in value)}
    shared = {key: value for key, value in values.items() if key not in of_records}
    if of_records:
        items = max(of_records.values(), key=len)
        epochs = any(key.lower() in STEPS for key in items[0])
        return [
            {"run": place if epochs else number, **shared, **row}
            for number, item in enumerate(items)
            for row in _rows(item, number, curves)
        ]
    series = _series(values)
    if not series:
        return [shared]
    n, epochs = max(map(len, series.values())), curves or any(map(names.is_seed, shared))  # one seed lists no seeds
    return [
        shared
        | ({"run": place, "epoch": number} if epochs else {"run": number})
        | {key: value[number] for key, value in series.items() if number < len(value)}
        for number in range(n)
    ]


def _cell(value: Any) -> str:
    """As text, so that a NaN that was written is told from a value that is not there."""
    return "" if value is None else value if isinstance(value, str) else str(value)
