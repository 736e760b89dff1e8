"""Values as the database holds them, checked where they are read.

In a database that others may write to, any value may be anything. What cannot be read is told in one line that names
its study and trial. A trial that cannot be read counts as failed, and everything else is read.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

_LONGEST = 200  # characters of a line that come from the database
_MOST_LINES = 5  # about one study
_MOST = 2**53  # a number is exact up to here
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}  # Optuna's names
_told: Counter[tuple[str, str]] = Counter()  # by database and study, the lines of this process
_lines: set[tuple[str, str, str]] = set()


class Unreadable(ValueError):
    """A stored value that cannot be read; `str()` names it and says what it is."""


def tell(database: object, study: str | int, what: str) -> None:
    """Log a line about a study, once in a process, and the first few of many.

    Args:
        database: where the study lies; its text must hold no password.
        study: its name, or its id where that is not known.
        what: cannot be read.
    """
    place, line = (str(database), str(study)), " ".join(what.split())
    if not line.isprintable():  # names are those of the database, too
        line = line.encode("unicode_escape").decode("ascii")
    if (*place, line) in _lines:
        return
    _lines.add((*place, line))
    _told[place] += 1
    if _told[place] <= _MOST_LINES:
        logging.getLogger("batchlaw").warning("warning: study %s: %s", shown(study), line)
    elif _told[place] == _MOST_LINES + 1:
        logging.getLogger("batchlaw").warning("warning: study %s: … and more that cannot be read", shown(study))


def forget() -> None:
    """Tell everything once more."""
    _told.clear()
    _lines.clear()


def shown(value: object) -> str:
    """A value of the database in a line: short and printable."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def json_of(text: Any, name: str) -> Any:
    """The value of a text of JSON."""
    try:
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be written anywhere
    except (RecursionError, TypeError, ValueError):
        raise Unreadable(f"{name} as stored is no JSON: {shown(text)}") from None
    return value


def number_of(value: Any, kind: str, name: str) -> float:
    """A number in Optuna's form: a finite one, or the name of one that is not."""
    if (found := _NOT_FINITE.get(kind)) is not None:
        return found
    if type(value) not in (float, int) or not math.isfinite(value):
        raise Unreadable(f"{name} as stored is no number: {shown(value)}")
    return float(value)


def moment_of(value: Any, name: str) -> datetime | None:
    """A time as Optuna stores it, naive and UTC, as a naive local time."""
    if value is None:
        return None
    try:
        stored = datetime.fromisoformat(value) if isinstance(value, str) else value
        found: datetime = stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
    except (AttributeError, OverflowError, TypeError, ValueError):
        raise Unreadable(f"{name} as stored is no time: {shown(value)}") from None
    return found


def is_whole(value: object) -> bool:
    """Whether it may be a count, a number or an id."""
    return type(value) is int and 0 <= value < _MOST


def check_whole(value: object, name: str) -> None:
    """A count, a number or an id."""
    if not is_whole(value):
        raise Unreadable(f"{name} as stored is no whole number: {shown(value)}")


def check_real(value: object, name: str) -> None:
    """Seconds."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"{name} as stored is no number: {shown(value)}")


def check_text(value: object, name: str) -> None:
    """A line, or several."""
    if not isinstance(value, str):
        raise Unreadable(f"{name} as stored is no text: {shown(value)}")


def check_list(value: object, name: str) -> None:
    """Texts."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Unreadable(f"{name} as stored is no list of texts: {shown(value)}")


def check_mapping(value: object, name: str) -> None:
    """A table."""
    if not isinstance(value, dict):
        raise Unreadable(f"{name} as stored is no table: {shown(value)}")


def check_word(value: object, name: str, known: Sequence[str]) -> None:
    """One of some words."""
    if value not in known:
        raise Unreadable(f"{name} as stored is {shown(value)}; known are {', '.join(known)}")
