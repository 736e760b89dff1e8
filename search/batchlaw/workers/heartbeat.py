"""Threads beside a worker's training: they show that it is alive, and end a trial that does not end by itself."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Thread, current_thread

from batchlaw.errors import WorkFailed
from batchlaw.interrupts import STOPPING, Interrupts, StopRequest
from batchlaw.objectives.threads import Threads
from batchlaw.storage import BEAT_SECONDS, Lease, Registration, StoredStudy, WorkerState

_STOP_SECONDS = 8.0  # from a request to stop until the process is ended by force; Slurm may give little time
_GRACE_SECONDS = 10.0  # past the time limit, until a trial that does not react to it is ended by force
_TICK_SECONDS = 0.5


@dataclass(frozen=True)
class Running:
    """The trial in progress, or several that train together, and how to record that they were ended by force."""

    leases: Sequence[Lease]
    number: int  # of the first trial
    hard_limit: float | None  # time.monotonic()
    hand_back: Callable[[], None]
    record_timeout: Callable[[], None]

    @classmethod
    def elsewhere(cls, leases: Sequence[Lease], number: int) -> "Running":
        """Trials that the user's own loop trains: their leases are renewed, and nothing ends them by force."""
        return cls(leases=leases, number=number, hard_limit=None, hand_back=_nothing, record_timeout=_nothing)


class Heartbeat:
    """Two threads of a worker: one renews its leases and its registration, the other enforces time limits and stops.

    There are two because the first one waits while the database is out of reach.
    """

    def __init__(
        self,
        stored: StoredStudy,
        registration: Registration,
        interrupts: Interrupts,
        cpu_threads: Threads,
        *,
        embedded: bool = False,
    ) -> None:
        """Prepare the threads; an `embedded` worker is in somebody else's process, which is never ended by force.

        Requests to stop that arrive through the database are passed on to `interrupts`.
        """
        self._stored, self._registration, self._interrupts = stored, registration, interrupts
        self._cpu_threads = cpu_threads
        self._stop_by: float | None = None  # time.monotonic() at which the process is ended by force
        self._running: Running | None = None
        self._lock = Lock()
        self._ended = Event()
        self.trials_done = 0
        self._embedded = embedded
        work = (self._live,) if embedded else (self._live, self._watch)
        self._threads = [Thread(target=target, daemon=True) for target in work]
        self._signals, self._wake = _pipe()

    def __enter__(self) -> "Heartbeat":
        self._woken_before = -1 if self._embedded else _wake_by_signals(self._wake)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        os.write(self._wake, b"\0")  # so that the second thread does not wait for its tick
        for thread in self._threads:
            if thread is not current_thread():  # whose garbage collection may end a loop that asks
                thread.join()
        if not self._embedded:
            _wake_by_signals(self._woken_before)
        os.close(self._signals)
        os.close(self._wake)
        with suppress(WorkFailed):
            self._beat("ended", None)

    def reopen(self) -> None:
        """Be told of signals again after a training function has closed the descriptors of this process."""
        self._signals, self._wake = _pipe()
        if not self._embedded:
            _wake_by_signals(self._wake)

    def _beat(self, state: WorkerState, number: int | None) -> StopRequest | None:
        return self._registration.beat(state, number, self.trials_done, self._cpu_threads.now)

    def train(self, running: Running) -> None:
        """Renew the leases of these trials from now on, as long as there are any."""
        self._running = running

    @contextmanager
    def during(self, running: Running) -> Iterator[None]:
        """Run the trial in this context."""
        with self._lock:
            self._running = running
        try:
            yield
        finally:
            with self._lock:  # not while its forced end is being recorded
                self._running = None

    def _live(self) -> None:
        every = self._stored.slots.lease_seconds / 4
        renewed = beaten = time.monotonic()
        while not self._ended.wait(min(every, BEAT_SECONDS, 1.0)):
            now, running = time.monotonic(), self._running
            # If the database is out of reach for longer than the lease, the result will be refused.
            with suppress(WorkFailed):
                if running is not None and now - renewed >= every:
                    for lease in tuple(running.leases):
                        self._stored.slots.renew(lease, seconds=every)
                    renewed = now
                if now - beaten >= BEAT_SECONDS:
                    training = running is not None and len(running.leases) > 0
                    number = running.number if running is not None and training else None
                    request = self._beat("training" if training else "idle", number)
                    beaten = now
                    if request is not None and request != self._interrupts.asked:
                        self._interrupts.stop(request)
                        self._stop_by = now + _STOP_SECONDS if request == "now" else None

    def _watch(self) -> None:
        """End by force a trial that no signal ends, such as one that hangs in C code."""
        while not self._ended.is_set():
            try:
                arrived = select.select([self._signals], [], [], _TICK_SECONDS)[0]
                told = os.read(self._signals, 64) if arrived else b""
            except (OSError, ValueError):  # a training function has closed it
                self._ended.wait(_TICK_SECONDS)
                told = b""
            if any(number in STOPPING for number in told):
                self._stop_by = self._stop_by or time.monotonic() + _STOP_SECONDS
            running, now = self._running, time.monotonic()
            if self._stop_by is not None and now >= self._stop_by:
                self._force(running, running.hand_back if running else None, partial(os._exit, 0))
            elif running is not None and running.hard_limit is not None and now >= running.hard_limit:
                self._force(running, running.record_timeout, _restart)

    def _force(self, running: Running | None, record: Callable[[], None] | None, leave: Callable[[], None]) -> None:
        with self._lock:
            if self._running is not running:
                return  # it has just ended, and another may have started
            if record is not None:
                waiting = Thread(target=record, daemon=True)
                waiting.start()
                waiting.join(_STOP_SECONDS / 4)  # if the database is out of reach, the trial is found lost later
            leave()


def _pipe() -> tuple[int, int]:
    """Where signals are read and written; writing never waits."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    return read, write


def _nothing() -> None:
    """What is done where trials are never ended by force."""


def hard_limit(trial_seconds: float | None) -> float | None:
    """The time.monotonic() at which a trial that starts now is ended by force."""
    return None if trial_seconds is None else time.monotonic() + trial_seconds + _GRACE_SECONDS


def _wake_by_signals(descriptor: int) -> int:
    """Have signals written to a descriptor as they arrive, even if the main thread hangs; the descriptor before."""
    try:
        return signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    except ValueError:  # not the main thread
        return -1


def _restart() -> None:
    """Replace this process, whose main thread hangs, by a new one of the same command."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (its own command line)
