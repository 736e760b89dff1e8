"""One table of a file."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class Part:
    """One table of a file, page or workbook.

    Attributes:
        table: its cells with named columns; the index is the line or number of a row.
        heading: what stands over it.
        larger: whether larger scores are better and where that is said; None where nothing beside the table tells.
    """

    table: pd.DataFrame
    heading: str = ""
    larger: tuple[bool, str] | None = None


def part_of(rows: Sequence[Sequence[str]], first: int, heading: str = "") -> Part:
    """A part from rows of text. Leading rows with one filled cell are a title; empty rows are passed over.

    Args:
        rows: of cells; the first with several filled ones is the header.
        first: the number of the first row.
        heading: what stands over the table.
    """
    width = max(map(len, rows), default=0)
    cells = pd.DataFrame([[*row, *[""] * (width - len(row))] for row in rows], dtype=object).astype(str)
    cells.index += first
    return headed(cells, heading)


def headed(cells: pd.DataFrame, heading: str = "") -> Part:
    """A part from cells of text whose header is a row, as `part_of`."""
    filled = (cells != "").to_numpy()
    rows, counts = filled.any(axis=1), filled.sum(axis=1)
    start = 0
    if cells.shape[1] > 2:
        while start < len(cells) - 1 and counts[start] < 2:
            heading = " ".join(filter(None, [heading, *cells.iloc[start][filled[start]]]))
            start += 1
    if len(cells) == 0:
        return Part(cells, heading)
    header, body = cells.iloc[start], cells.iloc[start + 1 :][rows[start + 1 :]]
    kept = [
        column for column in range(cells.shape[1]) if header.iloc[column].strip() or (body.iloc[:, column] != "").any()
    ]
    body = body.iloc[:, kept]
    body.columns = pd.Index([header.iloc[column].strip() for column in kept])
    return Part(body, heading)
