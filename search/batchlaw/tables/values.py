"""The values of the columns of a table: read as numbers, typed, and checked."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.errors import DataError
from batchlaw.stats.surface import Floats
from batchlaw.tables.spelling import MISSING, by_distinct, number, typed


def check_column(table: pd.DataFrame, title: str, argument: str, name: str) -> None:
    """Refuse a column that is not there, or that stands twice.

    Raises:
        DataError: names the argument and what is there.
    """
    if name not in table.columns:
        existing = list(map(str, table.columns))
        close = get_close_matches(name, existing, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close and close != [name] else ""
        raise DataError(f"{title} has no such column{hint}; it has {', '.join(existing)}", argument=argument, got=name)
    if isinstance(table[name], pd.DataFrame):
        raise DataError(f"{title} has several columns of this name", argument=argument, got=name)


def check_filled(table: pd.DataFrame, title: str, argument: str, name: str) -> None:
    """Refuse a column that is empty in some row.

    Raises:
        DataError: names the argument and the first such row.
    """
    empty = table[name].isna().to_numpy()
    if not pd.api.types.is_numeric_dtype(table[name]):
        empty = empty | by_distinct(table[name], lambda text: text.lower() in MISSING, True).astype(bool)
    if empty.any():
        raise DataError(f"{_row(table, empty)} of {title} has no value there", argument=argument, got=name)


def check_positive(values: Floats, table: pd.DataFrame, title: str, name: str, *, may_miss: bool) -> None:
    """Refuse values that are not finite or not above 0; NaN is let through where they may miss.

    Raises:
        DataError: names the column and the first such row.
    """
    bad = ~(np.isfinite(values) & (values > 0))
    if may_miss:
        bad &= ~np.isnan(values)
    if bad.any():
        hint = f"; '10 ** {name}', if that is its logarithm" if (values[~np.isnan(values)] < 0).all() else ""
        raise DataError(f"column {name!r} of {title}: {_held(table, name, bad)}; must be above 0{hint}")


def _row(table: pd.DataFrame, chosen: NDArray[np.bool_]) -> str:
    """The first chosen row, by its line in a file or by its index."""
    return f"row {table.index[int(chosen.argmax())]}"


def _held(table: pd.DataFrame, name: str, chosen: NDArray[np.bool_]) -> str:
    """The first chosen row with its cell."""
    value = table[name].iloc[int(chosen.argmax())]
    return f"{_row(table, chosen)} holds {value.item() if isinstance(value, np.generic) else value!r}"


def numbers_of(table: pd.DataFrame, title: str, name: str) -> Floats:
    """A column as floats: NaN where there is no value, infinity where a cell is not finite.

    Raises:
        DataError: a cell is something else than a number.
    """
    return checked(read_column(table[name]), table, title, name)


def read_column(column: "pd.Series[Any]", of: Callable[[str], float | None] = number) -> NDArray[Any]:
    """Floats, or objects where a cell that is no number is None."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    return by_distinct(column, of, np.nan)


def no_number(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values of `read_column` are None: cells that are no number, (n,)."""
    return np.asarray(values == None, dtype=bool)  # noqa: E711  # elementwise


def checked(values: NDArray[Any], table: pd.DataFrame, title: str, name: str) -> Floats:
    """Values of `read_column` as floats, (n,).

    Raises:
        DataError: a cell is no number; names the first.
    """
    wrong = no_number(values)
    if wrong.any():
        raise DataError(f"column {name!r} of {title}: {_held(table, name, wrong)}, not a number")
    return values.astype(float)


class TypedColumns(Mapping[str, NDArray[Any]]):
    """The columns of a table, typed when an expression asks for them."""

    def __init__(self, table: pd.DataFrame, title: str) -> None:
        self._table, self._title = table, title

    def __getitem__(self, name: str) -> NDArray[Any]:
        check_column(self._table, self._title, "column", name)
        return typed(self._table[name])

    def __contains__(self, name: object) -> bool:
        return name in self._table.columns

    def __iter__(self) -> Iterator[str]:
        return iter(map(str, self._table.columns))

    def __len__(self) -> int:
        return len(self._table.columns)


def rows_are(n: int) -> str:
    """How many rows, with the verb, as the start of a sentence."""
    return "1 row is" if n == 1 else f"{n} rows are"
