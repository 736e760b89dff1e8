"""Signals that end a trial at once, but never in the middle of a write.

A handler raises inside the training loop, which therefore pays nothing for being interruptible; database calls within
a trial are shielded, and what arrived meanwhile is raised after them.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from batchlaw.errors import Interrupted, Stop, TimeLimit

# Requests to stop; SIGUSR1 is a usual warning of Slurm's before the end of a job (sbatch --signal), SIGUSR2 submitit's.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Interrupts:
    """Turns requests to stop and the trial's time limit into exceptions of the training in progress."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._installed = self._armed = False
        self._pending: Stop | None = None

    def install(self) -> None:
        """Take over the signals of this process; in its main thread."""
        for number in STOPPING:
            signal.signal(number, lambda *_: self._arrive(Interrupted()))
        signal.signal(signal.SIGALRM, lambda *_: self._arrive(TimeLimit()))
        self._installed = True

    def _arrive(self, stop: Stop) -> None:
        if isinstance(stop, Interrupted):
            self.stop_requested = True
        if self._armed:
            self._armed = False
            raise stop
        self._pending = stop

    @contextmanager
    def armed(self, seconds: float | None) -> Iterator[None]:
        """A trial trains in here: `Interrupted` or, after `seconds`, `TimeLimit` may be raised anywhere inside."""
        if self.stop_requested:
            raise Interrupted
        self._pending = None
        if seconds is not None and self._installed:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
            if self._installed:
                signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Nothing is raised in here; what arrives is raised at its end."""
        was_armed, self._armed = self._armed, False
        yield
        if was_armed and self._pending is not None:
            raise self._pending
        self._armed = was_armed
