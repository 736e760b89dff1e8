"""From the keywords of `Study.create` to the tables of a study file."""

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any

from batchlaw.errors import SpecError
from batchlaw.spec.knobs import KNOBS

# Shortcuts, each with the table that it is a key of. Those of "arm" go to [claim] where there is one, else to [search].
_SHORTCUTS = {
    "metric": "arm", "direction": "arm", "replicates": "arm", "seed": "arm", "budget_seconds": "arm",
    "trials": "search", "sampler": "search", "pruner": "search", "start": "search",
    "epochs": "budget", "steps": "budget", "examples": "budget", "dataset": "task", "model": "task",
}  # fmt: skip
_TABLES = {"task", "budget", "space", "parameters", "schedule", "search", "claim", "log"}
_SCALES = {knob.name: knob.scale for knob in KNOBS}
ASK = "ask"  # the objective of a study whose trials are asked for and told; see `Study.ask`


def tables_of(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a study file, from each table as a keyword and shortcuts for the usual keys.

    Args:
        keywords: None is a keyword that was not given.

    Raises:
        SpecError: a table is no mapping, a key is given twice or belongs to the other arm, or a range is not two
            numbers.
    """
    given = {name: _plain(value) for name, value in keywords.items() if value is not None}
    for name in _TABLES & given.keys():
        if not isinstance(given[name], dict):
            raise SpecError("must be a mapping", argument=name, got=keywords[name])
    shortcuts = {name: given.pop(name) for name in _SHORTCUTS if name in given}
    arm = "claim" if "claim" in given else "search"
    given.setdefault(arm, {})
    for name, value in shortcuts.items():
        table = arm if _SHORTCUTS[name] == "arm" else _SHORTCUTS[name]
        if table == "search" and arm == "claim":
            raise SpecError(f"{name}: got {value!r}; belongs to a search, and this study has a claim")
        if name in given.setdefault(table, {}):
            raise SpecError(f"{name}: got {value!r}; {table} has it as well")
        given[table][name] = value
    for table in ("space", "parameters"):
        if isinstance(dimensions := keywords.get(table), Mapping):
            given[table] = {str(name): _dimension(table, name, value) for name, value in dimensions.items()}
    if not {"task", "objective", "command"} & given.keys():
        given["objective"] = ASK
    return {"question": _question(given, arm)} | given


def _dimension(table: str, name: str, value: Any) -> Any:
    """A tuple of two numbers as a range on the scale of its hyperparameter; anything else as it is.

    A parameter of the user's own has no scale, so that its tuple may have a third entry, "log".
    """
    plain = _plain(value)
    if not isinstance(value, tuple):
        return plain
    if table == "parameters" and value[2:] == ("log",):
        return {"low": plain[0], "high": plain[1], "log": True}
    if any(isinstance(end, str) for end in value):
        return plain
    if len(value) != 2:
        scaled = ' or (low, high, "log")' * (table == "parameters")
        raise SpecError(f"{table}.{name}: got {value!r}; a tuple is a range (low, high){scaled}, and a list a choice")
    low, high = plain
    scale = _SCALES.get(name) if table == "space" else None
    if scale == "log":
        return {"low": low, "high": high, "log": low > 0}
    if scale == "log2":
        return {"low": low, "high": high, "log2": all(end >= 1 and log2(end).is_integer() for end in plain)}
    return {"low": low, "high": high}


def _question(given: Mapping[str, Any], arm: str) -> str:
    """The question of a study that states none."""
    if arm == "claim":
        names = given["claim"].get("hypotheses", [])
        return f"What do designed runs say of {', '.join(names) if isinstance(names, list) else names}?"
    dimensions = given.get("space", {}) | given.get("parameters", {})
    varied = [name for name, value in dimensions.items() if isinstance(value, list | dict)]
    return f"Which {', '.join(varied).replace('_', ' ') or 'configuration'} is best?"


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, tuples and ranges as the numbers and lists of a study file."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):  # of NumPy
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
