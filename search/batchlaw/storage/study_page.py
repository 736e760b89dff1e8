"""The page of a study: what its page shows beside Optuna's own figures. Drawn by one worker at a time, in its turn."""

import json
import uuid
from collections.abc import Mapping

from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select, update

from batchlaw.storage.engine import with_retries
from batchlaw.storage.tables import now, pages, slots, study_attributes
from batchlaw.storage.workers import BEAT_SECONDS

_EVERY_SECONDS = 60.0  # at most, over all workers
_HOLD_SECONDS = 120.0  # a drawer that took longer is gone; as long as the lease of a slot
_REST = 20  # times what the last drawing took, until the next: a twentieth of one worker's time


class StudyPage:
    """The page of one study."""

    def __init__(self, engine: Engine, study_id: int) -> None:
        self._engine, self._study_id, self._now = engine, study_id, now(engine)
        self._mine = pages.c.study_id == study_id

    def create(self) -> None:
        """Lay it out with its study; a deleted study's number may come back."""
        with self._engine.begin() as connection:
            connection.execute(delete(pages).where(self._mine))
            connection.execute(insert(pages).values(**_fresh(self._engine, self._study_id)))

    def take(self, trials: int | None = None) -> str | None:
        """The right to draw, if nobody does: a minute after the last drawing, or once at the end after `trials`.

        Raises:
            WorkFailed: the database cannot be reached for the length of a beat.
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
        """Drawing took so long, and has drawn the end after `trials`, or None of them.

        Raises:
            WorkFailed: the database cannot be reached for the length of a beat.
        """
        rest = max(_EVERY_SECONDS, _REST * seconds)
        values = {"holder": None, "due": self._now + rest - seconds} | ({} if trials is None else {"drawn": trials})

        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(update(pages).where(self._mine, pages.c.holder == holder).values(**values))

        with_retries(work, seconds=BEAT_SECONDS)

    def replace(self, prefix: str, texts: Mapping[str, str], *, guard: str | None = None) -> bool:
        """Put texts in the place of the study attributes whose keys begin with a prefix; only what changed is written.

        In one transaction, so that nobody reads half a figure; Optuna's own functions need one for each piece, and
        cannot take any away.

        Args:
            prefix: of the keys.
            texts: by their whole keys, none longer than a row of MySQL takes (64 KB).
            guard: the key of a count that others raise when they write; the texts are theirs then, and False is
                returned.

        Raises:
            WorkFailed: the database failed for good, or for longer.
        """
        attributes, wanted = study_attributes, {key: json.dumps(text) for key, text in texts.items()}
        mine = attributes.c.study_id == self._study_id

        def work() -> bool:
            with self._engine.begin() as connection:
                # One writer at a time: it locks the row of this page.
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
        """Whether a count is 0, or comes to be; locks it, so that it stays so until the end of the transaction."""
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
    """The row of a page that has not been drawn; a minute is left to a study that ends within it."""
    clock = now(engine)
    return {"study_id": study_id, "held_until": clock, "due": clock + _EVERY_SECONDS, "drawn": 0}


def create_missing(engine: Engine) -> None:
    """Boards for the studies of a database that was made without them."""
    with engine.begin() as connection:
        known = select(pages.c.study_id)
        missing = select(slots.c.study_id).distinct().where(slots.c.study_id.not_in(known))
        for study_id in list(connection.scalars(missing)):
            connection.execute(insert(pages).values(**_fresh(engine, study_id)))
