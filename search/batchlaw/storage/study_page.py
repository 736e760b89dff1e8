"""The page of a study in optuna-dashboard: batchlaw's figures and notes, drawn by one worker at a time."""

import json
import uuid
from collections.abc import Mapping

from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select, update

from batchlaw.storage.retries import with_retries
from batchlaw.storage.tables import now, pages, study_attributes
from batchlaw.storage.workers import BEAT_SECONDS

_EVERY_SECONDS = 60.0  # from one drawing to the next, over all workers
_HOLD_SECONDS = 120.0  # a process that draws for longer counts as dead; as long as the lease of a slot
_PAUSE_RATIO = 20  # the pause is at least 20 times the last drawing, so that drawing takes 5 % of one worker


class StudyPage:
    """The page of one study."""

    def __init__(self, engine: Engine, study_id: int) -> None:
        self._engine, self._study_id, self._now = engine, study_id, now(engine)
        self._mine = pages.c.study_id == study_id

    def create(self) -> None:
        """Make the row of a new study. Optuna may give the id of a deleted study again, so an old row is deleted."""
        with self._engine.begin() as connection:
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

    def replace(self, prefix: str, texts: Mapping[str, str], *, guard: str | None = None) -> bool:
        """Replace the study attributes whose keys begin with a prefix; only changes are written.

        One transaction does this, so that nobody reads half a figure. Optuna's functions write each attribute in its
        own transaction and cannot delete any.

        Args:
            prefix: of the keys.
            texts: by their whole keys; each at most 64 KB, the limit of MySQL.
            guard: the key of a counter that optuna-dashboard raises when a person writes. If it is above 0, nothing
                is replaced.

        Returns:
            False if the guard prevented the change.

        Raises:
            WorkFailed: the database failed permanently, or for too long.
        """
        attributes, wanted = study_attributes, {key: json.dumps(text) for key, text in texts.items()}
        mine = attributes.c.study_id == self._study_id

        def work() -> bool:
            with self._engine.begin() as connection:
                # Locks the row of the page, so that there is one writer at a time.
                connection.execute(update(pages).where(self._mine).values(study_id=self._study_id))
                if guard is not None and not self._is_untouched(connection, guard):
                    return False
                query = select(attributes.c.key, attributes.c.value_json).where(
                    mine, attributes.c.key.startswith(prefix, autoescape=True)
                )
                kept = {row.key: row.value_json for row in connection.execute(query)}
                gone = [key for key, value in kept.items() if wanted.get(key) != value]
                new = [key for key, value in wanted.items() if kept.get(key) != value]
                if gone:
                    connection.execute(delete(attributes).where(mine, attributes.c.key.in_(gone)))
                self._insert(connection, {key: wanted[key] for key in new})
                return True

        return with_retries(work)

    def _is_untouched(self, connection: Connection, guard: str) -> bool:
        """Whether a counter is 0; makes it if it is missing, and locks it until the end of the transaction."""
        attributes = study_attributes
        mine = and_(attributes.c.study_id == self._study_id, attributes.c.key == guard)
        untouched = connection.execute(update(attributes).where(mine, attributes.c.value_json == "0").values(key=guard))
        if untouched.rowcount == 0:
            if connection.execute(select(attributes.c.key).where(mine)).first() is not None:
                return False
            self._insert(connection, {guard: "0"})
        return True

    def _insert(self, connection: Connection, values: Mapping[str, str]) -> None:
        rows = [{"study_id": self._study_id, "key": key, "value_json": value} for key, value in values.items()]
        if rows:
            connection.execute(insert(study_attributes), rows)


def _fresh(engine: Engine, study_id: int) -> dict[str, object]:
    """The row of a page that has not been drawn. It is due in a minute: shorter studies are drawn at their end only."""
    clock = now(engine)
    return {"study_id": study_id, "held_until": clock, "due": clock + _EVERY_SECONDS, "drawn": 0}
