"""Public results as plain values, for JSON, and the names of their parts."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

_PUBLIC = {"ci_low": "low", "ci_high": "high"}  # what the statistics call the ends of an interval
_LARGE, _LONG = 1e5, 1e9


def plain(value: Any) -> Any:
    """Dicts, lists, numbers and text alone; what is not a finite number becomes None, since JSON has no NaN."""
    if isinstance(value, dict):
        return {_PUBLIC.get(key, key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # of NumPy, which reading commands do not load
        return plain(value.tolist())
    return None if isinstance(value, float) and not isfinite(value) else value


def name_of(levels: Mapping[str, Any]) -> str:
    """What tells a part of the runs from others, such as "optimizer adam, depth 2"; large numbers have four digits."""
    return ", ".join(f"{key} {shown(value)}" for key, value in levels.items())


def shown(value: Any) -> str:
    """A level for people: large numbers have four digits."""
    return f"{value:.4g}" if isinstance(value, int | float) and abs(value) >= _LARGE else str(value)


def number(value: float) -> str:
    """A learning rate or batch size for people: in four digits, but whole numbers in full."""
    return f"{value:.0f}" if value == int(value) and abs(value) < _LONG else f"{value:.4g}"
