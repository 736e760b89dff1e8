"""How runs ended, as their scores and columns of states tell: unfinished, failed, diverged, or without a score."""

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.stats.surface import Floats
from batchlaw.tables.columns import Columns, KnownColumns
from batchlaw.tables.exports import DIVERGED, FAILED, FINISHED, HAS_DIVERGED, STATE, UNFINISHED, YES
from batchlaw.tables.spelling import REASONS, by_distinct
from batchlaw.tables.values import TypedColumns, rows_are

# Tools that store no infinity write the largest number of their type: MLflow 1.797e308, others float32's 3.4e38.
_LARGEST = float(np.finfo(np.float32).max)


def without_unfinished(
    table: pd.DataFrame, columns: Columns
) -> tuple[pd.DataFrame, dict[str, NDArray[np.bool_]], list[str]]:
    """Leave out the rows of runs that were pruned or have not ended, as a tool's column of states tells.

    Returns:
        The other rows; which of them failed, (n,), by the name of the column; and what was left out. An expression in
        `where` that names the column decides in place of this.
    """
    named = columns.where.columns if columns.where else ()
    for name in table.columns:
        if str(name).lower() not in STATE or name in named or isinstance(table[name], pd.DataFrame):
            continue
        state = by_distinct(table[name], str.lower, "").astype(object)
        distinct = set(state) - {""}
        if not distinct & FINISHED or not distinct <= FINISHED | UNFINISHED | FAILED | DIVERGED:
            continue  # a column of something else
        left_out = np.isin(state, [*UNFINISHED])
        notes = []
        if left_out.any():
            which = ", ".join(sorted({str(value) for value in table[name][left_out]}))
            notes = [f"{rows_are(int(left_out.sum()))} left out: {name} is {which}"]
        return table[~left_out], {str(name): np.isin(state[~left_out], [*FAILED])}, notes
    return table, {}, []


def reasons_of(table: pd.DataFrame, columns: KnownColumns) -> list[str]:
    """What stands in place of scores that are missing."""
    counts: Counter[str] = Counter()
    for name in columns.score:
        if not pd.api.types.is_numeric_dtype(table[name]):
            told = by_distinct(table[name], lambda text: text if text.lower() in REASONS else "", "")
            counts.update(text for text in told.tolist() if text)
    if not counts:
        return []
    return ["in place of scores stand " + ", ".join(f"{text} ({n})" for text, n in counts.most_common()) + ": missing"]


def name_diverged(
    scores: dict[str, Floats], failed: dict[str, NDArray[np.bool_]], table: pd.DataFrame, title: str, columns: Columns
) -> list[str]:
    """Make scores infinite that are those of runs that diverged, and NaN that are no final scores.

    Returns:
        What was done to finite scores that nobody named.
    """
    notes = []
    for values in scores.values():
        if columns.missing_diverged:
            values[np.isnan(values)] = np.inf
        if columns.diverged_above is not None:
            values[values > columns.diverged_above] = np.inf
        if columns.diverged_below is not None:
            values[values < columns.diverged_below] = np.inf
        values[np.abs(values) >= _LARGEST] = np.inf
    for name, rows in failed.items():
        blanked = rows & np.any([np.isfinite(values) for values in scores.values()], axis=0)
        for values in scores.values():
            values[rows & np.isfinite(values)] = np.nan
        if blanked.any():
            which = ", ".join(sorted({str(value) for value in table[name][blanked]}))
            count = int(blanked.sum())
            notes.append(
                f"the score of {count} row{'' if count == 1 else 's'} counts as missing: {name} is {which}, and the "
                "last report before that is no score"
            )
    if columns.diverged_where is not None:
        told = {"": columns.diverged_where.rows(TypedColumns(table, title), len(table))}
    else:
        told = _told_diverged(table)
    for name, chosen in told.items():
        for values in scores.values():
            values[chosen] = np.inf
        if name and chosen.any():
            which = ", ".join(sorted({str(value) for value in table[name][chosen]}))
            notes.append(f"{int(chosen.sum())} of {len(table)} rows count as diverged: {name} is {which}")
    return notes


def _told_diverged(table: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """The rows of which a column of states, or one that is called so, says that the run diverged, by its name."""
    found = {}
    for name in table.columns:
        says = DIVERGED if str(name).lower() in STATE else YES if str(name).lower() in HAS_DIVERGED else ()
        if says and not isinstance(table[name], pd.DataFrame):
            texts = by_distinct(table[name], str.lower, "").astype(object)
            found[str(name)] = np.isin(texts, [*says])
    return found
