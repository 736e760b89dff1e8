"""Tables with two rows of headers: the levels of a factor, each over a group of columns."""

from itertools import pairwise

import pandas as pd

from batchlaw.tables import names
from batchlaw.tables.levels import level_of

_LOOKED_AT = 6  # rows among which the headers are
_FEWEST = 2  # groups, and columns of one


def ungrouped(cells: pd.DataFrame) -> pd.DataFrame | None:
    """With a row for each group of columns of a row, and one row of headers, first; None where there are no groups.

    Example: over `lr, train acc, val acc, train acc, val acc` stand `batch 32` and `batch 64`, each over two columns.
    The rows become `batch, lr, train acc, val acc`.

    Args:
        cells: text; empty where nothing stands.
    """
    for place in range(min(_LOOKED_AT, len(cells) - 2)):
        over, under = ([str(text).strip() for text in cells.iloc[at]] for at in (place, place + 1))
        # A cell that is merged over a group stands once or in each of its columns.
        levels = {
            column: level_of(text) for column, text in enumerate(over) if column and text and text != over[column - 1]
        }
        starts = [column for column, found in levels.items() if found]
        if len(starts) < _FEWEST or not _follow(starts, len(under)):
            continue
        width = starts[1] - starts[0]
        labels = [under[start : start + width] for start in starts]
        if width < _FEWEST or any(each != labels[0] for each in labels) or not all(labels[0]):
            continue
        if any(map(level_of, labels[0])) or len(set(labels[0])) < width:
            continue
        values = {start: found for start in starts if (found := levels[start]) is not None}
        name = next((called for called, _ in values.values() if called), "") or _name(cells, place, values)
        if not name:
            continue
        before = list(range(starts[0]))
        header = [name, *(under[column] or over[column] for column in before), *labels[0]]
        rows = [
            [repr(values[start][1]), *cells.iloc[row, before], *cells.iloc[row, start : start + width]]
            for row in range(place + 2, len(cells))
            for start in starts
        ]
        index = [cells.index[place + 1], *(cells.index[row] for row in range(place + 2, len(cells)) for _ in starts)]
        return pd.DataFrame([header, *rows], index=pd.Index(index), dtype=object).astype(str)
    return None


def _follow(starts: list[int], width: int) -> bool:
    """Whether groups are of the same number of columns, to the end."""
    steps = {right - left for left, right in pairwise([*starts, width])}
    return len(steps) == 1


def _name(cells: pd.DataFrame, place: int, values: dict[int, tuple[str, float]]) -> str:
    """What levels without a name are: told above them, or by their size."""
    for row in range(place):
        for text in cells.iloc[row]:
            if names.batch_rank(str(text)) or names.rate_rank(str(text)):
                return str(text)
    numbers = [value for _, value in values.values()]
    return "batch_size" if min(numbers) >= 1 else "lr" if max(numbers) < 1 else ""
