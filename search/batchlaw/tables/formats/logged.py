"""Lines of a log without a header, each of which names its numbers: `lr=0.1 bs=32 acc=0.93`."""

import re

from batchlaw.tables.formats.part import Part
from batchlaw.tables.formats.records import table_of
from batchlaw.tables.formats.text import decoded

_PAIR = re.compile(r"(?<![\w./@-])(?P<key>[a-zA-Z_][\w./@-]*)\s*[=:]\s*(?P<value>[^\s,;|=]+)")
_LOOKED_AT, _MOST, _FEWEST = 50, 0.8, 2  # lines; share of these with pairs; and pairs of a line


def is_logged(text: str) -> bool:
    """Whether nearly every line, the first one too, names several values."""
    lines = [line for line in text.splitlines() if line.strip()][:_LOOKED_AT]
    told = [len(_PAIR.findall(line)) >= _FEWEST for line in lines]
    return len(lines) > 1 and told[0] and sum(told) >= _MOST * len(told)


def read_logged(content: bytes) -> list[Part]:
    """A row for each line with pairs."""
    found = [
        {pair["key"]: pair["value"].strip("'\"()[]{}") for pair in _PAIR.finditer(line)}
        for line in decoded(content).splitlines()
    ]
    return [table_of([pairs for pairs in found if len(pairs) >= _FEWEST])]
