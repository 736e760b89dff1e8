"""The page of a study in optuna-dashboard: batchlaw's figures and notes, drawn by one worker at a time."""

import uuid

from sqlalchemy import Connection, Engine, delete, insert, or_, update

from batchlaw.storage.retries import with_retries
from batchlaw.storage.tables import now, pages
from batchlaw.storage.workers import BEAT_SECONDS

_EVERY_SECONDS = 60.0  # from one drawing to the next, over all workers
_HOLD_SECONDS = 120.0  # a process that draws for longer counts as dead; as long as the lease of a slot
_PAUSE_RATIO = 20  # the pause is at least 20 times the last drawing, so that drawing takes 5 % of one worker


class StudyPage:
    """The page of one study."""

    def __init__(self, engine: Engine, study_id: int) -> None:
        self._engine, self._study_id, self._now = engine, study_id, now(engine)
        self._mine = pages.c.study_id == study_id

    def create(self, connection: Connection) -> None:
        """Make the row of a new study. Optuna may give the id of a deleted study again, so an old row is deleted."""
        connection.execute(delete(pages).where(self._mine))
        connection.execute(insert(pages).values(**_fresh(self._engine, self._study_id)))

    def take(self, trials: int | None = None) -> str | None:
        """Take the right to draw the page, if it is due and nobody else draws.

        Args:
            trials: of a finished study, whose page is drawn once more; None while it runs.

        Returns:
            An id for `release`; None if the page is not due or another process draws.

        Raises:
            WorkFailed: the database could not be reached for `BEAT_SECONDS`.
        """
        holder = uuid.uuid4().hex
        free = or_(pages.c.holder.is_(None), pages.c.held_until < self._now)
        wanted = pages.c.due <= self._now if trials is None else pages.c.drawn != trials
        values = {"holder": holder, "held_until": self._now + _HOLD_SECONDS, "due": self._now + _EVERY_SECONDS}

        def work() -> bool:
            with self._engine.begin() as connection:
                query = update(pages).where(self._mine, free, wanted).values(**values)
                return connection.execute(query).rowcount == 1

        return holder if with_retries(work, seconds=BEAT_SECONDS) else None

    def release(self, holder: str, *, seconds: float, trials: int | None) -> None:
        """Give the right to draw back.

        Args:
            holder: the id from `take`.
            seconds: how long drawing took.
            trials: of the finished study that was drawn; None if it still runs or drawing failed.

        Raises:
            WorkFailed: the database could not be reached for `BEAT_SECONDS`.
        """
        pause = max(_EVERY_SECONDS, _PAUSE_RATIO * seconds)
        values = {"holder": None, "due": self._now + pause - seconds} | ({} if trials is None else {"drawn": trials})

        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(update(pages).where(self._mine, pages.c.holder == holder).values(**values))

        with_retries(work, seconds=BEAT_SECONDS)


def _fresh(engine: Engine, study_id: int) -> dict[str, object]:
    """The row of a page that has not been drawn. It is due in a minute: shorter studies are drawn at their end only."""
    clock = now(engine)
    return {"study_id": study_id, "held_until": clock, "due": clock + _EVERY_SECONDS, "drawn": 0}
