"""One table of a file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from batchlaw.tables.formats.grouped import ungrouped
from batchlaw.tables.spelling import number

_LOOKED_AT = 50  # rows among which the header is


@dataclass(frozen=True, eq=False)
class Part:
    """One table of a file, page or workbook.

    Attributes:
        table: its cells with named columns; the index is the line or number of a row.
        heading: what stands over it.
        larger: whether larger scores are better and where that is said; None where nothing beside the table tells.
        notes: what was left out.
    """

    table: pd.DataFrame
    heading: str = ""
    larger: tuple[bool, str] | None = None
    notes: tuple[str, ...] = ()


def part_of(rows: Sequence[Sequence[str]], first: int, heading: str = "") -> Part:
    """A part from rows of text, as `headed`.

    Args:
        rows: of cells.
        first: the number of the first row.
        heading: what stands over the table.
    """
    width = max(map(len, rows), default=0)
    cells = pd.DataFrame([[*row, *[""] * (width - len(row))] for row in rows], dtype=object).astype(str)
    cells.index += first
    return headed(cells, heading)


def headed(cells: pd.DataFrame, heading: str = "") -> Part:
    """A part from cells of text, of which one row is the header.

    The header is the first row that has more than half as many cells filled as rows have in the middle. What stands
    before it is a title. Rows whose first cell begins with # are comments; the last of them may be the header. Empty
    rows, and those that repeat the header, are passed over.

    Args:
        cells: text; NaN where a row is shorter than others.
        heading: what stands over the table.
    """
    if len(cells) == 0:
        return Part(cells, heading)
    if (long := ungrouped(cells.fillna(""))) is not None:
        cells = long
    absent, cells = cells.isna(), cells.fillna("")
    filled = (cells != "").to_numpy()
    counts, comment = filled.sum(axis=1), np.array(cells.iloc[:, 0].str.startswith("#"), dtype=bool)
    if comment.mean() > 0.5:  # numbers of runs
        comment[:] = False
    told = counts[:_LOOKED_AT][(counts[:_LOOKED_AT] > 1) & ~comment[:_LOOKED_AT]]
    enough = (counts > (np.median(told) / 2 if len(told) else 0)) & ~comment
    start = int(enough[:_LOOKED_AT].argmax())
    names_of_index = False
    if start + 2 < len(cells) and _repeats_one_name(cells.iloc[start]):  # as pandas writes a pivot
        start += 1
        names_of_index = counts[start + 1] == 1
    if start and comment[start - 1] and counts[start - 1] == counts[start] and _is_data(cells.iloc[start]):
        start -= 1
    title = [text for row in range(start) if not comment[row] for text in cells.iloc[row][filled[row]]]
    header = [text.strip() for text in cells.iloc[start]]
    if comment[start]:
        header[0] = header[0].lstrip("# ")
    if names_of_index:
        header[0] = cells.iloc[start + 1, 0].strip()
        counts[start + 1] = 0
    if absent.iloc[start, -1] and len(cells) > start + 1 and not absent.iloc[start + 1 :, -1].any():
        header = ["", *header[:-1]]  # a column of numbers or names of the rows has no name, as R writes it
    body = cells.iloc[start + 1 :][(counts > 0)[start + 1 :] & ~comment[start + 1 :]]
    again = np.array(body.iloc[:, 0] == cells.iloc[start, 0], dtype=bool)
    if again.any():
        again[again] = (body[again] == cells.iloc[start]).all(axis=1)
        body = body[~again]
    kept = [column for column, name in enumerate(header) if name or (body.iloc[:, column] != "").any()]
    body = body.iloc[:, kept]
    body.columns = pd.Index([header[column] for column in kept])
    n = int(again.sum())
    notes = (f"{n} row{' repeats' if n == 1 else 's repeat'} the header and {'is' if n == 1 else 'are'} left out",)
    return Part(body, " ".join(filter(None, dict.fromkeys([heading, *title]))), notes=notes if n else ())


def _repeats_one_name(row: "pd.Series[str]") -> bool:
    """Whether the first cell is empty and all others are the same text."""
    return len(row) > 2 and not row.iloc[0] and len(set(row.iloc[1:])) == 1 and number(row.iloc[1]) is None


def _is_data(row: "pd.Series[str]") -> bool:
    """Whether most cells are numbers."""
    values = [number(text) for text in row if text.strip()]
    return 2 * sum(value is not None for value in values) > len(values)
