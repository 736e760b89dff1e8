"""Parquet and Excel, which other libraries read."""

from io import BytesIO

import pandas as pd

from batchlaw.errors import DataError
from batchlaw.tables.formats.part import Part, part_of


def read_parquet(content: bytes) -> list[Part]:
    """The table of a Parquet file, as a DataFrame has it: NaN is a missing score.

    Raises:
        ValueError: it is none.
        DataError: pyarrow is not installed.
    """
    try:
        table = pd.read_parquet(BytesIO(content))
    except ImportError:
        raise DataError("a Parquet file needs pyarrow: pip install 'batchlaw[tables]'", argument="data") from None
    if any(table.index.names):
        table = table.reset_index()
    return [Part(table)]


def read_workbook(content: bytes) -> list[Part]:
    """The sheets of an Excel workbook (xlsx, xlsm), with the values of formulas as they were saved.

    Cells that are merged down all have the value.

    Raises:
        ValueError: it is none.
        DataError: openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError("an Excel file needs openpyxl: pip install 'batchlaw[tables]'", argument="data") from None
    try:
        book = load_workbook(BytesIO(content), data_only=True)
    except Exception as error:  # whatever is wrong inside of the archive
        raise ValueError(str(error)) from error
    found = []
    for sheet in book.worksheets:
        rows = [["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        for merged in sheet.merged_cells.ranges:  # down; a title over several columns stays in one cell
            for row in range(merged.min_row, merged.max_row):
                rows[row][merged.min_col - 1] = rows[merged.min_row - 1][merged.min_col - 1]
        if any(map(any, rows)):
            found.append(part_of(rows, 1, sheet.title))
    return found
