"""Trials read from Optuna's tables in a few plain queries.

Optuna's ORM makes an object of every row and takes 3.1 s of processor time for 5,000 trials; the queries here take
0.4 s (measured: `tests/benchmarks/reading_speed.py`). `open_storage` has checked the version of the tables.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Container
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    cast,
    literal_column,
    null,
    select,
    union_all,
)

from batchlaw.storage.optuna_internals.plain import TrialHead

ByTrial = defaultdict[int, dict[Any, Any]]  # by the trial's id
TRIALS = models.TrialModel.__table__
_FEW = 100  # up to so many trials a query lists their ids
_COLUMNS = ("key", "step", "number", "kind", "text")  # of the rows of all tables, see `_rows`
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}  # Optuna's names


def heads_of(storage: RDBStorage, study_id: int, key: str) -> list[TrialHead]:
    """Every trial of a study in the order of its number; `attribute` is its user attribute `key`, or None."""
    trials, values = models.TrialModel.__table__, models.TrialValueModel.__table__
    attributes = models.TrialUserAttributeModel.__table__
    rows = trials.outerjoin(values, values.c.trial_id == trials.c.trial_id).outerjoin(
        attributes, and_(attributes.c.trial_id == trials.c.trial_id, attributes.c.key == key)
    )
    query = select(
        trials.c.number, trials.c.state, values.c.value, values.c.value_type, attributes.c.value_json,
        trials.c.datetime_start, trials.c.datetime_complete,
    ).select_from(rows)  # fmt: skip
    with storage.engine.connect() as connection:
        found = connection.execute(query.where(trials.c.study_id == study_id).order_by(trials.c.number))
        return [
            TrialHead(
                number=number, state=state, value=kind and models.TrialValueModel.stored_repr_to_value(value, kind),
                attribute=text and json.loads(text), started=_local(started), ended=_local(ended),
            )
            for number, state, value, kind, text, started, ended in found
        ]  # fmt: skip


def trials_of(
    storage: RDBStorage,
    study_id: int,
    *,
    number: int | None = None,
    as_text: Container[str] = (),
    without: tuple[str, ...] = (),
) -> list[FrozenTrial]:
    """The trials of a study, as from `study.get_trials()`; equal distributions are one object.

    Args:
        storage: the database.
        study_id: Optuna's id of the study.
        number: of the only trial to read; None reads all.
        as_text: names of user attributes to return as JSON text, for callers that parse it themselves.
        without: names of user attributes that are not read, since they are long.
    """
    where = [TRIALS.c.study_id == study_id]
    if number is not None:
        where.append(TRIALS.c.number == number)
    with storage.engine.connect() as connection:
        return read_trials(connection, *where, as_text=as_text, without=without)


def read_trials(
    connection: Connection,
    *where: ColumnElement[bool],
    as_text: Container[str] = (),
    without: tuple[str, ...] = (),
) -> list[FrozenTrial]:
    """The trials that meet the conditions on Optuna's table of trials, in the order of creation."""
    own = TRIALS.c
    query = select(own.trial_id, own.number, own.state, own.datetime_start, own.datetime_complete)
    # The states are read first: everything else of a finished trial was written before its state.
    heads = connection.execute(query.where(*where).order_by(own.trial_id)).all()
    if not heads:
        return []
    if len(heads) <= _FEW:
        rows = connection.execute(_rows_of_few(without), {"few": [head.trial_id for head in heads]})
    else:
        rows = connection.execute(_rows_of_many(*where, without=without))
    values, params, distributions, reports, user_attributes, system_attributes = (ByTrial(dict) for _ in range(6))
    # Sorted by the rows' own ids, so that parameters are in the order of writing.
    for part, trial_id, _, key, step, number, kind, text in sorted(rows, key=itemgetter(2)):
        match part:
            case "value":
                values[trial_id][step] = _NOT_FINITE.get(kind, number)
            case "param":
                distribution = distributions[trial_id][key] = _distribution(text)
                params[trial_id][key] = distribution.to_external_repr(number)
            case "report":
                reports[trial_id][step] = _NOT_FINITE.get(kind, number)
            case "user":
                user_attributes[trial_id][key] = text if key in as_text else json.loads(text)
            case _:
                system_attributes[trial_id][key] = json.loads(text)
    return [
        FrozenTrial(
            number=number, state=state, value=None, trial_id=trial_id,
            values=[value for _, value in sorted(values[trial_id].items())] or None,
            datetime_start=_local(started), datetime_complete=_local(ended),
            params=params[trial_id], distributions=distributions[trial_id], intermediate_values=reports[trial_id],
            user_attrs=user_attributes[trial_id], system_attrs=system_attributes[trial_id],
        )
        for trial_id, number, state, started, ended in heads
    ]  # fmt: skip


@cache
def _rows_of_few(without: tuple[str, ...]) -> CompoundSelect[Any]:
    """The rows of the trials `few`; every database uses its indices for this."""
    return _rows(lambda query, table: query.where(table.c.trial_id.in_(bindparam("few", expanding=True))), without)


def _rows_of_many(*where: ColumnElement[bool], without: tuple[str, ...]) -> CompoundSelect[Any]:
    """The rows of the trials that meet the conditions."""
    return _rows(lambda query, table: query.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id).where(*where), without)


def _rows(restrict: Callable[[Select[Any], Any], Select[Any]], without: tuple[str, ...]) -> CompoundSelect[Any]:
    """The rows of five tables in one statement: table, trial, row, key, step, number, kind of number, text."""

    def part(model: type[models.BaseModel], name: str, **columns: str) -> Select[Any]:
        table, selected = model.__table__, []
        for column in _COLUMNS:
            source = table.c[columns[column]] if column in columns else null()
            # The kinds of two tables are different enums, so both are cast.
            selected.append((cast(source, String(8)) if column == "kind" else source).label(column))
        row = next(iter(table.primary_key)).label("row")
        query = select(literal_column(f"'{name}'").label("part"), table.c.trial_id, row, *selected)
        if without and name == "user":
            query = query.where(table.c.key.not_in(without))
        return restrict(query, table)

    number = {"step": "step", "number": "intermediate_value", "kind": "intermediate_value_type"}
    # PostgreSQL takes the types of the columns from the first parts; the first two have every column.
    return union_all(
        part(models.TrialValueModel, "value", step="objective", number="value", kind="value_type"),
        part(models.TrialParamModel, "param", key="param_name", number="param_value", text="distribution_json"),
        part(models.TrialIntermediateValueModel, "report", **number),
        part(models.TrialUserAttributeModel, "user", key="key", text="value_json"),
        part(models.TrialSystemAttributeModel, "system", key="key", text="value_json"),
    )


@cache
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _local(stored: datetime | None) -> datetime | None:
    """Optuna stores naive UTC times and returns naive local times."""
    return stored and stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
