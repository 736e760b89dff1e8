"""Optuna's storage, with plain statements for the calls that make up most of a trial's life.

Optuna writes a report in a transaction of an ORM that reads the trial, looks for an earlier report, and adds one, which
takes milliseconds of the processor; a trial has a few dozen of such calls. Here a row is added by one statement, on the
condition that its trial has not ended, or several rows by one (`pending`), and a trial is read by two (`trials.py`).
Whatever is not that plain, such as a row that is there already, or a trial that has ended, is left to Optuna's own
method, which knows what to do or to say.
`tests/integration/test_rows.py` holds it to Optuna's suite for storages, on every database.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _VersionManager
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Insert, Table, bindparam, create_engine, insert, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker

from batchlaw.storage.tables import lazily
from batchlaw.storage.trials import read_trials

_TRIALS = models.TrialModel.__table__
# As a list of states it could not be used for several rows at once.
_UNFINISHED = or_(*(_TRIALS.c.state == state for state in TrialState if not state.is_finished()))
_STUDY = select(models.StudyModel.study_id).where(models.StudyModel.study_id == bindparam("of"))
_NAMED = select(models.StudyModel.study_id).where(models.StudyModel.study_name == bindparam("name"))
_EARLIER = select(_TRIALS.c.number).where(_TRIALS.c.study_id == bindparam("in"), _TRIALS.c.trial_id < bindparam("than"))
_LATEST = _EARLIER.order_by(_TRIALS.c.trial_id.desc()).limit(1)
_NUMBERED = update(_TRIALS).where(_TRIALS.c.trial_id == bindparam("of")).values(number=bindparam("as"))
_ENDED = (
    update(_TRIALS)
    .where(_TRIALS.c.trial_id == bindparam("of"), _UNFINISHED)
    .values(state=bindparam("as"), datetime_complete=bindparam("at"))
)


@dataclass(frozen=True)
class Row:
    """One that belongs to a trial."""

    table: Table
    values: dict[str, Any]
    lazily: bool  # whether PostgreSQL may be a moment late with it on its disk
    otherwise: Callable[[], None]  # Optuna's own way of writing it


_pending: ContextVar[list[Row] | None] = ContextVar("_pending", default=None)  # of this thread


class RowStorage(RDBStorage):
    """`RDBStorage`, faster."""

    def __init__(
        self, url: str, engine_kwargs: dict[str, Any], *, known: bool = False, any_schema: bool = False
    ) -> None:
        """Open a database.

        Args:
            url: of it.
            engine_kwargs: of SQLAlchemy's.
            known: its tables have been found to be those of this Optuna. Optuna would look at each of them, and load
                alembic to ask for their version, which takes a fifth of a second.
            any_schema: of whatever version they are.
        """
        if not known:
            super().__init__(url, engine_kwargs=engine_kwargs, skip_compatibility_check=any_schema)
            return
        self.url, self.engine_kwargs, self.skip_compatibility_check = url, engine_kwargs, any_schema
        self.heartbeat_interval = self.grace_period = None
        self.heartbeat_stale_trial_callback = self.failed_trial_callback = None
        self.engine = create_engine(url, **engine_kwargs)
        self.scoped_session = scoped_session(sessionmaker(bind=self.engine))

    @cached_property
    def _version_manager(self) -> _VersionManager:  # type: ignore[override]  # Optuna sets it on the instance
        """What knows of versions, where a known database is asked for its own after all."""
        return _VersionManager(self.url, self.engine, self.scoped_session)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Asked by Hyperband at each of its steps."""
        with _optunas_errors(), self._alone() as connection:
            study_id: int | None = connection.scalar(_NAMED, {"name": study_name})
        return super().get_study_id_from_name(study_name) if study_id is None else study_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        with _optunas_errors(), self._alone() as connection:
            found = read_trials(connection, _TRIALS.c.trial_id == trial_id)
        return found[0] if found else super().get_trial(trial_id)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Those of a study that are named or younger than another: what Optuna's cache asks for."""
        where = [_TRIALS.c.study_id == study_id]
        if states is not None:
            assert isinstance(states, Iterable)
            where.append(_TRIALS.c.state.in_(list(states)))
        if trial_id_greater_than > -1:
            own, younger = _TRIALS.c.trial_id, _TRIALS.c.trial_id > trial_id_greater_than
            where.append(or_(younger, own.in_(included_trial_ids)) if included_trial_ids else younger)
            # Implied, and a range of the index: without it SQLite reads every trial of the study.
            where.append(own >= min({trial_id_greater_than, *included_trial_ids}))
        with _optunas_errors(), self._alone() as connection:
            found = read_trials(connection, *where)
        return found or super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """A running trial; one from a template is left to Optuna."""
        if template_trial is not None:
            return super()._create_new_trial(study_id, template_trial)
        started = datetime.now()
        running = {"study_id": study_id, "state": TrialState.RUNNING, "datetime_start": _utc(started)}
        with _optunas_errors(), self.engine.begin() as connection:
            # One at a time, or two would get the same number.
            if connection.scalar(_STUDY.with_for_update(), {"of": study_id}) is None:
                raise KeyError(models.NOT_FOUND_MSG)
            key = connection.execute(insert(_TRIALS).values(running)).inserted_primary_key
            assert key is not None
            trial_id = key[0]
            latest = connection.scalar(_LATEST, {"in": study_id, "than": trial_id})
            number = 0 if latest is None else latest + 1
            connection.execute(_NUMBERED, {"of": trial_id, "as": number})
        return FrozenTrial(
            number=number, trial_id=trial_id, state=TrialState.RUNNING, datetime_start=started, datetime_complete=None,
            value=None, params={}, distributions={}, user_attrs={}, system_attrs={}, intermediate_values={},
        )  # fmt: skip

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Keep a report."""
        model, optunas = models.TrialIntermediateValueModel, super().set_trial_intermediate_value
        value, kind = model.intermediate_value_to_stored_repr(intermediate_value)
        row = {"step": step, "intermediate_value": value, "intermediate_value_type": kind}
        self._add(trial_id, Row(model.__table__, row, True, lambda: optunas(trial_id, step, intermediate_value)))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep an attribute, and on the disk all that was added lazily before."""
        table, optunas = models.TrialUserAttributeModel.__table__, super().set_trial_user_attr
        row = {"key": key, "value_json": json.dumps(value)}
        self._add(trial_id, Row(table, row, False, lambda: optunas(trial_id, key, value)))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep an attribute of Optuna's own."""
        table, optunas = models.TrialSystemAttributeModel.__table__, super().set_trial_system_attr
        row = {"key": key, "value_json": json.dumps(value)}
        self._add(trial_id, Row(table, row, True, lambda: optunas(trial_id, key, value)))

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        """Keep a parameter; Optuna's cache knows its distribution from the second time on."""
        optunas = super()._set_trial_param
        arguments = (trial_id, param_name, param_value_internal, distribution, previous_distribution)
        if previous_distribution != distribution:
            optunas(*arguments)
            return
        text = distribution_to_json(distribution)
        row = {"param_name": param_name, "param_value": param_value_internal, "distribution_json": text}
        self._add(trial_id, Row(models.TrialParamModel.__table__, row, True, lambda: optunas(*arguments)))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """End a trial, in one transaction with what is pending of it; other states are left to Optuna."""
        pending = _pending.get()
        if state.is_finished() and self._end(trial_id, state, values or (), pending or ()):
            if pending:
                pending.clear()
            return True
        while pending:
            pending[0].otherwise()
            del pending[0]
        return super().set_trial_state_values(trial_id, state, values)

    def _end(self, trial_id: int, state: TrialState, values: Sequence[float], pending: Sequence[Row]) -> bool:
        rows = []
        for objective, value in enumerate(values):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            rows.append({"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind})
        try:
            with _optunas_errors(), self.engine.begin() as connection:
                _insert(connection, trial_id, pending, wait=True)
                ended = connection.execute(_ENDED, {"of": trial_id, "as": state, "at": _utc(datetime.now())})
                if ended.rowcount != 1:
                    raise _NotPlain
                if rows:
                    connection.execute(insert(models.TrialValueModel.__table__), rows)
        except (IntegrityError, _NotPlain):
            return False
        return True

    @contextmanager
    def pending(self) -> Iterator[list[Row]]:
        """Keep what this thread adds to trials meanwhile, for `write`."""
        rows: list[Row] = []
        before = _pending.set(rows)
        try:
            yield rows
        finally:
            _pending.reset(before)

    def _add(self, trial_id: int, row: Row) -> None:
        rows = _pending.get()
        if rows is None:
            self.write(trial_id, [row])
        else:
            rows.append(row)

    def write(self, trial_id: int, rows: Sequence[Row]) -> None:
        """Add rows, all or none, to a trial that has not ended; where it has, or one is there, do as Optuna does.

        Where all are lazy, a crash of the server may take back what nothing that was waited for came after. Of a trial
        that goes on these are its last reports, which its result holds as well.
        """
        wait = not all(row.lazily for row in rows)
        try:
            with _optunas_errors(), self.engine.begin() if len(rows) > 1 else self._alone() as connection:
                _insert(connection, trial_id, rows, wait=wait)
        except (IntegrityError, _NotPlain):
            for row in rows:
                row.otherwise()

    def _alone(self) -> Connection:
        """A connection on which each statement is a transaction, which spares two trips to the server."""
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")


class _NotPlain(Exception):  # takes a transaction back, and is never seen outside
    """A trial has ended."""


def _insert(connection: Connection, trial_id: int, rows: Sequence[Row], *, wait: bool) -> None:
    of_table: defaultdict[Table, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of_table[row.table].append(row.values | {"of": trial_id})
    for table, values in of_table.items():
        added = connection.execute(_addition(table, connection.dialect.name, wait=wait), values)
        if added.rowcount != len(values):
            raise _NotPlain


@cache
def _addition(table: Table, dialect: str, *, wait: bool) -> Insert:
    """A row of a table that belongs to the trial `of`, unless that has ended."""
    columns = [column for column in table.c if not column.primary_key and column.name != "trial_id"]
    row = select(_TRIALS.c.trial_id, *(bindparam(column.name, type_=column.type) for column in columns))
    unfinished = row.where(_TRIALS.c.trial_id == bindparam("of"), _UNFINISHED)
    if not wait:
        unfinished = unfinished.where(lazily(dialect))
    added = insert(table).from_select(["trial_id", *(column.name for column in columns)], unfinished)
    return added.execution_options(preserve_rowcount=True)


@contextmanager
def _optunas_errors() -> Iterator[None]:
    """Name the errors of the database as Optuna's own methods do."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise StorageInternalError("A statement on the trials failed.") from error


def _utc(local: datetime) -> datetime:
    """As Optuna keeps a local time: in UTC, without saying so."""
    return local.astimezone(UTC).replace(tzinfo=None)
