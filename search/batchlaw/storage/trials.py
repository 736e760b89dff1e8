"""Trials read from Optuna's tables in a few plain queries, for those who read them all or count them.

Optuna's own reading makes an object of every row: 5,000 trials take 3.1 s of processor time that way, and 0.4 s here
(measured: `tests/benchmarks/reading_speed.py`). Its tables are of the version that `open_storage` has checked.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Engine,
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

Nested = defaultdict[int, dict[Any, Any]]  # by the trial's id in the database
_TRIALS = models.TrialModel.__table__
_FEW = 100  # trials that a query names one by one
_COLUMNS = ("key", "step", "number", "kind", "text")  # what the tables have in common
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}  # by Optuna's names


@dataclass(frozen=True, kw_only=True)
class TrialHead:
    """What a row of Optuna's trials says by itself, with its value and one of its attributes."""

    number: int
    state: TrialState
    value: float | None
    attribute: Any
    started: datetime | None  # local time, as Optuna gives it
    ended: datetime | None


def heads_of(engine: Engine, study_id: int, key: str) -> list[TrialHead]:
    """Every trial of a study by number, with the user attribute `key`, or None where it has none."""
    trials, values = models.TrialModel.__table__, models.TrialValueModel.__table__
    attributes = models.TrialUserAttributeModel.__table__
    rows = trials.outerjoin(values, values.c.trial_id == trials.c.trial_id).outerjoin(
        attributes, and_(attributes.c.trial_id == trials.c.trial_id, attributes.c.key == key)
    )
    query = select(
        trials.c.number, trials.c.state, values.c.value, values.c.value_type, attributes.c.value_json,
        trials.c.datetime_start, trials.c.datetime_complete,
    ).select_from(rows)  # fmt: skip
    with engine.connect() as connection:
        found = connection.execute(query.where(trials.c.study_id == study_id).order_by(trials.c.number))
        return [
            TrialHead(
                number=number, state=state, value=kind and models.TrialValueModel.stored_repr_to_value(value, kind),
                attribute=text and json.loads(text), started=_local(started), ended=_local(ended),
            )
            for number, state, value, kind, text, started, ended in found
        ]  # fmt: skip


def trials_of(
    engine: Engine, study_id: int, *, number: int | None = None, as_text: Container[str] = ()
) -> list[FrozenTrial]:
    """Every trial of a study, equal to `study.get_trials()`; they share their distributions.

    Args:
        engine: of the database.
        study_id: its number there.
        number: of the one trial to read; None reads all.
        as_text: user attributes that are left as their JSON, for a reader that parses them itself.
    """
    where = [_TRIALS.c.study_id == study_id]
    if number is not None:
        where.append(_TRIALS.c.number == number)
    with engine.connect() as connection:
        return read_trials(connection, *where, as_text=as_text)


def read_trials(connection: Connection, *where: ColumnElement[bool], as_text: Container[str] = ()) -> list[FrozenTrial]:
    """The trials that meet conditions on Optuna's table of them, in the order of creation."""
    own = _TRIALS.c
    query = select(own.trial_id, own.number, own.state, own.datetime_start, own.datetime_complete)
    # First of all: what belongs to a trial that has ended was written before its state.
    heads = connection.execute(query.where(*where).order_by(own.trial_id)).all()
    if not heads:
        return []
    if len(heads) <= _FEW:
        rows = connection.execute(_rows_of_few(), {"few": [head.trial_id for head in heads]})
    else:
        rows = connection.execute(_rows_of_many(*where))
    values, params, distributions, reports, user_attributes, system_attributes = (Nested(dict) for _ in range(6))
    # By their own ids, which are in the order of writing: that of the parameters.
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
def _rows_of_few() -> CompoundSelect[Any]:
    """What belongs to the trials `few`, which every database finds by its indices."""
    return _rows(lambda query, table: query.where(table.c.trial_id.in_(bindparam("few", expanding=True))))


def _rows_of_many(*where: ColumnElement[bool]) -> CompoundSelect[Any]:
    """What belongs to the trials that meet conditions."""
    return _rows(lambda query, table: query.join(_TRIALS, _TRIALS.c.trial_id == table.c.trial_id).where(*where))


def _rows(of: Callable[[Select[Any], Any], Select[Any]]) -> CompoundSelect[Any]:
    """The rows of five tables in one statement: table, trial, row, key, step, number, kind of number, text."""

    def part(model: type[models.BaseModel], name: str, **columns: str) -> Select[Any]:
        table, told = model.__table__, []
        for column in _COLUMNS:
            found = table.c[columns[column]] if column in columns else null()
            told.append((cast(found, String(8)) if column == "kind" else found).label(column))  # two kinds of enums
        row = next(iter(table.primary_key)).label("row")
        return of(select(literal_column(f"'{name}'").label("part"), table.c.trial_id, row, *told), table)

    number = {"step": "step", "number": "intermediate_value", "kind": "intermediate_value_type"}
    # The first two have every column between them, by which PostgreSQL tells the types.
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
    """Optuna keeps UTC without saying so, and gives the local time without saying so."""
    return stored and stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
