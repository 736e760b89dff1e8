"""The spec of a study in words."""

from typing import Any

from batchlaw.figures.style import words
from batchlaw.spec import StudySpec

_TABLES = (
    "task", "objective", "command", "train_size", "tokens_per_example", "budget", "space", "parameters", "schedule",
    "search", "claim",
)  # fmt: skip
_WHOLE = ("budget", "search", "claim")  # tables that are shown with their defaults


def facts_of(spec: StudySpec) -> dict[str, str]:
    """The settings of a study by name; defaults are left out, except in the tables `_WHOLE`."""
    stated = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    full = spec.model_dump(mode="json", exclude_none=True)
    facts: dict[str, str] = {}
    for table in _TABLES:
        found = (full if table in _WHOLE else stated).get(table)
        if isinstance(found, dict):
            facts |= {words(key): _in_words(value) for key, value in found.items() if value is not False}
        elif found is not None:
            facts[words(table)] = _in_words(found)
    return facts


def _in_words(value: Any) -> str:
    """`2 to 512, powers of two`; `sgd, adam`; `widths 128`."""
    if isinstance(value, dict) and {"low", "high"} <= value.keys():
        scale = ", powers of two" * bool(value.get("log2")) or ", on a log scale" * bool(value.get("log"))
        return f"{_in_words(value['low'])} to {_in_words(value['high'])}{scale}"
    if isinstance(value, dict):
        return "; ".join(f"{words(key)} {_in_words(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    if value is True:
        return "yes"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
