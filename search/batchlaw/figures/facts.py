"""A study's spec in words."""

from typing import Any

from batchlaw.figures.style import words
from batchlaw.spec import StudySpec

_TABLES = ("task", "objective", "command", "train_size", "budget", "space", "schedule", "search", "claim")
_WHOLE = ("budget", "search", "claim")  # tables whose defaults are worth telling


def facts_of(spec: StudySpec) -> dict[str, str]:
    """What was run: each setting that is not at its default, and all of how it was searched."""
    stated = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    full = spec.model_dump(mode="json", exclude_none=True)
    facts: dict[str, str] = {}
    for table in _TABLES:
        found = (full if table in _WHOLE else stated).get(table)
        if isinstance(found, dict):
            facts |= {words(key): _said(value) for key, value in found.items() if value is not False}
        elif found is not None:
            facts[words(table)] = _said(found)
    return facts


def _said(value: Any) -> str:
    """`2 to 512, powers of two`; `sgd, adam`; `widths 128`."""
    if isinstance(value, dict) and {"low", "high"} <= value.keys():
        scale = ", powers of two" * bool(value.get("log2")) or ", on a log scale" * bool(value.get("log"))
        return f"{_said(value['low'])} to {_said(value['high'])}{scale}"
    if isinstance(value, dict):
        return "; ".join(f"{words(key)} {_said(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if value is True:
        return "yes"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
