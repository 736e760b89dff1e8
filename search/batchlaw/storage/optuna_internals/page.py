"""The page of a study, written in one transaction in the form that optuna-dashboard reads."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from optuna.storages._rdb.models import StudySystemAttributeModel
from optuna.study import Study
from optuna_dashboard._custom_plot_data import SYSTEM_ATTR_PLOT_DATA
from optuna_dashboard._note import note_str_key_prefix, note_ver_key, split_body
from sqlalchemy import Connection, Engine, and_, delete, insert, select, update

from batchlaw.storage.retries import with_retries
from batchlaw.storage.tables import pages

if TYPE_CHECKING:
    import plotly.graph_objects as go

FIGURES = SYSTEM_ATTR_PLOT_DATA + "batchlaw-"
ATTRIBUTES = StudySystemAttributeModel.__table__
# Characters in an attribute. A character takes up to 6 bytes of JSON, and a text of MySQL holds 65,535 bytes. Short
# pieces are also faster: the dashboard reads every attribute again for every trial.
_PIECE = 10_000


def write_page(engine: Engine, study: Study, study_id: int, figures: "Mapping[str, go.Figure]", note: str) -> None:
    """Replace the figures and the note of a study.

    The names of figures get a number, so that the dashboard keeps them in order. A note that somebody has edited on the
    page stays: editing raises its version, and a note written here has version 0.
    """
    pieces: dict[str, str] = {}
    for number, (name, figure) in enumerate(figures.items()):
        text = figure.to_json()
        for piece, start in enumerate(range(0, len(text), _PIECE)):
            pieces[f"{FIGURES}{number:02d}-{name}:{piece}"] = text[start : start + _PIECE]
    replace(engine, study_id, FIGURES, pieces)
    replace(engine, study_id, note_str_key_prefix(None), split_body(note, None), guard=note_ver_key(None))


def replace(engine: Engine, study_id: int, prefix: str, texts: Mapping[str, str], *, guard: str | None = None) -> bool:
    """Replace the study attributes whose keys begin with a prefix; only changes are written.

    One transaction does this, so that nobody reads half a figure. Optuna's functions write each attribute in its own
    transaction and cannot delete any.

    Args:
        engine: the database.
        study_id: of the study.
        prefix: of the keys.
        texts: by their whole keys; each at most 64 KB, the limit of MySQL.
        guard: the key of a counter that optuna-dashboard raises when a person writes. If it is above 0, nothing is
            replaced.

    Returns:
        False if the guard prevented the change.

    Raises:
        WorkFailed: the database failed permanently, or for too long.
    """
    wanted = {key: json.dumps(text) for key, text in texts.items()}
    mine = ATTRIBUTES.c.study_id == study_id

    def work() -> bool:
        with engine.begin() as connection:
            # Locks the row of the page, so that there is one writer at a time.
            connection.execute(update(pages).where(pages.c.study_id == study_id).values(study_id=study_id))
            if guard is not None and not _is_untouched(connection, study_id, guard):
                return False
            query = select(ATTRIBUTES.c.key, ATTRIBUTES.c.value_json).where(
                mine, ATTRIBUTES.c.key.startswith(prefix, autoescape=True)
            )
            kept = {row.key: row.value_json for row in connection.execute(query)}
            gone = [key for key, value in kept.items() if wanted.get(key) != value]
            new = [key for key, value in wanted.items() if kept.get(key) != value]
            if gone:
                connection.execute(delete(ATTRIBUTES).where(mine, ATTRIBUTES.c.key.in_(gone)))
            _insert(connection, study_id, {key: wanted[key] for key in new})
            return True

    return with_retries(work)


def _is_untouched(connection: Connection, study_id: int, guard: str) -> bool:
    """Whether a counter is 0; makes it if it is missing, and locks it until the end of the transaction."""
    mine = and_(ATTRIBUTES.c.study_id == study_id, ATTRIBUTES.c.key == guard)
    zero = update(ATTRIBUTES).where(mine, ATTRIBUTES.c.value_json == "0").values(key=guard)
    if connection.execute(zero).rowcount == 0:
        if connection.execute(select(ATTRIBUTES.c.key).where(mine)).first() is not None:
            return False
        _insert(connection, study_id, {guard: "0"})
    return True


def _insert(connection: Connection, study_id: int, values: Mapping[str, str]) -> None:
    rows = [{"study_id": study_id, "key": key, "value_json": value} for key, value in values.items()]
    if rows:
        connection.execute(insert(ATTRIBUTES), rows)
