"""Text whose columns are parted by commas, semicolons, tabs or bars, as Excel, databases and tools write it."""

import re
from io import StringIO

import pandas as pd

from batchlaw.tables.formats.part import Part, headed
from batchlaw.tables.formats.text import decoded
from batchlaw.tables.spelling import with_points

_SEPARATORS = ",;\t|"
_LOOKED_AT = 50  # lines


def read_delimited(content: bytes) -> list[Part]:
    """The table of a file. The header is a row to pandas, so that a column that stands twice is seen.

    Raises:
        ValueError: it is no table.
    """
    text, first = decoded(content), 1
    if told := re.match(r"\s*\"?sep=(.)\"?\s*\r?\n", text, re.IGNORECASE):  # Excel's own line
        separator, text, first = told[1], text[told.end() :], 2
    else:
        separator = _separator(text)
    first += text[: len(text) - len(text.lstrip("\r\n"))].count("\n")  # pandas counts columns in the first line
    text = text.lstrip("\r\n")
    cells = pd.read_csv(
        StringIO(text), header=None, dtype=str, keep_default_na=False, skipinitialspace=True, skip_blank_lines=False,
        sep=separator,
    ).fillna("")  # what a short row lacks  # fmt: skip
    cells.index += first
    if separator != "," or '"' in text[: 1 << 20]:
        cells = with_points(cells)
    return [headed(cells)]


def _separator(text: str) -> str:
    """The sign that parts most lines into the same number of columns, more than one."""
    lines = [re.sub(r'"[^"]*"', "", line) for line in text[: 1 << 16].splitlines()[:_LOOKED_AT] if line.strip()]

    def fit(separator: str) -> tuple[float, int]:
        counts = [line.count(separator) for line in lines]
        common = max(set(counts) - {0}, key=lambda count: (counts.count(count), count), default=0)
        return (counts.count(common) / len(counts) if common else 0.0, common)

    return max(_SEPARATORS, key=lambda sign: (fit(sign), sign == ",")) if lines else ","
