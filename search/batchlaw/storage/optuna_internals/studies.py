"""Studies read from Optuna's tables, as far as what is stored can be read.

Optuna's own functions refuse every study of a database for one wrong value in any of them.
"""

import re
from typing import Any

from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from sqlalchemy import Connection, String, cast, select

from batchlaw.errors import StudyError
from batchlaw.storage.stored_values import Unreadable, check_text, check_word, json_of, shown, tell

_STUDIES = models.StudyModel.__table__
_PIECE = re.compile(r"dashboard:(\d+:)?(note_str|plot_data):")  # of a text that optuna-dashboard puts together
_DIRECTIONS = tuple(StudyDirection.__members__)


def attributes_of(connection: Connection, model: type[models.BaseModel], study_id: int) -> dict[str, Any]:
    """The attributes of a study in one of the two tables.

    Raises:
        KeyError: there is no such study.
    """
    table = model.__table__
    query = select(_STUDIES.c.study_name, table.c.key, table.c.value_json).select_from(
        _STUDIES.outerjoin(table, table.c.study_id == _STUDIES.c.study_id)
    )
    rows = connection.execute(query.where(_STUDIES.c.study_id == study_id)).all()
    if not rows:
        raise KeyError(models.NOT_FOUND_MSG)
    found = {}
    for name, key, text in rows:
        if key is None:  # a study without attributes
            continue
        try:
            check_text(key, "the name of an attribute")
            value = json_of(text, f"attribute {shown(key)}")
            if _PIECE.match(key):
                check_text(value, f"attribute {shown(key)}")
            found[key] = value
        except Unreadable as error:
            tell(connection.engine.url, name, str(error))
    return found


def directions_of(connection: Connection, study_id: int) -> list[StudyDirection]:
    """The directions of a study, one for each of its objectives.

    Raises:
        KeyError: there is no such study.
        StudyError: they cannot be read.
    """
    table = models.StudyDirectionModel.__table__
    query = select(_STUDIES.c.study_name, cast(table.c.direction, String(8))).select_from(
        _STUDIES.outerjoin(table, table.c.study_id == _STUDIES.c.study_id)
    )
    rows = connection.execute(query.where(_STUDIES.c.study_id == study_id).order_by(table.c.objective)).all()
    if not rows:
        raise KeyError(models.NOT_FOUND_MSG)
    try:
        for _, word in rows:
            check_word(word, "direction", _DIRECTIONS)
    except Unreadable as error:
        raise StudyError(f"study {shown(rows[0][0])}: {error}") from None
    return [StudyDirection[word] for _, word in rows]


def all_studies(connection: Connection) -> list[FrozenStudy]:
    """Every study whose directions can be read, in the order in which they were made."""
    found = []
    for study_id, name in connection.execute(
        select(_STUDIES.c.study_id, _STUDIES.c.study_name).order_by(_STUDIES.c.study_id)
    ).all():
        try:
            directions = directions_of(connection, study_id)
        except StudyError as error:
            tell(connection.engine.url, name, str(error))
            continue
        found.append(
            FrozenStudy(
                study_name=name, direction=None, directions=directions, study_id=study_id,
                user_attrs=attributes_of(connection, models.StudyUserAttributeModel, study_id),
                system_attrs=attributes_of(connection, models.StudySystemAttributeModel, study_id),
            )
        )  # fmt: skip
    return found
