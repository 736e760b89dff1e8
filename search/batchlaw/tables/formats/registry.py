"""The formats that are read, and how a file's is told."""

import bz2
import csv
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from io import BytesIO
from zipfile import BadZipFile, ZipFile

from batchlaw.errors import DataError
from batchlaw.tables.formats.binary import read_parquet, read_workbook
from batchlaw.tables.formats.delimited import read_delimited
from batchlaw.tables.formats.latex import is_latex, read_latex
from batchlaw.tables.formats.logged import is_logged, read_logged
from batchlaw.tables.formats.markdown import is_markdown, read_markdown
from batchlaw.tables.formats.part import Part
from batchlaw.tables.formats.records import is_json, read_records, read_yaml
from batchlaw.tables.formats.text import decoded

FORMATS: dict[str, Callable[[bytes], list[Part]]] = {
    "csv": read_delimited, "tsv": read_delimited, "json": read_records, "markdown": read_markdown,
    "excel": read_workbook, "parquet": read_parquet, "latex": read_latex, "yaml": read_yaml, "log": read_logged,
}  # fmt: skip
_LABELS = {
    "csv": "CSV", "tsv": "TSV", "json": "JSON", "markdown": "Markdown", "excel": "Excel", "parquet": "Parquet",
    "latex": "LaTeX", "yaml": "YAML", "log": "log",
}  # fmt: skip
ENDINGS = (
    ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".md", ".markdown", ".tex", ".yaml", ".yml", ".log", ".xlsx",
    ".xlsm", ".parquet", ".gz", ".zip", ".bz2", ".xz",
)  # fmt: skip
_PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ\x00": lzma.decompress}
_UNREADABLE = (
    ValueError, EOFError, OSError, KeyError, csv.Error, zlib.error, lzma.LZMAError, BadZipFile, RecursionError,
)  # fmt: skip
_LOOKED_AT = 1 << 20  # bytes


def parts_of(content: bytes, wanted: str | None, got: str) -> list[Part]:
    """The tables of a file.

    Args:
        content: of the file; packed by gzip, bzip2, xz or zip, or not.
        wanted: its format; None: told by its content.
        got: its path, for messages.

    Raises:
        DataError: it cannot be read as such; one line.
    """
    name = ""
    try:
        content = _unpacked(content)
        name = wanted or _format_of(content, got)
        found = FORMATS[name](content)
    except _UNREADABLE as error:
        label = _LABELS.get(name, "readable")
        raise DataError(f"not a {label} file: {' '.join(str(error).split())}", argument="data", got=got) from None
    if not found:
        raise DataError(f"holds no table ({_LABELS[name]})", argument="data", got=got)
    return found


def _unpacked(content: bytes) -> bytes:
    for mark, unpack in _PACKED.items():
        if content.startswith(mark):
            return unpack(content)
    if content.startswith(b"PK\x03\x04"):
        with ZipFile(BytesIO(content)) as archive:
            inside = [name for name in archive.namelist() if not name.endswith("/")]
            if "xl/workbook.xml" not in inside and len(inside) == 1:  # Syne Tune's results.csv.zip
                return _unpacked(archive.read(inside[0]))
    return content


def _format_of(content: bytes, name: str) -> str:
    """The format of a file, by its content; the name decides only between texts."""
    if content.startswith(b"PAR1"):
        return "parquet"
    if content.startswith(b"PK\x03\x04"):
        return "excel"
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise ValueError("an old Excel file (.xls); save it as .xlsx or CSV")
    text = decoded(content[:_LOOKED_AT])
    if re.match(r"\s*<(!doctype|html|table|div)\b", text, re.IGNORECASE):
        raise ValueError("a page of HTML; save its table as CSV or Excel")
    if name.lower().endswith((".csv", ".tsv", ".csv.gz")):
        return "csv"
    if name.lower().endswith((".yaml", ".yml")):
        return "yaml"
    if is_latex(text):
        return "latex"
    if is_logged(text):
        return "log"
    if is_json(text):
        return "json"
    return "markdown" if is_markdown(text) else "csv"
