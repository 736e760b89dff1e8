"""The process beside a worker that logs its trials: the library takes no time and no memory of the worker's own.

python -m batchlaw.workers.trackers.process DESCRIPTOR

The descriptor is that of a connection, over which one trial comes after the other, each with the [log] of its study.
Each is answered: with nothing, or with why it was not logged. The process ends when the other end is closed.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Protocol

from batchlaw.workers.trackers.logged_trial import LoggedTrial

_NICE = 10  # training comes first


class Tracker(Protocol):
    """A library, ready for the trials of one study."""

    def log(self, trial: LoggedTrial) -> None:
        """Log a trial whole; raises whatever the library raises."""
        ...


def tracker_of(study: str, log: Mapping[str, Any]) -> Tracker:
    """The library of a study, by its name and its [log]."""
    found: Tracker = import_module(f"batchlaw.workers.trackers.to_{log['to']}").tracker(study, log)
    return found


def main(connection: Connection) -> None:
    """Log trials until the other end is closed."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # a scheduler sends them to every process of a job
    os.nice(_NICE)
    tracker: Tracker | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            request = json.loads(connection.recv_bytes())
            trial, log = LoggedTrial(**request["trial"]), request["log"]
            try:
                tracker = tracker or tracker_of(trial.tags["study"], log)
                tracker.log(trial)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:1000]
                connection.send_bytes(reason.encode(errors="replace"))
            else:
                connection.send_bytes(b"")


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
