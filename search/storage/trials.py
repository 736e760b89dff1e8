"""Trials read from Optuna's tables in a few plain queries, for those who read them all or count them.

Optuna's own reading makes an object of every row: 5,000 trials take 3.1 s of processor time that way, and 0.4 s here
(measured: `tests/benchmarks/reading_speed.py`). Its tables are of the version that `open_storage` has checked.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, and_, select

Nested = defaultdict[int, dict[Any, Any]]  # by the trial's id in the database


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


def trials_of(engine: Engine, study_id: int) -> list[FrozenTrial]:
    """Every trial of a study by number, equal to `study.get_trials()`; they share their distributions."""
    trials = models.TrialModel.__table__.c
    head = select(trials.trial_id, trials.number, trials.state, trials.datetime_start, trials.datetime_complete)
    with engine.connect() as connection:
        # First of all: what belongs to a trial that has ended was written before its state.
        heads = connection.execute(head.where(trials.study_id == study_id).order_by(trials.number)).all()
        values = {
            trial_id: models.TrialValueModel.stored_repr_to_value(value, kind)
            for trial_id, value, kind in _rows(connection, study_id, models.TrialValueModel, "value", "value_type")
        }
        params, distributions = _params(connection, study_id)
        reports = _reports(connection, study_id)
        system_attributes = _attributes(connection, study_id, models.TrialSystemAttributeModel)
        user_attributes = _attributes(connection, study_id, models.TrialUserAttributeModel)
    return [
        FrozenTrial(
            number=number, state=state, value=values.get(trial_id), trial_id=trial_id,
            datetime_start=_local(started), datetime_complete=_local(ended),
            params=params[trial_id], distributions=distributions[trial_id], intermediate_values=reports[trial_id],
            user_attrs=user_attributes[trial_id], system_attrs=system_attributes[trial_id],
        )
        for trial_id, number, state, started, ended in heads
    ]  # fmt: skip


def _rows(connection: Connection, study_id: int, model: type[models.BaseModel], *columns: str) -> Iterator[Any]:
    """The id of the trial and some columns of the rows of a table that belong to a study, in the order of writing."""
    table, trials = model.__table__, models.TrialModel.__table__
    query = select(table.c.trial_id, *(table.c[column] for column in columns))
    mine = query.join(trials, trials.c.trial_id == table.c.trial_id).where(trials.c.study_id == study_id)
    return iter(connection.execute(mine.order_by(*table.primary_key)))


def _params(connection: Connection, study_id: int) -> tuple[Nested, Nested]:
    """The parameters of each trial as they were suggested, and their distributions."""
    params: Nested = defaultdict(dict)
    distributions: Nested = defaultdict(dict)
    columns = ("param_name", "param_value", "distribution_json")
    for trial_id, name, value, text in _rows(connection, study_id, models.TrialParamModel, *columns):
        distribution = _distribution(text)
        params[trial_id][name] = distribution.to_external_repr(value)
        distributions[trial_id][name] = distribution
    return params, distributions


def _reports(connection: Connection, study_id: int) -> Nested:
    """The intermediate values of each trial by step."""
    model, reports = models.TrialIntermediateValueModel, defaultdict[int, dict[Any, Any]](dict)
    for trial_id, step, value, kind in _rows(
        connection, study_id, model, "step", "intermediate_value", "intermediate_value_type"
    ):
        reports[trial_id][step] = model.stored_repr_to_intermediate_value(value, kind)
    return reports


def _attributes(connection: Connection, study_id: int, model: type[models.BaseModel]) -> Nested:
    """The attributes of each trial by key."""
    attributes: Nested = defaultdict(dict)
    for trial_id, key, text in _rows(connection, study_id, model, "key", "value_json"):
        attributes[trial_id][key] = json.loads(text)
    return attributes


@cache
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _local(stored: datetime | None) -> datetime | None:
    """Optuna keeps UTC without saying so, and gives the local time without saying so."""
    return stored and stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
