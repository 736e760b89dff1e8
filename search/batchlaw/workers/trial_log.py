"""Finished trials go to the library that a study names in [log], beside the work on further trials."""

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread

from batchlaw import __version__
from batchlaw.errors import WorkFailed
from batchlaw.objectives.processes import keep
from batchlaw.recipe.result import Outcome
from batchlaw.results.frame import facts_of
from batchlaw.results.records import TrialRecord, record_at
from batchlaw.spec import StudySpec
from batchlaw.spec.log import Log
from batchlaw.storage import StoredStudy, folder_name, note_not_logged, with_retries
from batchlaw.workers.slot_trial import reason_of
from batchlaw.workers.trackers import check_installed
from batchlaw.workers.trackers.logged_trial import LoggedTrial

PROCESS = "batchlaw.workers.trackers.process"
_PATIENCE_SECONDS = 60.0  # at the end, for the next trial to be logged: assumption, of a server that is slow
_HURRIED_SECONDS = 5.0  # the same of a worker that was asked to leave
_LOOK_SECONDS = 0.02
_SHARES = 1000  # of a budget whose steps are not known


class TrialLog:
    """Logs the trials of one worker in a process of its own. Whatever goes wrong there is a warning, and no more."""

    def __init__(self, stored: StoredStudy, log: Log, hurried: Callable[[], bool]) -> None:
        self._stored, self._log, self._hurried = stored, log, hurried
        self._folder = folder_name(stored)
        self._waiting: SimpleQueue[tuple[int, LoggedTrial | Exception] | None] = SimpleQueue()  # None is the last
        self._added, self._ended = 0, 0  # trials; ended are those that were logged, or could not be
        self._failed: list[str] = []  # why, of each that could not
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        here, there = Pipe()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", PROCESS, str(there.fileno())],
                stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT, pass_fds=[there.fileno()],
                start_new_session=True,
            )  # fmt: skip
        keep(self._process.pid)
        self._thread = Thread(target=self._work, args=(here,), name="batchlaw log", daemon=True)
        self._thread.start()

    def add(self, number: int) -> None:
        """Log a trial that has ended."""
        self._added += 1
        try:
            record = with_retries(partial(record_at, self._stored, number))
            self._waiting.put((number, logged_trial(record, self._stored.spec, self._folder)))
        except Exception as error:  # whatever it is, the trial has been told
            self._waiting.put((number, error))

    def wait(self) -> None:
        """Wait until all trials so far are logged, as long as there is progress."""
        ended, since = self._ended, time.monotonic()
        while self._ended < self._added:
            if self._ended > ended:
                ended, since = self._ended, time.monotonic()
            if time.monotonic() - since > (_HURRIED_SECONDS if self._hurried() else _PATIENCE_SECONDS):
                break
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Wait likewise, end the process, and note with the study what was not logged."""
        self.wait()
        missing = self._added - self._ended + len(self._failed)
        why = self._failed[0] if self._failed else "it took too long"
        self._waiting.put(None)
        if self._ended < self._added:
            self._process.kill()
        self._thread.join()
        try:
            self._process.wait(_HURRIED_SECONDS)  # a library may have work to do at its end
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        if missing:
            line = f"{missing} of {self._added} trials of a worker were not logged to {self._log.to}: {why}"
            with suppress(WorkFailed):  # the database is out of reach
                note_not_logged(self._stored, line)

    def _work(self, connection: Connection) -> None:
        with connection:
            while (item := self._waiting.get()) is not None:
                number, trial = item
                if why := self._why_not(connection, trial):
                    self._failed.append(why)
                    if len(self._failed) == 1:
                        line = "warning: trial %s was not logged to %s: %s"
                        logging.getLogger("batchlaw").warning(line, number, self._log.to, why)
                self._ended += 1

    def _why_not(self, connection: Connection, trial: LoggedTrial | Exception) -> str:
        """Have a trial logged; why it was not, in one line, which is empty if it was."""
        if isinstance(trial, Exception):
            return reason_of(trial)
        try:
            request = {"log": self._log.model_dump(mode="json"), "trial": asdict(trial)}
            connection.send_bytes(json.dumps(request).encode())
            return connection.recv_bytes().decode()
        except (EOFError, OSError):
            self._output.seek(0)
            lines = [line for line in self._output.read().decode(errors="replace").splitlines() if line.strip()]
            return f"its process has ended: {lines[-1] if lines else 'no output'}"


def logged_trial(record: TrialRecord, spec: StudySpec, folder: str) -> LoggedTrial:
    """What is logged of a trial that has ended.

    Args:
        record: what is stored of it.
        spec: of its study.
        folder: of the study's files.
    """
    config, result = record.config, record.result
    steps = config.steps if config is not None and config.steps else _SHARES
    points = [(round(progress * steps), {**metrics, "progress": progress}) for progress, metrics in result.curve]
    facts = {spec.arm.metric: record.value, "seconds": result.seconds}
    last = dict(result.metrics) | {name: value for name, value in facts.items() if value is not None}
    if last:
        at_end = steps if record.outcome == Outcome.COMPLETE or not points else points[-1][0]
        points.append((at_end, last))
    tags = {
        "study": spec.name, "trial": str(record.number), "outcome": str(record.outcome), "reason": record.reason,
        "seeds": ", ".join(map(str, config.seeds)) if config else None, "device": result.device,
        "confirms": str(record.confirms) if record.confirms else None,
        "batchlaw": __version__,
    }  # fmt: skip
    ended = record.ended or datetime.now()  # local, as the record's
    return LoggedTrial(
        study=folder, number=record.number, ok=record.outcome not in (Outcome.FAILED, Outcome.OUT_OF_MEMORY),
        started=(record.started or ended).timestamp(), ended=ended.timestamp(),
        params={name: value for name, value in facts_of(config).items() if value is not None},
        points=points, tags={name: text for name, text in tags.items() if text},
    )  # fmt: skip


@contextmanager
def logged(stored: StoredStudy, hurried: Callable[[], bool]) -> Iterator[TrialLog | None]:
    """The log of a worker in this context; None where the study has no [log].

    Args:
        stored: the study.
        hurried: whether the worker was asked to leave.

    Raises:
        BatchlawError: the library is not installed.
    """
    log = stored.spec.log
    check_installed(log)
    if log is None:
        yield None
        return
    found = TrialLog(stored, log, hurried)
    try:
        yield found
    finally:
        found.close()
