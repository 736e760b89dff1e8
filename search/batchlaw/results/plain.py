"""Public results as plain values, for JSON."""

from math import isfinite
from typing import Any

import numpy as np

_PUBLIC = {"ci_low": "low", "ci_high": "high"}  # what the statistics call the ends of an interval


def plain(value: Any) -> Any:
    """Dicts, lists, numbers and text alone; what is not a finite number becomes None, since JSON has no NaN."""
    if isinstance(value, dict):
        return {_PUBLIC.get(key, key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    return None if isinstance(value, float) and not isfinite(value) else value
