"""Long tables: the scores of one run stand in several rows, and a column says which split or metric a row is of."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from batchlaw.tables import names
from batchlaw.tables.columns import Columns
from batchlaw.tables.spelling import by_distinct

_HELD_OUT = ("val", "valid", "validation", "dev", "heldout", "holdout", "eval", "evaluation")
_SPLITS = (*_HELD_OUT, "test", "testing", "train", "training")  # the first that is there counts
_OF_METRICS = frozenset({"metric", "metrics", "measure", "variable", "quantity", "key", "tag"})
_MOST = 100  # distinct cells of such a column
_NAMED = 0.8  # of the distinct cells of a column of metrics are called so, at least


def one_score_a_row(table: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the metric and of the split that count, and what was left out.

    Example: of rows whose `split` is train, val or test those of val are kept; of rows whose `metric` is train_loss or
    val_loss those of val_loss, whose `value` is renamed so. A column that is named in what is asked for is left alone.
    """
    asked = {name for several in columns.named.values() for name in several}
    asked |= {*columns.where.columns} if columns.where else set()
    notes = []
    free = [str(name) for name in table.columns if str(name) not in asked and isinstance(table[name], pd.Series)]
    for name in free:
        texts = {text for text in _texts(table, name) if text}
        if len(texts) > 1 and texts <= {*_SPLITS} and not columns.score:
            best = min(texts, key=_SPLITS.index)
            table, note = _kept(table, name, best)
            notes.append(note)
    for name in free:
        if not _OF_METRICS & {*names.words_of(name)} or columns.score or any(map(names.metric_of, free)):
            continue
        values = [other for other in free if names.is_untold(other) and other != name]
        known = {text: metric for text in _texts(table, name) if (metric := names.metric_of(text)) is not None}
        if len(values) != 1 or len(known) < _NAMED * len(_texts(table, name)):
            continue
        best = _best(known)
        if len(known) > 1:
            table, note = _kept(table, name, best)
            notes.append(note)
        table = table.drop(columns=name).rename(columns={values[0]: best})
        break
    return table, notes


def _best(known: Mapping[str, names.Metric]) -> str:
    return min(known, key=lambda text: (known[text].rank, text))


def _texts(table: pd.DataFrame, name: str) -> set[str]:
    """The distinct cells of a column of text, in lower case; empty where it is one of numbers."""
    if pd.api.types.is_numeric_dtype(table[name]):
        return set()
    distinct = table[name].drop_duplicates()
    return {str(cell).strip().lower() for cell in distinct if not pd.isna(cell)} if len(distinct) <= _MOST else set()


def _kept(table: pd.DataFrame, name: str, best: str) -> tuple[pd.DataFrame, str]:
    """The rows in which a column says this."""
    kept = by_distinct(table[name], lambda text: text.lower() == best, False).astype(bool)
    left_out = int(np.count_nonzero(~kept))
    return table[kept], f"{left_out} rows are left out: of the levels of {name} {best} counts; --where chooses another"
