"""The budget of a study: one slot for each trial, held under a lease, in a table of batchlaw's own.

A study of n trials has n slots, whatever the number of workers, restarts and kills:

    open ──lease──► held ──finish──► done
      ▲              │
      └──release─────┘   handed back by its worker, or its lease ran out

A slot is done once a trial has ended in it, so n slots are n trials. One without a result can be opened again. Leasing
a slot reads one indexed row.

A study without a number of trials has a row of the state "more" besides: while it is there, a worker that finds no slot
makes one.
"""

import math
import os
import time
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Update, and_, delete, func, insert, or_, select, update

from batchlaw.storage.connections import autocommit
from batchlaw.storage.retries import RETRY_SECONDS, with_retries
from batchlaw.storage.stored_values import is_whole
from batchlaw.storage.tables import asynchronous_commit, is_alive, now, process_space
from batchlaw.storage.tables import slots as _slots

_MORE = -1  # the number of the row "more", one less than the first slot's


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to run one trial in a slot."""

    slot: int
    holder: str  # a random id of this lease
    attempts: int  # including this one; those that were handed back, or whose worker died, do not count
    abandoned_trial_id: int | None  # the trial of the last holder, if its worker died
    last_trial_id: int | None = None  # the trial that ran in the slot last


@dataclass(frozen=True, kw_only=True)
class SlotCounts:
    """The number of slots of a study in each state."""

    open: int
    held: int
    done: int
    open_ended: bool = False  # further slots are made when they are needed

    @property
    def total(self) -> int:
        """The budget of trials; the slots so far of an open-ended study."""
        return self.open + self.held + self.done

    @property
    def ended(self) -> bool:
        """Whether no trial is left to run."""
        return self.done == self.total and not self.open_ended


_DONE: dict[str, Any] = {"state": "done", "holder": None}


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

    def create(self, connection: Connection, trials: int | None) -> None:
        """Make the open slots of a new study, or make it open-ended."""
        # Optuna may give the id of a deleted study again; its slots are still here.
        connection.execute(delete(_slots).where(self._mine))
        self._insert(connection, [_MORE] if trials is None else range(trials))

    def resize(self, trials: int | None, *, grow: bool = True) -> None:
        """Set the budget by removing open slots or, unless it is not to grow, adding some; held and done slots stay.

        Args:
            trials: None makes the study open-ended.
            grow: whether slots may be added.
        """

        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(delete(_slots).where(self._mine, _slots.c.slot == _MORE))
                if trials is None:
                    self._insert(connection, [_MORE])
                    return
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
                elif grow:
                    start = max(taken, default=-1) + 1
                    self._insert(connection, range(start, start - excess))

        with_retries(work)

    def _insert(self, connection: Connection, slots: Iterable[int]) -> None:
        rows = [
            {"study_id": self._study_id, "slot": slot, "state": "more" if slot == _MORE else "open", "attempts": 0}
            for slot in slots
        ]
        if rows:
            connection.execute(insert(_slots), rows)

    def counts(self) -> SlotCounts:
        """The number of open, held and done slots."""
        query = select(_slots.c.state, func.count()).where(self._mine).group_by(_slots.c.state)
        with autocommit(self._engine) as connection:
            found: dict[str, int] = {row.state: row[1] for row in connection.execute(query)}
        counts = {state: found.get(state, 0) for state in ("open", "held", "done")}
        return SlotCounts(**counts, open_ended="more" in found)

    def n_open(self, among: Sequence[int]) -> int:
        """The number of these slots that are open."""
        query = select(func.count()).where(self._mine, _slots.c.state == "open", _slots.c.slot.in_(among))
        with autocommit(self._engine) as connection:
            return int(connection.scalar(query) or 0)

    def lease(self, last: Collection[int] = ()) -> Lease | None:
        """Lease an open slot, or else one whose lease ran out or whose process on this machine has gone, or a new one.

        Args:
            last: slots that are taken only if there is no other.

        Returns:
            None if there is none, and the study is not open-ended.
        """

        def work() -> Lease | None:
            # Open slots first: for an expired one the worker has to clear up after the last holder.
            free = _slots.c.state == "open"
            others = self._take(and_(free, _slots.c.slot.not_in(last))) if last else None
            return others or self._take(free) or self._take(self._expired()) or self._take_new()

        return with_retries(work)

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

    def name_elsewhere(self, trial_id: int, lease: Lease) -> bool:
        """Whether a held or done slot beside that of the lease names a trial, which was handed back and taken again."""
        named = (self._mine, _slots.c.trial_id == trial_id, _slots.c.slot != lease.slot, _slots.c.state != "open")

        def work() -> bool:
            with self._engine.connect() as connection:
                return connection.execute(select(_slots.c.slot).where(*named).limit(1)).first() is not None

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
                    attempts=(row.state == "open") + (row.attempts if is_whole(row.attempts) else 0),
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

    def _take_new(self) -> Lease | None:
        """Lease a new slot of an open-ended study; None if it is not, or not any more."""
        began, holder = time.monotonic(), uuid.uuid4().hex
        with self._engine.begin() as connection:
            # The row is written before the slots are read, so that others wait for it and no two get one number.
            more = update(_slots).where(self._mine, self._async_commit, _slots.c.slot == _MORE)
            if connection.execute(more.values(attempts=_slots.c.attempts + 1)).rowcount == 0:
                return None
            slot = int(connection.scalar(select(func.max(_slots.c.slot)).where(self._mine)) or 0) + 1
            row = {"study_id": self._study_id, "slot": slot, "attempts": 1}
            connection.execute(insert(_slots).values(**row, **self._held_by(holder)))
        self._renewed = {holder: began}
        return Lease(slot=slot, holder=holder, attempts=1, abandoned_trial_id=None)

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
        return self._write(lease, **_DONE)

    def finishing(self, lease: Lease) -> Update:
        """The statement of `finish`, for the transaction that ends the trial."""
        return update(_slots).where(self._mine, *_held(lease)).values(**_DONE)

    def release(self, lease: Lease, *, attempts: int) -> bool:
        """Open a slot again; False if another worker has it.

        Args:
            lease: of the slot.
            attempts: that it has used up; 0 if the worker was asked to stop or has died, or may be at fault itself.
        """
        return self._write(lease, state="open", holder=None, attempts=lease.attempts - 1 + attempts)

    def reopen(self, trial_ids: Collection[int]) -> list[int]:
        """Open the done slots again in which these trials ran last, and return these trials."""

        def work() -> list[int]:
            with self._engine.begin() as connection:
                done = (self._mine, _slots.c.state == "done", _slots.c.trial_id.in_(trial_ids))
                found = list(connection.scalars(select(_slots.c.trial_id).where(*done).with_for_update()))
                connection.execute(update(_slots).where(*done).values(state="open", attempts=0))
            return found

        return with_retries(work)

    def held_by(self, pid: int) -> list[int]:
        """The ids of the trials that a process of this machine holds."""
        mine = (_slots.c.state == "held", _slots.c.process_space == process_space(), _slots.c.pid == pid)

        def work() -> list[int]:
            with self._engine.connect() as connection:
                return [
                    found for found in connection.scalars(select(_slots.c.trial_id).where(self._mine, *mine)) if found
                ]

        return with_retries(work)

    def _write(self, lease: Lease, seconds: float = RETRY_SECONDS, /, **values: object) -> bool:
        def work() -> bool:
            with autocommit(self._engine) as connection:
                held = (self._mine, self._async_commit, *_held(lease))
                return connection.execute(update(_slots).where(*held).values(**values)).rowcount == 1

        return with_retries(work, seconds=seconds)


def _held(lease: Lease) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _slots.c.slot == lease.slot, _slots.c.holder == lease.holder
