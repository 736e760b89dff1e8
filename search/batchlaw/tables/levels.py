"""Headers that are levels of a rate or a batch size, such as `64`, `bs=64` or `lr 1e-3`."""

import re

from batchlaw.tables import names
from batchlaw.tables.spelling import number

_LEVEL = re.compile(r"(?P<name>[^\d=:]*?)\s*[=: ]?\s*(?P<value>[\d.(].*)")


def level_of(header: str) -> tuple[str, float] | None:
    """The name, or nothing, and the number of a level; None where a header is none."""
    value = number(header)
    if value is not None:
        return ("", value) if 0 < value < float("inf") else None
    found = _LEVEL.fullmatch(header.strip())
    value = number(found["value"].strip()) if found else None
    if found is None or value is None or not 0 < value < float("inf"):
        return None
    named = names.rate_rank(found["name"]) or names.batch_rank(found["name"])
    return (found["name"], value) if named else None
