"""The tables of a Markdown page."""

import re

import numpy as np

from batchlaw.tables import names
from batchlaw.tables.formats.part import Part, part_of
from batchlaw.tables.formats.text import decoded
from batchlaw.tables.spelling import number

_RULE = re.compile(r"\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-{1,}:?\s*)*\|?\s*")
_CELLS = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"(`+)(.+?)\1")
_MARKED = re.compile(r"\s*(\*\*|__)(?P<inside>.+?)\1(?P<rest>.*)")
_NO_METRICS = frozenset({"error", "errors", "score", "cost", "map", "return", "returns", "entropy"})  # plain English
_FEWEST_MARKED = 2  # rows in which a cell is marked, to tell that the best is


def is_markdown(text: str) -> bool:
    """Whether a text has a table of Markdown: a line of bars and dashes under a line with bars."""
    lines = text[: 1 << 20].splitlines()
    return any(_is_rule(lines, number) for number in range(1, len(lines)))


def _is_rule(lines: list[str], place: int) -> bool:
    line = lines[place]
    return "|" in line and "-" in line and "|" in lines[place - 1] and _RULE.fullmatch(line) is not None


def read_markdown(content: bytes) -> list[Part]:
    """The tables of a page, each with the heading over it. What larger scores mean is told by the cells in bold, if
    they are the best of their rows, else by the words of the page before the table.
    """
    lines = decoded(content).splitlines()
    found, heading, before, fenced, place = [], "", [""], False, 0
    while place < len(lines):
        line = lines[place]
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced and line.startswith("#"):
            heading = line.strip("# ")
            before.append(heading)
        elif not fenced and place + 1 < len(lines) and _is_rule(lines, place + 1):
            end = place + 2
            while end < len(lines) and "|" in lines[end]:
                end += 1
            rows = [_cells(row) for row in (line, *lines[place + 2 : end])]
            part = part_of([[_plain(cell) for cell in row] for row in rows], place + 1, heading)
            # The number of a row is its line: the line of dashes is none.
            part.table.index = part.table.index + 1
            found.append(
                Part(part.table, heading, _of_bold(rows[1:]) or _of_bold(_turned(rows[1:])) or _of_words(before))
            )
            place = end
            continue
        elif not fenced:
            before.append(line)
        place += 1
    return found


def _cells(line: str) -> list[str]:
    kept = _CODE.sub(lambda code: code[0].replace("|", "\\|"), line.strip())
    cells = [cell.replace("\\|", "|").strip() for cell in _CELLS.split(kept)]
    return cells[1 if kept.startswith("|") else 0 : -1 if kept.endswith("|") and not kept.endswith("\\|") else None]


def _plain(cell: str) -> str:
    """Without emphasis, code, links and tags."""
    text = re.sub(r"<[^>]+>", " ", cell)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = _CODE.sub(r"\2", text)
    text = re.sub(r"(\*\*|__|~~)(.+?)\1", r"\2", text)
    return re.sub(r"(?<!\w)([*_])(.+?)\1(?!\w)", r"\2", text).strip()


def _turned(rows: list[list[str]]) -> list[list[str]]:
    """The columns behind the first, each after an empty cell as rows are after the name of theirs."""
    return [["", *column] for column in list(zip(*rows, strict=False))[1:]]


def _of_bold(rows: list[list[str]]) -> tuple[bool, str] | None:
    """Whether the cells in bold are the largest or the smallest numbers of their rows."""
    largest, smallest, n = True, True, 0
    for row in rows:
        values = [number(_plain(cell)) for cell in row[1:]]
        finite = [None if value is None or not np.isfinite(value) else value for value in values]
        scores = [value for value, cell in zip(finite, row[1:], strict=True) if value is not None and "," not in cell]
        marked = [
            value for value, cell in zip(finite, row[1:], strict=True) if value is not None and _MARKED.match(cell)
        ]
        if len(marked) != 1 or len(scores) < 2:
            continue
        n += 1
        largest &= marked[0] >= max(scores)
        smallest &= marked[0] <= min(scores)
    if n < _FEWEST_MARKED or largest == smallest:
        return None
    return largest, "the cells in bold"


def _of_words(before: list[str]) -> tuple[bool, str] | None:
    """By the last metric that the page names before the table."""
    for line in reversed(before):
        for word in reversed(re.findall(r"[\w%]+", line)):
            metric = None if word.lower() in _NO_METRICS else names.metric_of(word)
            if metric is not None:
                return metric.better == "larger", f"the word {word!r} before the table"
    return None
