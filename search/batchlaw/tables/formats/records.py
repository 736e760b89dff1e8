"""JSON: lines, lists of records, records by name, columns; records may hold others, and lists of runs."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from batchlaw.tables import names
from batchlaw.tables.formats.part import Part
from batchlaw.tables.formats.text import decoded
from batchlaw.tables.names import STEPS


def is_json(text: str) -> bool:
    """Whether a text looks like JSON."""
    return text.lstrip()[:1] in ("{", "[")


def read_records(content: bytes) -> list[Part]:
    """The records of a file, a row each.

    What a record holds in another is named with a dot: `config.lr`. A list of records in a record, such as its runs or
    its epochs, is a row each; so is a list of numbers that is called a score, which are those of seeds, or of epochs
    if the record tells its seed.

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
    records = enumerate(_records(data))
    rows = [
        {key: _cell(value) for key, value in row.items()} for place, record in records for row in _rows(record, place)
    ]
    if not rows:
        raise ValueError("holds no records")
    table = pd.DataFrame(rows).fillna("")
    table.index += 1
    return [Part(table)]


def _records(data: Any) -> list[dict[str, Any]]:
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


def _rows(record: dict[str, Any], place: int) -> list[dict[str, Any]]:
    """A row for each run in a record, or for each epoch of its run; `run` counts the runs."""
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
            for row in _rows(item, number)
        ]
    series = {
        key: value for key, value in inside.items()
        if names.metric_of(key) and all(isinstance(x, int | float | str | None) for x in value)
    }  # fmt: skip
    if not series:
        return [shared]
    n, epochs = max(map(len, series.values())), any(map(names.is_seed, shared))  # one seed has no list of seeds
    return [
        shared
        | ({"run": place, "epoch": number} if epochs else {"run": number})
        | {key: value[number] for key, value in series.items() if number < len(value)}
        for number in range(n)
    ]


def _cell(value: Any) -> str:
    """As text, so that a NaN that was written is told from a value that is not there."""
    return "" if value is None else value if isinstance(value, str) else str(value)
