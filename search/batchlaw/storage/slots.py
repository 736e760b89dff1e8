"""The budget of a study: one slot for each trial, held under a lease, in a table of batchlaw's own.

A study of n trials has n slots, whatever the number of workers, restarts and kills:

    open ──lease──► held ──finish──► done
      ▲              │
      └──release─────┘   handed back by its worker, or its lease ran out

A slot is done once a trial has ended in it, so n slots are n trials. Leasing a slot reads one indexed row.
"""

import math
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, insert, or_, select, update

from batchlaw.storage.retries import RETRY_SECONDS, with_retries
from batchlaw.storage.stored_values import is_whole
from batchlaw.storage.tables import asynchronous_commit, is_alive, now, process_space
from batchlaw.storage.tables import slots as _slots


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to run one trial in a slot."""

    slot: int
    holder: str  # a random id of this lease
    attempts: int  # including this one
    abandoned_trial_id: int | None  # the trial of the last holder, if its worker died
    last_trial_id: int | None = None  # the trial that ran in the slot last


@dataclass(frozen=True, kw_only=True)
class SlotCounts:
    """The number of slots of a study in each state."""

    open: int
    held: int
    done: int

    @property
    def total(self) -> int:
        """The budget of trials."""
        return self.open + self.held + self.done

    @property
    def ended(self) -> bool:
        """Whether no trial is left to run."""
        return self.done == self.total


class Slots:
    """The slots of one study."""

    def __init__(self, engine: Engine, study_id: int, lease_seconds: float = 120.0) -> None:
        self._engine, self._study_id = engine, study_id
        self.lease_seconds = lease_seconds  # this long after the last renewal another worker may take the slot
        self._mine = _slots.c.study_id == study_id
        # A crash of the server may lose a change; the result is like the death of a worker. If a lease is lost, its
        # holder's result is refused. If the end of a trial is lost, recovery finds that the slot's trial has ended.
        self._async_commit = asynchronous_commit(engine.dialect.name)
        self._now = now(engine)
        self._renewed: dict[str, float] = {}  # by holder: time.monotonic() of the last lease or renewal here

    def create(self, connection: Connection, trials: int) -> None:
        """Make the open slots of a new study."""
        # Optuna may give the id of a deleted study again; its slots are still here.
        connection.execute(delete(_slots).where(self._mine))
        self._insert(connection, range(trials))

    def resize(self, trials: int) -> None:
        """Set the budget by adding or removing open slots; held and done slots stay."""

        def work() -> None:
            with self._engine.begin() as connection:
                taken = set(connection.scalars(select(_slots.c.slot).where(self._mine)))
                excess = len(taken) - trials
                if excess > 0:
                    spare = (
                        select(_slots.c.slot).where(self._mine, _slots.c.state == "open").order_by(_slots.c.slot.desc())
                    )
                    surplus = list(connection.scalars(spare.limit(excess)))
                    connection.execute(
                        delete(_slots).where(self._mine, _slots.c.state == "open", _slots.c.slot.in_(surplus))
                    )
                else:
                    start = max(taken, default=-1) + 1
                    self._insert(connection, range(start, start - excess))

        with_retries(work)

    def _insert(self, connection: Connection, slots: Iterable[int]) -> None:
        rows = [{"study_id": self._study_id, "slot": slot, "state": "open", "attempts": 0} for slot in slots]
        if rows:
            connection.execute(insert(_slots), rows)

    def counts(self) -> SlotCounts:
        """The number of open, held and done slots."""
        query = select(_slots.c.state, func.count()).where(self._mine).group_by(_slots.c.state)
        with self._engine.connect() as connection:
            found: dict[str, int] = {row.state: row[1] for row in connection.execute(query)}
        return SlotCounts(open=found.get("open", 0), held=found.get("held", 0), done=found.get("done", 0))

    def n_open(self, among: Sequence[int]) -> int:
        """The number of these slots that are open."""
        query = select(func.count()).where(self._mine, _slots.c.state == "open", _slots.c.slot.in_(among))
        with self._engine.connect() as connection:
            return int(connection.scalar(query) or 0)

    def lease(self) -> Lease | None:
        """Lease an open slot, or else one whose lease ran out or whose process on this machine has gone.

        Returns:
            None if there is neither.
        """
        return with_retries(self._lease)

    def _lease(self) -> Lease | None:
        # Open slots first: for an expired one the worker has to clear up after the last holder.
        return self._take(_slots.c.state == "open") or self._take(self._expired())

    def lease_more(self, lease: Lease, among: Sequence[int], most: int) -> list[Lease]:
        """Lease further open slots for the holder of `lease`, the lowest first: at most `most` of the slots `among`."""

        def work() -> list[Lease]:
            with self._engine.begin() as connection:
                free = (self._mine, self._async_commit, _slots.c.state == "open", _slots.c.slot.in_(among))
                query = select(_slots).where(*free).order_by(_slots.c.slot).limit(most)
                rows = connection.execute(query.with_for_update(skip_locked=True)).all()
                # The condition includes the state, so that one of several workers gets a slot.
                chosen = (self._mine, _slots.c.state == "open", _slots.c.slot.in_([row.slot for row in rows]))
                values = self._held_by(lease.holder) | {"attempts": _slots.c.attempts + 1, "trial_id": None}
                connection.execute(update(_slots).where(*chosen).values(**values))
                mine = (self._mine, _slots.c.holder == lease.holder, _slots.c.slot != lease.slot)
                taken = connection.execute(select(_slots).where(*mine).order_by(_slots.c.slot)).all()
            return [
                Lease(slot=row.slot, holder=lease.holder, attempts=row.attempts, abandoned_trial_id=None)
                for row in taken
            ]

        return with_retries(work) if among and most > 0 else []

    def _held_by(self, holder: str) -> dict[str, Any]:
        return {
            "state": "held", "holder": holder, "process_space": process_space(), "pid": os.getpid(),
            "lease_until": self._now + self.lease_seconds,
        }  # fmt: skip

    def lease_expired(self) -> Lease | None:
        """Lease a slot whose lease ran out or whose process on this machine has gone; None if there is none."""
        return with_retries(lambda: self._take(self._expired()))

    def running(self) -> tuple[set[int], bool]:
        """The ids of the trials of held slots, and whether a live worker holds a slot and has not started its trial."""

        def work() -> tuple[set[int], bool]:
            expired = self._expired()
            with self._engine.connect() as connection:
                # One statement: between two a trial could be started that the first did not name.
                held = select(_slots.c.trial_id, expired).where(self._mine, _slots.c.state == "held")
                rows = [tuple(row) for row in connection.execute(held)]
            named = {trial_id for trial_id, _ in rows if is_whole(trial_id)}
            return named, any(trial_id is None and not gone for trial_id, gone in rows)

        return with_retries(work)

    def _take(self, free: ColumnElement[bool]) -> Lease | None:
        while True:
            began = time.monotonic()
            with self._engine.begin() as connection:
                query = select(_slots).where(self._mine, self._async_commit, free).order_by(_slots.c.slot).limit(1)
                row = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
                if row is None:
                    return None
                trial_id = row.trial_id if is_whole(row.trial_id) else None
                lease = Lease(
                    slot=row.slot,
                    holder=uuid.uuid4().hex,
                    attempts=1 + (row.attempts if is_whole(row.attempts) else 0),
                    abandoned_trial_id=trial_id if row.state == "held" else None,
                    last_trial_id=trial_id,
                )
                unstarted = {"trial_id": None} if row.state == "open" else {}  # the trial of a dead worker is still due
                # The condition includes the state as read, so that one of several workers gets the slot.
                unchanged = (_slots.c.state == row.state, _slots.c.holder.is_not_distinct_from(row.holder))
                taken = connection.execute(
                    update(_slots)
                    .where(self._mine, _slots.c.slot == row.slot, *unchanged)
                    .values(attempts=lease.attempts, **self._held_by(lease.holder), **unstarted)
                )
                if taken.rowcount == 1:
                    self._renewed = {lease.holder: began}
                    return lease

    def _expired(self) -> ColumnElement[bool]:
        """The condition of held slots whose lease ran out, or whose process on this machine has gone."""
        here = and_(_slots.c.state == "held", _slots.c.process_space == process_space())
        with self._engine.connect() as connection:
            pids = connection.scalars(select(_slots.c.pid).where(self._mine, here).distinct()).all()
        gone = [pid for pid in pids if not is_alive(pid)]
        return and_(_slots.c.state == "held", or_(_slots.c.lease_until < self._now, and_(here, _slots.c.pid.in_(gone))))

    def started(self, lease: Lease, trial_id: int) -> bool:
        """Record which trial runs in a slot; False if another worker has the slot."""
        return self._write(lease, trial_id=trial_id)

    def renew(self, lease: Lease, *, seconds: float = RETRY_SECONDS) -> bool:
        """Extend a lease to `lease_seconds` from now, retrying for `seconds`; False if another worker has the slot."""
        began = time.monotonic()
        held = self._write(lease, seconds, lease_until=self._now + self.lease_seconds)
        if held:
            self._renewed = {lease.holder: began}
        return held

    def holds(self, lease: Lease) -> bool:
        """Whether the lease is valid for some time. Renews it if the last renewal is half of `lease_seconds` ago."""
        fresh = time.monotonic() - self._renewed.get(lease.holder, -math.inf) < self.lease_seconds / 2
        return fresh or self.renew(lease)

    def finish(self, lease: Lease) -> bool:
        """Mark a slot as done after its trial has ended; False if another worker has the slot."""
        return self._write(lease, state="done", holder=None)

    def release(self, lease: Lease, *, count_attempt: bool) -> bool:
        """Open a slot again; False if another worker has it.

        Args:
            lease: of the slot.
            count_attempt: False if the worker was asked to stop, so that the trial does not use up a retry.
        """
        return self._write(lease, state="open", holder=None, attempts=lease.attempts - (not count_attempt))

    def _write(self, lease: Lease, seconds: float = RETRY_SECONDS, /, **values: object) -> bool:
        def work() -> bool:
            with self._engine.begin() as connection:
                held = (self._mine, self._async_commit, _slots.c.slot == lease.slot, _slots.c.holder == lease.holder)
                return connection.execute(update(_slots).where(*held).values(**values)).rowcount == 1

        return with_retries(work, seconds=seconds)
