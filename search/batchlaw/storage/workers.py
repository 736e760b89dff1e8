"""Who works on a study: a row a worker, in a table of ours, renewed while it lives."""

import os
import socket
import uuid
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine, insert, select, update

from batchlaw.storage.engine import with_retries
from batchlaw.storage.tables import is_alive, now, process_space, workers

BEAT_SECONDS = 5.0  # between signs of life
_STALE_BEATS = 6  # without one a worker counts as gone, or as cut off

WorkerState = Literal["idle", "training", "ended"]


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """One worker, as it was last seen."""

    worker: str
    host: str
    pid: int
    device: str
    threads: int
    state: str  # idle | training | ended | stale
    trial: int | None
    trials_done: int
    seconds: float  # from its start until it was last seen
    silent_seconds: float  # since then


class Registration:
    """The row of this process."""

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

    def beat(self, state: WorkerState, trial: int | None, trials_done: int) -> None:
        """A sign of life.

        Raises:
            WorkFailed: the database cannot be reached for the length of a beat.
        """
        values = {"state": state, "trial": trial, "trials_done": trials_done, "last_seen": self._now}

        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(update(workers).where(workers.c.worker == self.worker).values(**values))

        with_retries(work, seconds=BEAT_SECONDS)


def workers_of(engine: Engine, study_id: int) -> list[WorkerRecord]:
    """Every worker that a study has had, the latest first."""
    here = process_space()

    def state_of(row: object) -> str:
        state, silent = str(row.state), row.now - row.last_seen  # type: ignore[attr-defined]
        gone = row.process_space == here and not is_alive(row.pid)  # type: ignore[attr-defined]
        return "stale" if state != "ended" and (gone or silent > _STALE_BEATS * BEAT_SECONDS) else state

    def work() -> list[WorkerRecord]:
        query = select(workers, now(engine).label("now")).where(workers.c.study_id == study_id)
        with engine.connect() as connection:
            rows = connection.execute(query.order_by(workers.c.started.desc())).all()
        return [
            WorkerRecord(
                worker=row.worker, host=row.host, pid=row.pid, device=row.device, threads=row.threads,
                state=state_of(row), trial=row.trial, trials_done=row.trials_done,
                seconds=float(row.last_seen - row.started), silent_seconds=float(row.now - row.last_seen),
            )
            for row in rows
        ]  # fmt: skip

    return with_retries(work)


def n_live(engine: Engine, study_id: int) -> int:
    """How many workers a study has at present."""
    return sum(worker.state in ("idle", "training") for worker in workers_of(engine, study_id))
