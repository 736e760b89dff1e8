"""The number of CPU threads that a caller chose."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from batchlaw.errors import check_whole


def check_threads(threads: int | None) -> int | None:
    """A number of threads, or None.

    Raises:
        BatchlawError: it is no whole number of at least 1.
    """
    if threads is not None:
        check_whole(threads, "threads", at_least=1)
    return threads


@contextmanager
def threads_kept() -> Iterator[None]:
    """PyTorch has as many threads afterwards as before, if it was loaded."""
    torch = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(threads)
