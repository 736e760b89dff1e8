"""A matrix of scores, rates × batch sizes, as rows of runs."""

import re

import numpy as np

from batchlaw.tables import names
from batchlaw.tables.formats.part import Part
from batchlaw.tables.levels import level_of
from batchlaw.tables.spelling import by_distinct

_FEWEST = 2  # columns of scores
_MOST_NAMED = 3  # rows that a note names
_CORNER = re.compile(r"\s*(?:\\|/|×|\||vs\.?|,)\s*")


def unfolded(part: Part, name: str) -> Part | None:
    """A row for each cell of a matrix of scores; None if the table is none.

    The columns whose names are numbers are the levels of one factor. The other is a column that is called a rate or a
    batch size, or the first one; where nothing is called so, rates are below 1 and batch sizes are not.

    Args:
        part: the table.
        name: of the file, which may tell the metric.
    """
    headers = [str(header) for header in part.table.columns]
    levels = {header: found for header in headers if (found := level_of(header)) is not None}
    others = [header for header in headers if header not in levels]
    if len(levels) < _FEWEST or len(set(headers)) < len(headers) or not others:
        return None
    factors = _factors(part, others, levels)
    if factors is None:
        return None
    row, row_is_rate = factors
    column = "batch_size" if row_is_rate else "lr"
    called = names.rate_rank(row) if row_is_rate else names.batch_rank(row)
    renamed = row if called else "lr" if row_is_rate else "batch_size"
    down = by_distinct(part.table[row], _value, np.nan).astype(float)
    if 2 * np.isnan(down).sum() > len(down):
        return None
    below = [str(text) for text in part.table[row][np.isnan(down)]]  # such as "Accuracy on the validation set"
    titles = (row, part.heading, *below, re.sub(r"\.\w+", "", name))
    score = next((title for title in titles if names.metric_of(title)), "value")
    table, notes = part.table.assign(**{row: down})[~np.isnan(down)].rename(columns={row: renamed}), part.notes
    if n := int(np.isnan(down).sum()):
        shown = ", ".join(repr(text) for text in part.table[row][np.isnan(down)][:_MOST_NAMED])
        which = "row begins with no level and is" if n == 1 else "rows begin with no level and are"
        notes += (f"{n} {which} left out: {shown}",)
    kept = [renamed if other == row else other for other in others]
    if len({*kept, column, score}) < len(kept) + 2:  # a long table, of which some headers look like levels
        return None
    table = table[kept + list(levels)].melt(id_vars=kept, var_name=column, value_name=score, ignore_index=False)
    table[column] = table[column].map({header: repr(value) for header, (_, value) in levels.items()})
    return Part(table, part.heading, part.larger, notes)


def _value(text: str) -> float:
    found = level_of(text)
    return np.nan if found is None else found[1]


def _factors(part: Part, others: list[str], levels: dict[str, tuple[str, float]]) -> tuple[str, bool] | None:
    """The column of the row factor, and whether that is the learning rate; None where that is not told."""
    of_header = next((name for name, _ in levels.values() if name), "")
    if of_header:
        is_rate = names.rate_rank(of_header) is None
        called = names.rate_rank if is_rate else names.batch_rank
        return next((name for name in others if called(name)), others[0]), is_rate
    corner = _CORNER.split(others[0])
    if len(corner) == 2 and all(names.batch_rank(name) or names.rate_rank(name) for name in corner):
        return others[0], names.rate_rank(corner[0]) is not None
    for name in others:
        if names.batch_rank(name):
            return name, False
        if names.rate_rank(name):
            return name, True
    rows = by_distinct(part.table[others[0]], _value, np.nan).astype(float)
    rows = rows[~np.isnan(rows)]
    if 2 * len(rows) <= len(part.table):
        return None
    across = [value for _, value in levels.values()]
    if max(rows) < 1 <= min(across):
        return others[0], True
    if max(across) < 1 <= min(rows):
        return others[0], False
    return None
