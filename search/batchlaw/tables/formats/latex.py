"""The tables of a page of LaTeX."""

import re

from batchlaw.tables.formats.part import Part, part_of
from batchlaw.tables.formats.text import decoded

_TABULAR = re.compile(
    r"\\begin\{(tabular[xy*]?|longtable|array)\}(?:\{[^{}]*\})?\s*(?:\[[^\]]*\])?\{(?:[^{}]|\{[^{}]*\})*\}(?P<body>.*?)"
    r"\\end\{\1\}",
    re.DOTALL,
)
_CAPTION = re.compile(r"\\caption(?:\[[^\]]*\])?\{(?P<text>(?:[^{}]|\{[^{}]*\})*)\}")
_RULES = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|c?cmidrule(?:\([^)]*\))?\{[^}]*\}|cline\{[^}]*\}|addlinespace)"
)
_COLUMNS = re.compile(r"\\multicolumn\{(?P<n>\d+)\}\{[^{}]*\}\{(?P<text>(?:[^{}]|\{[^{}]*\})*)\}")
_ROWS = re.compile(r"\\multirow\{[^{}]*\}(?:\[[^\]]*\])?\{[^{}]*\}\{(?P<text>(?:[^{}]|\{[^{}]*\})*)\}")
_MARKS = re.compile(r"\\(?:text|math)(?:bf|it|rm|tt|sc)\b|\\(?:bf|it|emph|underline|textsc|boldsymbol)\b")


def is_latex(text: str) -> bool:
    """Whether a text has a table of LaTeX."""
    return _TABULAR.search(text) is not None


def read_latex(content: bytes) -> list[Part]:
    """The tables of a page, each with its caption as heading."""
    text = re.sub(r"(?<!\\)%.*", "", decoded(content))
    found = []
    for table in _TABULAR.finditer(text):
        ends = text.find("\\end{table", table.end())
        captions = [*_CAPTION.finditer(text, text.rfind("\\begin{table", 0, table.start()), max(ends, table.end()))]
        rows = [_cells(row) for row in re.split(r"\\\\(?:\[[^\]]*\])?", _RULES.sub("", table["body"])) if row.strip()]
        heading = _plain(captions[-1]["text"]) if captions else ""
        found.append(part_of(rows, text.count("\n", 0, table.start("body")) + 1, heading))
    return found


def _cells(row: str) -> list[str]:
    spread = _COLUMNS.sub(lambda cell: cell["text"] + " & " * (int(cell["n"]) - 1), _ROWS.sub(r"\g<text>", row))
    return [_plain(cell) for cell in re.split(r"(?<!\\)&", spread)]


def _plain(cell: str) -> str:
    """Without emphasis and the marks of formulas."""
    text = _MARKS.sub("", cell).replace("\\pm", "±").replace("\\times", "×").replace("\\cdot", "·")
    return " ".join(re.sub(r"\\([%_&#$])", r"\1", re.sub(r"(?<!\\)[{}$]|\\[,;!]", "", text)).split())
