"""Waiting for events. A test waits for a file, a row or a line, and a deadline matters only where it fails."""

import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE = 600.0  # seconds; a busy machine takes many times what a quiet one takes

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], seconds: float = DEADLINE) -> Found:
    """The value of `condition()`, as soon as it is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it never came to this"
        time.sleep(0.02)
    return found
