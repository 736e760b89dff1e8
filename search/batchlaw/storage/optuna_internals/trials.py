"""Trials read from Optuna's tables in a few plain queries.

Optuna's ORM makes an object of every row and takes 3.1 s of processor time for 5,000 trials; the queries here take
0.4 s (measured: `tests/benchmarks/reading_speed.py`). `open_storage` has checked the version of the tables.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Mapping
from datetime import datetime
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    true,
    type_coerce,
    union_all,
)

from batchlaw.recipe.result import Outcome
from batchlaw.storage.attributes import OUTCOME, REASON, check_attribute
from batchlaw.storage.optuna_internals.plain import PARTS, TrialHead
from batchlaw.storage.stored_values import (
    Unreadable,
    check_text,
    check_whole,
    check_word,
    json_of,
    moment_of,
    number_of,
    shown,
    tell,
)

TRIALS = models.TrialModel.__table__
# As they are stored: SQLAlchemy's own types refuse a whole answer for one wrong word or time in it.
_HEAD = (
    TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.study_id, cast(TRIALS.c.state, String(8)).label("state"),
    type_coerce(TRIALS.c.datetime_start, String), type_coerce(TRIALS.c.datetime_complete, String),
)  # fmt: skip
_STATES = tuple(TrialState.__members__)
_UNFINISHED = {state.name for state in TrialState if not state.is_finished()}
_NONE: Mapping[int, FrozenTrial] = {}
_FEW = 100  # up to so many trials a query lists their ids
_APART = 10  # so many trials under way are worth a query of their own
_NAMED = 1000  # trials that a query names; a database takes a bounded number of values
_COLUMNS = ("key", "step", "number", "kind", "text")  # of the rows of all tables, see `_rows`


def name_of(connection: Connection, study_id: int) -> str:
    """The name of a study, for a line about it."""
    return str(connection.scalar(select(models.StudyModel.study_name).where(models.StudyModel.study_id == study_id)))


def heads_of(storage: RDBStorage, study_id: int, *keys: str) -> list[TrialHead]:
    """Every trial of a study in the order of its number, with those of its user attributes that have these keys."""
    values = models.TrialValueModel.__table__
    attributes = [models.TrialUserAttributeModel.__table__.alias() for _ in keys]
    rows = TRIALS.outerjoin(values, values.c.trial_id == TRIALS.c.trial_id)
    for key, of_key in zip(keys, attributes, strict=True):
        rows = rows.outerjoin(of_key, and_(of_key.c.trial_id == TRIALS.c.trial_id, of_key.c.key == key))
    texts = [of_key.c.value_json for of_key in attributes]
    query = select(*_HEAD, values.c.value, cast(values.c.value_type, String(8)), *texts)
    with storage.engine.connect() as connection:
        found = connection.execute(query.select_from(rows).where(TRIALS.c.study_id == study_id)).all()
        heads = [
            _head(connection, _Stored(*head), value, kind, dict(zip(keys, texts, strict=True)))
            for *head, value, kind, texts in ((*row[:8], row[8:]) for row in found)
        ]
    return sorted((head for head in heads if head is not None), key=attrgetter("number"))


def n_trials_of(storage: RDBStorage, study_id: int) -> int:
    """The number of trials of a study; Optuna's function reads them all."""
    with storage.engine.connect() as connection:
        return connection.scalar(select(func.count()).where(TRIALS.c.study_id == study_id)) or 0


def trials_of(
    storage: RDBStorage,
    study_id: int,
    *,
    numbers: Collection[int] | None = None,
    as_text: Container[str] = (),
    without: tuple[str, ...] = (),
    parts: tuple[str, ...] = PARTS,
) -> list[FrozenTrial]:
    """The trials of a study, as from `study.get_trials()`; equal distributions are one object.

    Args:
        storage: the database.
        study_id: Optuna's id of the study.
        numbers: of the trials to read; None reads all.
        as_text: names of user attributes to return as JSON text, for callers that parse it themselves.
        without: names of user attributes that are not read, since they are long.
        parts: of a trial that are read, in this order.
    """
    mine = TRIALS.c.study_id == study_id
    ordered = sorted(numbers or ())
    parted = [TRIALS.c.number.in_(ordered[k : k + _NAMED]) for k in range(0, len(ordered), _NAMED)]
    with storage.engine.connect() as connection:
        return [
            trial
            for among in ([true()] if numbers is None else parted)
            for trial in read_trials(connection, mine, among, as_text=as_text, without=without, parts=parts)
        ]


def read_trials(
    connection: Connection,
    *where: ColumnElement[bool],
    as_text: Container[str] = (),
    without: tuple[str, ...] = (),
    parts: tuple[str, ...] = PARTS,
    known: Mapping[int, FrozenTrial] = _NONE,
) -> list[FrozenTrial]:
    """The trials that meet the conditions on Optuna's table of trials, in the order of creation.

    Of those that are `known` by their ids and have not ended only reports are read, where that saves something.
    """
    # The states are read first: everything else of a finished trial was written before its state.
    heads = [_Stored(*row) for row in connection.execute(select(*_HEAD).where(*where).order_by(TRIALS.c.trial_id))]
    if not heads:
        return []
    kept = {head.trial_id: known[head.trial_id] for head in heads if head.trial_id in known and head.under_way}
    if len(kept) < min(_APART, len(heads)) or len(heads) - len(kept) > _FEW:
        kept = {}
    others = [head.trial_id for head in heads if head.trial_id not in kept]
    rows: list[Any] = []
    if kept:
        rows += connection.execute(_rows_of_few(without, ("report",)), {"few": list(kept)})
    if len(others) > _FEW:
        rows += connection.execute(_rows_of_many(*where, without=without, parts=parts))
    elif others:
        rows += connection.execute(_rows_of_few(without, parts), {"few": others})
    of_trial: defaultdict[int, list[Any]] = defaultdict(list)
    # Sorted by the rows' own ids, so that parameters are in the order of writing.
    for row in sorted(rows, key=itemgetter(2)):
        of_trial[row[1]].append(row)
    found = (_trial(connection, head, of_trial[head.trial_id], as_text, kept.get(head.trial_id)) for head in heads)
    return [trial for trial in found if trial is not None]


class _Stored(NamedTuple):
    """A row of Optuna's table of trials, whose values may be anything."""

    trial_id: int
    number: Any
    study_id: int
    state: Any
    started: Any
    ended: Any

    @property
    def under_way(self) -> bool:
        """Whether the trial has not ended."""
        return self.state in _UNFINISHED

    def read(self) -> tuple[TrialState, datetime | None, datetime | None]:
        """The state, and when the trial started and ended."""
        check_word(self.state, "state", _STATES)
        return TrialState[self.state], moment_of(self.started, "start"), moment_of(self.ended, "end")

    def counts_as(self) -> TrialState:
        """The state of a trial that cannot be read: failed, unless it may still be at work."""
        known = TrialState[self.state] if self.state in _STATES else TrialState.FAIL
        return TrialState.FAIL if known.is_finished() else known

    def told(self, connection: Connection, error: Unreadable) -> str:
        """Tell that the trial cannot be read, and return the reason."""
        name = name_of(connection, self.study_id)
        tell(connection.engine.url, name, f"trial {shown(self.number)}: {error}")
        return str(error)


def _head(
    connection: Connection, stored: _Stored, value: Any, kind: str | None, texts: Mapping[str, str | None]
) -> TrialHead | None:
    """A trial as `heads_of` gives it; None if not even its number can be read."""
    try:
        check_whole(stored.number, "number")
        try:
            state, started, ended = stored.read()
            score = None if kind is None else number_of(value, kind, "value")
            attributes = {key: json_of(text, key) for key, text in texts.items() if text is not None}
            for key, attribute in attributes.items():
                check_attribute(key, attribute)
        except Unreadable as error:
            stored.told(connection, error)
            state, score, attributes, started, ended = stored.counts_as(), None, {}, None, None
    except Unreadable as error:
        stored.told(connection, error)
        return None
    return TrialHead(
        number=stored.number, state=state, value=score, attributes=attributes, started=started, ended=ended
    )  # fmt: skip


def _trial(
    connection: Connection, stored: _Stored, rows: list[Any], as_text: Container[str], known: FrozenTrial | None
) -> FrozenTrial | None:
    """A trial of its rows; a failed one without any if they cannot be read, None if not even its number can be."""
    try:
        check_whole(stored.number, "number")
        try:
            return _assembled(stored, rows, as_text) if known is None else _gone_on(known, stored, rows)
        except Unreadable as error:
            reason = f"cannot be read: {stored.told(connection, error)}"
    except Unreadable as error:
        stored.told(connection, error)
        return None
    return FrozenTrial(
        number=stored.number, state=stored.counts_as(), value=None, trial_id=stored.trial_id,
        datetime_start=None, datetime_complete=None, params={}, distributions={}, intermediate_values={},
        user_attrs={OUTCOME: str(Outcome.FAILED), REASON: reason}, system_attrs={},
    )  # fmt: skip


def _assembled(stored: _Stored, rows: list[Any], as_text: Container[str]) -> FrozenTrial:
    """A trial of its rows.

    Raises:
        Unreadable: a value is none that was written by Optuna or batchlaw.
    """
    state, started, ended = stored.read()
    values: dict[Any, float] = {}
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    reports: dict[Any, float] = {}
    user_attributes: dict[str, Any] = {}
    system_attributes: dict[str, Any] = {}
    for part, _, _, key, step, number, kind, text in rows:
        match part:
            case "value":
                check_whole(step, "objective")
                values[step] = number_of(number, kind, "value")
            case "param":
                params[key], distributions[key] = _param(key, number, text)
            case "report":
                check_whole(step, "step")
                reports[step] = number_of(number, kind, f"report {step}")
            case "user" if key in as_text:
                user_attributes[key] = text
            case "user":
                user_attributes[key] = json_of(text, key)
                check_attribute(key, user_attributes[key])
            case _:
                system_attributes[key] = json_of(text, key)
    if state == TrialState.COMPLETE and 0 not in values:
        raise Unreadable("a complete trial as stored has no value")
    return FrozenTrial(
        number=stored.number, state=state, value=None, trial_id=stored.trial_id,
        values=[value for _, value in sorted(values.items())] or None,
        datetime_start=started, datetime_complete=ended,
        params=params, distributions=distributions, intermediate_values=reports,
        user_attrs=user_attributes, system_attrs=system_attributes,
    )  # fmt: skip


def _gone_on(known: FrozenTrial, stored: _Stored, reports: list[Any]) -> FrozenTrial:
    """A trial under way that was read before, with its state and its reports of now.

    Raises:
        Unreadable: a value is none that was written by Optuna or batchlaw.
    """
    trial = copy.copy(known)
    trial.state, trial.datetime_start, _ = stored.read()
    trial.intermediate_values = {
        step: number_of(number, kind, f"report {step}") for *_, step, number, kind, _ in reports
    }
    return trial


def _param(name: str, number: Any, text: str) -> tuple[Any, BaseDistribution]:
    """The value of a parameter, and its distribution."""
    check_text(name, "the name of a parameter")
    distribution = _distribution(text)
    internal = number_of(number, "", name)
    if getattr(distribution, "log", False) and internal <= 0:
        raise Unreadable(f"parameter {shown(name)} as stored is {shown(number)}, and its range has a log scale")
    if isinstance(distribution, CategoricalDistribution) and not distribution._contains(internal):
        raise Unreadable(f"parameter {shown(name)} as stored is {shown(number)}, which is none of its choices")
    return distribution.to_external_repr(internal), distribution


@cache
def _rows_of_few(without: tuple[str, ...], parts: tuple[str, ...]) -> CompoundSelect[Any]:
    """The rows of the trials `few`; every database uses its indices for this."""
    return _rows(
        lambda query, table: query.where(table.c.trial_id.in_(bindparam("few", expanding=True))), without, parts
    )


def _rows_of_many(*where: ColumnElement[bool], without: tuple[str, ...], parts: tuple[str, ...]) -> CompoundSelect[Any]:
    """The rows of the trials that meet the conditions."""
    return _rows(
        lambda query, table: query.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id).where(*where), without, parts
    )


def _rows(
    restrict: Callable[[Select[Any], Any], Select[Any]], without: tuple[str, ...], parts: tuple[str, ...]
) -> CompoundSelect[Any]:
    """The rows of up to five tables in one statement: table, trial, row, key, step, number, kind of number, text."""

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
    tables: tuple[tuple[type[models.BaseModel], dict[str, str]], ...] = (
        (models.TrialValueModel, {"step": "objective", "number": "value", "kind": "value_type"}),
        (models.TrialParamModel, {"key": "param_name", "number": "param_value", "text": "distribution_json"}),
        (models.TrialIntermediateValueModel, number),
        (models.TrialUserAttributeModel, {"key": "key", "text": "value_json"}),
        (models.TrialSystemAttributeModel, {"key": "key", "text": "value_json"}),
    )
    return union_all(
        *(part(model, name, **columns) for name, (model, columns) in zip(PARTS, tables, strict=True) if name in parts)
    )


@cache
def _distribution(text: str) -> BaseDistribution:
    try:
        return json_to_distribution(text)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise Unreadable(f"a range of a parameter as stored is none of Optuna's: {shown(text)}") from None
