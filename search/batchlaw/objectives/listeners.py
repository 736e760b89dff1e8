"""What is heard in the output of a program: its metrics and its progress."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from statistics import fmean

from batchlaw.errors import ObjectiveError
from batchlaw.spec import StudySpec
from batchlaw.spec.program import Listener, Progress

_MOST_PROGRESS = 1.05  # a program that counts a few steps more than it was told is at its end


class Hearing:
    """The metrics and the progress that one trial has told so far.

    Metrics with a regex are looked for in every line. A line that is a JSON object tells the other metrics, and its
    `progress`, the share of the budget used.
    """

    def __init__(self, spec: StudySpec, of: float | None) -> None:
        """`of` is what the progress is counted up to."""
        self._direction = spec.direction
        self._regexes = {
            name: re.compile(listener.regex) for name, listener in spec.metrics.items() if listener.regex is not None
        }
        self._listeners = spec.metrics
        self._progress = None if spec.progress is None else re.compile(spec.progress.regex)
        self._of = of
        self._values: dict[str, list[float]] = {}
        self._others: dict[str, float] = {}  # that JSON lines told
        self.progress: float | None = None  # the last one told

    @property
    def metrics(self) -> dict[str, float]:
        """The value of each metric that was heard."""
        heard = {
            name: reduced(values, self._listeners[name].reduce, self._direction)
            for name, values in self._values.items()
        }
        return self._others | heard

    def hear(self, line: str) -> set[str]:
        """Hear a line, and return the names of the metrics in it.

        Raises:
            ObjectiveError: what a regex matches is no number, or the progress is none.
        """
        if self._progress is not None and (match := self._progress.search(line)):
            self._hear_progress(match)
        found = set()
        for name, regex in self._regexes.items():
            if match := regex.search(line):
                self._values.setdefault(name, []).append(_value(match, f"metrics.{name}"))
                found.add(name)
        if line.lstrip().startswith("{"):
            told = _json_numbers(line)
            share = told.pop("progress", None)
            others = {name: value for name, value in told.items() if name not in self._regexes}
            self._others |= others
            found |= others.keys()
            if share is not None and self._progress is None:
                self.progress = share
        return found

    def _hear_progress(self, match: re.Match[str]) -> None:
        share = _value(match, "progress") / (self._of or 1.0)
        if share > _MOST_PROGRESS:
            of = "" if self._of is None else f" of {self._of:g}"
            raise ObjectiveError(f"progress: the program is at {match.group(1)}{of}; must be at most that")
        self.progress = min(share, 1.0)


def counted_up_to(progress: Progress | None, filled: str | None) -> float | None:
    """What the progress is counted up to, from its filled template.

    Raises:
        ObjectiveError: it is no number above 0.
    """
    if progress is None or filled is None:
        return None
    try:
        number = float(filled)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise ObjectiveError(f"progress.of: must be a number above 0; got {filled!r}")
    return number


def reduced(values: Sequence[float], reduce: str, direction: str) -> float:
    """One value of several: last, best, mean, or the mean of the last n as `last-n-mean`."""
    if reduce == "last":
        return values[-1]
    if reduce == "best":
        return max(values) if direction == "maximize" else min(values)
    if reduce == "mean":
        return fmean(values)
    return fmean(values[-int(reduce.split("-")[1]) :])


def missing_line(name: str, listener: Listener | None) -> str:
    """What was listened for and not heard."""
    if listener is None or listener.regex is None:
        return f'printed no line with {name!r}, such as {{"{name}": 0.5}}'
    return f"metrics.{name}: no line of the output has {listener.regex!r}"


def _value(match: re.Match[str], field: str) -> float:
    """The number of a match: of its group, or the ratio of two."""
    numbers = [_number(text, field) for text in match.groups()]
    if len(numbers) == 1:
        return numbers[0]
    above, below = numbers
    if below == 0:
        raise ObjectiveError(f"{field}: the second group of the regex is 0 in {match.group(0)!r}")
    return above / below


def _number(text: str | None, field: str) -> float:
    try:
        # A group such as [0-9.]+ takes the full stop of a sentence along.
        return float((text or "").rstrip(".,;:").replace(",", ""))
    except ValueError:
        raise ObjectiveError(f"{field}: the regex found {text!r}, which is no number") from None


def _json_numbers(line: str) -> dict[str, float]:
    """The numbers in a line that is a JSON object; none for any other line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return numbers_in(found.items()) if isinstance(found, dict) else {}


def numbers_in(entries: Iterable[tuple[str, object]]) -> dict[str, float]:
    """Those that are numbers. A whole number that no float holds is infinite, as the same with a point is."""
    return {name: _float(value) for name, value in entries if _is_number(value)}  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
