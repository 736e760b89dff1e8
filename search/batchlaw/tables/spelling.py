"""Cells of a table as numbers, truth values or text, by their spelling."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Spellings in a file, without blanks at the ends and in any case. A tool that writes NaN has computed it, so the run
# diverged; a tool that writes nothing has no score, whatever the reason.
MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "null", "none"})
_NOT_FINITE = re.compile(
    r"[+-]?(?:nan(?:\(\w*\))?|inf(?:inity)?|∞|1\.#(?:inf|qnan|snan|ind)\d*)", re.IGNORECASE
)  # 1.#INF and its like are what C programs print on Windows


def by_distinct(column: "pd.Series[Any]", of: Callable[[str], Any], if_absent: Any) -> NDArray[Any]:
    """A function of the text of every cell, without blanks at its ends; it is called once for each distinct text."""
    codes, distinct = pd.factorize(column.map(str, na_action="ignore"))
    found = [of(text.strip()) for text in distinct]
    return np.asarray(np.array([*found, if_absent])[codes])  # the code of an absent value is -1


def number(text: str) -> float | None:
    """The number in a cell: NaN if it is missing, infinite if it is spelled as not finite, None if it is no number."""
    if text.lower() in MISSING:
        return np.nan
    if _NOT_FINITE.fullmatch(text):
        return np.inf
    try:
        return float(text)
    except ValueError:
        return None


def typed(column: "pd.Series[Any]") -> NDArray[Any]:
    """A column as numbers if all its cells are, as truth values if all are true or false, else as text, (n,).

    A missing number is NaN, a missing text is empty.
    """
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return np.asarray(column.to_numpy(bool))
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return np.asarray(column.to_numpy())
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    texts = by_distinct(column, lambda text: text, "").astype(object)
    distinct = set(texts)
    if {text.lower() for text in distinct} <= {"true", "false"}:
        return np.asarray(by_distinct(column, lambda text: text.lower() == "true", False), bool)
    if all(re.fullmatch(r"[+-]?\d{1,18}", text) for text in distinct):
        return by_distinct(column, int, 0)
    known = [number(text) for text in distinct]
    if None in known or all(value != value for value in known):
        return texts
    return by_distinct(column, number, np.nan).astype(float)
