"""Requests to stop and time limits end a training run at once, but never in the middle of a write to the database.

The handler of a signal raises inside the training loop, so that the loop itself need not check anything. Database calls
within a trial are shielded: a signal that arrives during one is raised after it.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from batchlaw.errors import Interrupted, ObjectiveError, Stop, TimeLimit

# Requests to stop. Slurm can send SIGUSR1 before the end of a job (`sbatch --signal`), and submitit uses SIGUSR2.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
StopRequest = Literal["now", "finish"]  # end the training in progress, or start no other


class Interrupts:
    """Turns signals into exceptions of the training in progress."""

    def __init__(self) -> None:
        self.stopped_by: int | None = None  # the signal that asked to stop
        self.asked: StopRequest | None = None  # by `stop`
        self._installed = self._armed = False
        self._pending: Stop | None = None
        self._rings_at: float | None = None  # time.monotonic() of the alarm that was set here
        self._deadline: float | None = None  # time.monotonic(), where no alarm can be set

    @property
    def stop_requested(self) -> bool:
        """Whether a signal or `stop` has asked to stop."""
        return self.stopped_by is not None or self.asked is not None

    def install(self) -> None:
        """Handle the signals of this process; call it in the main thread."""
        for number in STOPPING:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._ring)
        self._installed = True

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take over the signals of somebody else's process for a while.

        A request to stop is passed on at the end to whoever handled the signal before. In a thread other than the main
        one no signal arrives, and the time limit is looked at between reports.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGALRM)}
        self.install()
        try:
            yield
        finally:
            self._installed = False
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self.stopped_by is not None:
            signal.raise_signal(self.stopped_by)

    def stop(self, request: StopRequest) -> None:
        """Ask to stop, from another thread. Unlike a signal this concerns batchlaw alone: it is not passed on."""
        self.asked = request
        if request == "now" and self._installed:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)  # the handler raises in that thread
        elif request == "now":
            self._pending = Interrupted()

    def _stop(self, number: int, _: object) -> None:
        self.stopped_by = number
        self._arrive(Interrupted())

    def _ring(self, *_: object) -> None:
        """An alarm: of `stop`, of the time limit, or else one that the training function set."""
        if self.asked == "now":
            self._arrive(Interrupted())
        elif self._rings_at is not None and time.monotonic() >= self._rings_at - 0.01:
            self._arrive(TimeLimit())
        elif self._armed:
            raise ObjectiveError("the training function set an alarm, and did not handle it (SIGALRM)")

    def _arrive(self, stop: Stop) -> None:
        if self._armed:
            self._armed = False
            raise stop
        self._pending = stop

    @contextmanager
    def armed(self, seconds: float | None) -> Iterator[None]:
        """Train in this context: it may raise `Interrupted` anywhere inside, and `TimeLimit` after `seconds`."""
        self._pending = self._deadline = None
        if self.stop_requested:
            raise Interrupted
        self._rings_at = None
        if seconds is not None and self._installed:
            self._rings_at = time.monotonic() + seconds
            signal.setitimer(signal.ITIMER_REAL, seconds)
        elif seconds is not None:
            self._deadline = time.monotonic() + seconds
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
        if was_armed and self._deadline is not None and time.monotonic() >= self._deadline:
            self._armed = False
            raise TimeLimit
