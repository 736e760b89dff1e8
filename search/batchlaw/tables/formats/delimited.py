"""Text whose columns are parted by commas, semicolons, tabs, bars or blanks, as Excel, databases and tools write it."""

import csv
import re
from io import StringIO

import numpy as np
import pandas as pd

from batchlaw.tables.formats.part import Part, headed
from batchlaw.tables.formats.text import decoded
from batchlaw.tables.spelling import with_points

_SEPARATORS = ",;\t|"
_BLANKS = r"\s+"
_LOOKED_AT, _LOOKED_AT_TEXT = 50, 1 << 16  # lines, and characters
_MOST = 0.8  # of the lines have as many blanks, to part columns by them


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
    first += text[: len(text) - len(text.lstrip("\r\n"))].count("\n")
    text = text.lstrip("\r\n")
    rows = _first_rows(text, separator)
    width = max(map(len, rows), default=0)
    try:
        cells = pd.read_csv(
            StringIO(text), header=None, names=range(width), dtype=str, keep_default_na=False, skipinitialspace=True,
            skip_blank_lines=False, sep=separator,
        )  # fmt: skip
    except pd.errors.ParserError as error:
        raise ValueError(str(error).removeprefix("Error tokenizing data. C error: ")) from None
    if separator != "," or '"' in text[: 1 << 20]:
        cells = with_points(cells)
    for place, row in enumerate(rows[: len(cells)]):
        for column in range(len(row), width):  # one by one: pandas cannot assign to a row of one column
            cells.iat[place, column] = np.nan
    cells.index = pd.RangeIndex(first, first + len(cells))
    return [headed(cells)]


def _separator(text: str) -> str:
    """The sign that parts most lines into the same number of columns, more than one; blanks where no sign does."""
    lines = [re.sub(r'"[^"]*"', "", line) for line in text[:_LOOKED_AT_TEXT].splitlines()[:_LOOKED_AT] if line.strip()]

    def fit(counts: list[int]) -> tuple[float, int]:
        common = max(set(counts) - {0}, key=lambda count: (counts.count(count), count), default=0)
        return (counts.count(common) / len(counts) if common else 0.0, common)

    fits = {sign: fit([line.count(sign) for line in lines]) for sign in _SEPARATORS}
    best = max(_SEPARATORS, key=lambda sign: (fits[sign], sign == ";"))  # else a decimal comma
    if fits[best][0] < _MOST / 2:
        share, count = fit([len(line.split()) - 1 for line in lines])
        if share >= _MOST and count > 1:
            return _BLANKS
    return best


def _first_rows(text: str, separator: str) -> list[list[str]]:
    """The first rows as Python parts them: pandas wants to know how many columns there are."""
    lines = text[:_LOOKED_AT_TEXT].splitlines()[:_LOOKED_AT]
    if separator == _BLANKS:
        return [line.split() for line in lines]
    return list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
