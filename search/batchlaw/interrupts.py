"""Requests to stop and time limits end a training run at once, but never in the middle of a write to the database.

The handler of a signal raises inside the training loop, so that the loop itself need not check anything. Database calls
within a trial are shielded: a signal that arrives during one is raised after it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from batchlaw.errors import Interrupted, Stop, TimeLimit

# Requests to stop. Slurm can send SIGUSR1 before the end of a job (`sbatch --signal`), and submitit uses SIGUSR2.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Interrupts:
    """Turns signals into exceptions of the training in progress."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._installed = self._armed = False
        self._pending: Stop | None = None

    def install(self) -> None:
        """Handle the signals of this process; call it in the main thread."""
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
        """Train in this context: it may raise `Interrupted` anywhere inside, and `TimeLimit` after `seconds`."""
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
        """Write in this context: nothing is raised inside. A stop that arrives is raised at the end.

        The stop is raised even if the body fails, with the body's error as its context: a training function that
        catches the error would otherwise go on.
        """
        was_armed, self._armed = self._armed, False
        try:
            yield
        finally:
            self._armed = was_armed  # first, so that a signal that arrives here is raised by its handler
            if was_armed and self._pending is not None:
                stop, self._pending, self._armed = self._pending, None, False
                raise stop
