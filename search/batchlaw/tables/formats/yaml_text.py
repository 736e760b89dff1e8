"""YAML from files that anybody may have written."""

from typing import Any

import yaml

_MOST = 1_000_000  # values, with what aliases repeat: a kilobyte of nested aliases may stand for billions


def load_yaml(text: str) -> Any:
    """What a text holds, built of plain values alone.

    Raises:
        ValueError: it is no YAML, or its aliases stand for too many values.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    left, n = [found], 0
    while left:
        value = left.pop()
        n += 1
        if n > _MOST:
            raise ValueError(f"its aliases stand for more than {_MOST:,} values")
        left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found
