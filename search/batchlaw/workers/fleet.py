"""The workers of one run together, and whether they did what the run asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchlaw.errors import WorkFailed
from batchlaw.recipe.result import ENDED, Outcome
from batchlaw.results.records import records_of
from batchlaw.storage import StoredStudy, n_asked_to_stop, with_retries


@dataclass(frozen=True, kw_only=True)
class WorkerEnd:
    """How a worker process ended."""

    worker: int
    exit_code: int  # of a process that a signal ended, minus the signal's number
    last_line: str  # of its output

    def __str__(self) -> str:
        return f"worker {self.worker} ended with exit code {self.exit_code}: {self.last_line}"


class Fleet(Protocol):
    """Workers, wherever they run."""

    started: datetime  # local time

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
    limit = stored.spec.arm.study_seconds if timeout is None else timeout
    seconds = (datetime.now() - fleet.started).total_seconds()
    if limit is not None and seconds >= limit and any(end.exit_code == 0 for end in ends):
        return
    left = f"{counts.total - counts.done} of {counts.total} trials are left and every worker has ended"
    raise WorkFailed(f"{left}: {_reason(stored, fleet.started, ends)}")


def check_scores(stored: StoredStudy) -> None:
    """Check that not every trial of a study failed.

    Raises:
        WorkFailed: every trial failed; with the reason of the last.
    """
    records = with_retries(lambda: records_of(stored))
    failed = [record for record in records if record.outcome in (Outcome.FAILED, Outcome.LOST)]
    if failed and not any(record.outcome in ENDED for record in records):
        raise WorkFailed(f"every trial failed; the last, {failed[-1].number}: {failed[-1].reason}")


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
