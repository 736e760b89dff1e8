"""The workers of a study: one row for each in a table of batchlaw's own, renewed while the worker lives."""

import os
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Engine, func, insert, select, update

from batchlaw.errors import StorageError
from batchlaw.interrupts import StopRequest
from batchlaw.storage.retries import with_retries
from batchlaw.storage.stored_values import (
    Unreadable,
    check_real,
    check_text,
    check_whole,
    check_word,
    shown,
    tell,
)
from batchlaw.storage.tables import UNKNOWN_BOOT, is_alive, now, process_space, schema_version, workers

BEAT_SECONDS = 5.0  # from one heartbeat to the next
_STALE_BEATS = 6  # a worker that missed so many heartbeats is shown as stale

WorkerState = Literal["idle", "training", "ended"]
_STATES = get_args(WorkerState)


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """One worker at its last heartbeat."""

    worker: str
    host: str
    pid: int
    device: str
    threads: int  # of the CPU, in its latest trial
    state: str  # idle | training | ended | stale
    trial: int | None  # number of the trial it runs
    trials_done: int
    seconds: float  # from its start to its last heartbeat
    silent_seconds: float  # since its last heartbeat


class Registration:
    """The row of this process, made with the object."""

    def __init__(self, engine: Engine, study_id: int, *, device: str, threads: int) -> None:
        self._engine, self.worker, self._now = engine, uuid.uuid4().hex, now(engine)
        row = {
            "worker": self.worker, "study_id": study_id, "host": socket.gethostname()[:255], "pid": os.getpid(),
            "process_space": process_space(), "device": device[:255], "threads": threads, "state": "idle",
            "trials_done": 0, "started": self._now, "last_seen": self._now,
        }  # fmt: skip

        def work() -> None:
            with engine.begin() as connection:
                connection.execute(insert(workers).values(**row))

        with_retries(work)

    def beat(
        self, state: WorkerState, trial: int | None, trials_done: int, threads: int | None = None
    ) -> StopRequest | None:
        """Record a heartbeat with the present state; whether somebody has asked the worker to leave, and how.

        The number of threads stays as it was recorded if it is not given.

        Raises:
            WorkFailed: the database could not be reached for `BEAT_SECONDS`.
        """
        values = {"state": state, "trial": trial, "trials_done": trials_done, "last_seen": self._now}
        values |= {} if threads is None else {"threads": threads}

        mine = workers.c.worker == self.worker

        def work() -> StopRequest | None:
            with self._engine.begin() as connection:
                connection.execute(update(workers).where(mine).values(**values))
                found: StopRequest | None = connection.scalar(select(workers.c.stop).where(mine))
            return found

        return with_retries(work, seconds=BEAT_SECONDS)


def workers_of(engine: Engine, study_id: int | None = None, name: str | None = None) -> list[WorkerRecord]:
    """All workers of a study, or of the database, past and present, the latest first.

    Args:
        engine: the database.
        study_id: of the study; None reads those of all.
        name: of the study, for a line about a worker whose row cannot be read.
    """
    here = process_space()

    def work() -> list[WorkerRecord]:
        # The columns of version 2, so that an upgrade can ask who is at work.
        query = select(*(column for column in workers.c if column.name != "stop"), now(engine).label("now"))
        if study_id is not None:
            query = query.where(workers.c.study_id == study_id)
        with engine.connect() as connection:
            rows = connection.execute(query.order_by(workers.c.started.desc())).all()
        return [record for row in rows if (record := _record(engine, row, here, name)) is not None]

    return with_retries(work)


def _record(engine: Engine, row: Any, here: str, name: str | None) -> WorkerRecord | None:
    """A worker from its row; None if that cannot be read."""
    try:
        for name in ("pid", "threads", "trials_done"):
            check_whole(getattr(row, name), name)
        for name in ("started", "last_seen"):
            check_real(getattr(row, name), name)
        for name in ("worker", "host", "device"):
            check_text(getattr(row, name), name)
        check_word(row.state, "state", _STATES)
        if row.trial is not None:
            check_whole(row.trial, "trial")
    except Unreadable as error:
        tell(engine.url, name or row.study_id, f"worker {shown(row.worker)}: {error}")
        return None
    # Neither time is negative, though the database's clock may have been set back.
    silent, gone = row.now - row.last_seen, row.process_space == here and not is_alive(row.pid)
    stale = row.state != "ended" and (gone or silent > _STALE_BEATS * BEAT_SECONDS)
    return WorkerRecord(
        worker=row.worker, host=row.host, pid=row.pid, device=row.device, threads=row.threads,
        state="stale" if stale else row.state, trial=row.trial, trials_done=row.trials_done,
        seconds=max(float(row.last_seen - row.started), 0.0), silent_seconds=max(float(silent), 0.0),
    )  # fmt: skip


def worked_seconds(workers: Iterable[WorkerRecord]) -> float:
    """The seconds of wall time in which one worker or more was at work on a study, up to now.

    Args:
        workers: of the study, past and present.
    """
    # Seconds ago; a live worker is at work now, whenever its last heartbeat was.
    spans = sorted(
        (worker.silent_seconds if worker.state in ("ended", "stale") else 0.0, worker.silent_seconds + worker.seconds)
        for worker in workers
    )
    total = known = 0.0
    for ended, started in spans:
        total += max(started - max(ended, known), 0.0)
        known = max(known, started)
    return total


def other_pids(engine: Engine) -> set[int]:
    """The PIDs of the other live workers on this machine, of all studies in this database.

    Where the system does not tell its boot, they are those of this host's name that have not fallen silent.
    """
    here = process_space()
    host, _, boot = here.partition(" ")
    unknown = boot.startswith(UNKNOWN_BOOT)
    place = (
        workers.c.process_space.startswith(f"{host} {UNKNOWN_BOOT} ") if unknown else workers.c.process_space == here
    )
    recent = workers.c.last_seen > now(engine) - _STALE_BEATS * BEAT_SECONDS

    def work() -> set[int]:
        query = select(workers.c.pid).where(place, recent, workers.c.state != "ended")
        with engine.connect() as connection:
            return set(connection.scalars(query))

    return {pid for pid in with_retries(work) - {os.getpid()} if unknown or is_alive(pid)}


def live_workers(engine: Engine, study_id: int | None = None) -> list[WorkerRecord]:
    """The live workers of a study, or of the database."""
    return [worker for worker in workers_of(engine, study_id) if worker.state in ("idle", "training")]


def check_idle(engine: Engine, study_id: int | None = None) -> None:
    """Make sure that nobody works on a study, or on any study of the database.

    Raises:
        StorageError: names the live workers.
    """
    live = live_workers(engine, study_id) if schema_version(engine) else []
    if live:
        names = ", ".join(f"{worker.host}:{worker.pid}" for worker in live[:3]) + ", …" * (len(live) > 3)
        be = "worker is" if len(live) == 1 else "workers are"
        raise StorageError(f"{len(live)} {be} at work: {names}", remedy="force")


def ask_to_stop(engine: Engine, study_id: int, request: StopRequest) -> list[WorkerRecord]:
    """Ask the live workers of a study to leave, with their next heartbeat; those that were asked."""
    live = live_workers(engine, study_id)

    def work() -> None:
        with engine.begin() as connection:
            asked = workers.c.worker.in_([worker.worker for worker in live])
            connection.execute(update(workers).where(asked).values(stop=request))

    with_retries(work)
    return live


def n_asked_to_stop(engine: Engine, study_id: int) -> int:
    """How many workers of a study, past and present, were asked to leave."""
    query = select(func.count()).where(workers.c.study_id == study_id, workers.c.stop.is_not(None))

    def work() -> int:
        with engine.connect() as connection:
            return connection.scalar(query) or 0

    return with_retries(work)
