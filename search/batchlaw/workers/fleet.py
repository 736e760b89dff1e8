"""The workers of one run together, and whether they did what the run asked for."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from batchlaw.errors import WorkFailed
from batchlaw.recipe.result import ENDED, ENDINGS, Outcome
from batchlaw.results.records import records_of
from batchlaw.storage import StoredStudy, n_asked_to_stop, with_retries, workers_of
from batchlaw.workers.time_limit import is_spent


@dataclass(frozen=True, kw_only=True)
class WorkerEnd:
    """How a worker process ended."""

    worker: int
    exit_code: int  # of a process that a signal ended, minus the signal's number
    last_line: str  # of its output
    trial: int | None = None  # that it left behind

    def __str__(self) -> str:
        how = (
            f"was killed by {_signal(-self.exit_code)}"
            if self.exit_code < 0
            else f"ended with exit code {self.exit_code}"
        )
        where = "" if self.trial is None else f" in trial {self.trial}"
        return f"worker {self.worker} {how}{where}: {self.last_line}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True)
class Death:
    """That a worker process ended before it had left its study."""

    trial: int | None  # that it left behind


def death_of(stored: StoredStudy, pid: int) -> Death | None:
    """What a worker process that has ended left behind; None if it ended by itself, or did not begin."""
    row = next((row for row in workers_of(stored.storage.engine, stored.study_id) if row.pid == pid), None)
    if row is None or row.state == "ended":
        return None
    held = stored.slots.held_by(pid)
    found = with_retries(partial(stored.storage.get_trial, held[0])).number if held else row.trial
    return Death(found)


class Fleet(Protocol):
    """Workers, wherever they run."""

    started: datetime  # local time
    began: float  # time.monotonic() then, since the clock may jump

    @property
    def running(self) -> int:
        """How many workers have not ended."""
        ...

    def stop(self) -> None:
        """Ask every worker to hand its trial back and end."""
        ...

    def ends(self) -> list[WorkerEnd]:
        """How each worker ended; call it when none is running."""
        ...


def n_stops(stored: StoredStudy) -> int:
    """A number that grows when `stop` reaches a worker of the study; note it before workers start."""
    return n_asked_to_stop(stored.storage.engine, stored.study_id)


def check_finished(stored: StoredStudy, fleet: Fleet, timeout: float | None, *, stops: int) -> None:
    """Check a run whose workers have all ended by themselves: the budget is spent, or the time is up.

    Args:
        stored: the study.
        fleet: its workers.
        timeout: seconds after which they start no trial; None is the study's own limit.
        stops: `n_stops` before the run.

    Raises:
        WorkFailed: trials are left, or every trial failed.
        KeyboardInterrupt: trials are left, since somebody stopped the study.
    """
    counts = with_retries(stored.slots.counts)
    if counts.ended:
        check_scores(stored)
        return
    if n_stops(stored) > stops:
        raise KeyboardInterrupt
    ends = fleet.ends()
    passed = is_spent(stored) if timeout is None else time.monotonic() - fleet.began >= timeout
    if passed and any(end.exit_code == 0 for end in ends):
        return
    trials = "seconds" if counts.open_ended else f"{counts.total - counts.done} of {counts.total} trials"
    left = f"{trials} are left and every worker has ended"
    raise WorkFailed(f"{left}: {_reason(stored, fleet.started, ends)}")


def check_scores(stored: StoredStudy) -> None:
    """Check that a trial of a study succeeded; in a claim divergence is a result.

    Raises:
        WorkFailed: none did; with the reason of the last.
    """
    records = [record for record in with_retries(lambda: records_of(stored)) if record.outcome in ENDINGS]
    succeeded = ENDED if stored.spec.claim is not None else (Outcome.COMPLETE, Outcome.PRUNED)
    if not records or any(record.outcome in succeeded for record in records):
        return
    last, kinds = records[-1], {record.outcome for record in records}
    if not kinds & set(ENDED):
        raise WorkFailed(f"every trial failed; the last, {last.number}: {last.reason}", remedy="Study.retry")
    why = f": {last.reason}" if last.reason else ""
    raise WorkFailed(f"no trial succeeded; the last, {last.number}, is {last.outcome}{why}")


def _reason(stored: StoredStudy, since: datetime, ends: Sequence[WorkerEnd]) -> str:
    """Why the workers ended: the last failed trial, and a worker whose last line says something else."""
    failed = [
        record
        for record in with_retries(lambda: records_of(stored))
        if record.outcome == Outcome.FAILED and record.ended is not None and record.ended >= since
    ]
    worker = max(ends, key=lambda end: end.exit_code != 0)  # the first that failed, else the first
    if not failed:
        return str(worker)
    last = f"trial {failed[-1].number} failed: {failed[-1].reason}"
    return last if worker.exit_code == 0 or f"{failed[-1].reason}" in worker.last_line else f"{last}; {worker}"
