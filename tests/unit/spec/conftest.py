"""A valid study, and changes to it."""

import copy
import tomllib
from pathlib import Path

STUDIES = Path(__file__).parents[3] / "studies"
GOOD = tomllib.loads((STUDIES / "digits-joint.toml").read_text())


def changed(path: str, value: object) -> dict:
    """The valid study with one key set, or removed if the value is None."""
    table = copy.deepcopy(GOOD)
    *parents, key = path.split(".")
    inner = table
    for parent in parents:
        inner = inner.setdefault(parent, {})
    if value is None:
        del inner[key]
    else:
        inner[key] = value
    return table
