"""The time of a run: past it no trial starts, and a search whose seconds are spent ends."""

import time
from dataclasses import dataclass

from batchlaw.storage import StoredStudy, with_retries, worked_seconds, workers_of
from batchlaw.workers.recovery import reap

_NEAR = 0.99  # of the budget: the clocks of workers and of the database differ


@dataclass(frozen=True)
class TimeLimit:
    """From when to when trials start, as one worker sees it; both are of time.monotonic()."""

    began: float
    ends: float

    @classmethod
    def of(cls, stored: StoredStudy, timeout: float | None) -> "TimeLimit | None":
        """The limit from now on; None where there is none.

        Args:
            stored: a study, of whose `budget_seconds` what earlier runs took is used up.
            timeout: seconds of this run, in place of that budget.
        """
        budget = stored.spec.arm.budget_seconds
        if timeout is not None:
            now = time.monotonic()
            return cls(now, now + timeout)
        if budget is None:
            return None
        used = seconds_of(stored)  # read before the clock: a limit that passes early finds the budget not yet spent
        began = time.monotonic() - used
        return cls(began, began + budget)

    @property
    def passed(self) -> bool:
        """Whether no trial is to start."""
        return time.monotonic() >= self.ends

    @property
    def used(self) -> float:
        """The share of the time that is over."""
        return (time.monotonic() - self.began) / max(self.ends - self.began, 1e-9)


def seconds_of(stored: StoredStudy) -> float:
    """The seconds in which somebody was at work on a study."""
    return worked_seconds(workers_of(stored.storage.engine, stored.study_id, stored.spec.name))


def is_spent(stored: StoredStudy) -> bool:
    """Whether a study has used up its seconds."""
    budget = stored.spec.arm.budget_seconds
    return budget is not None and seconds_of(stored) >= _NEAR * budget


def end_if_spent(stored: StoredStudy) -> None:
    """End a search whose seconds are spent: what has not begun is no part of it any more."""
    if stored.spec.search is not None and is_spent(stored):
        reap(stored)
        counts = with_retries(stored.slots.counts)
        stored.slots.resize(max(counts.done + counts.held, 1), grow=False)


def go_on(stored: StoredStudy) -> None:
    """Let a search that ended by its seconds go on, for a run with a time of its own."""
    search, counts = stored.spec.search, with_retries(stored.slots.counts)
    if search is not None and search.budget_seconds is not None and counts.ended:
        stored.slots.resize(search.trials if search.trials is None else max(search.trials, counts.total))
