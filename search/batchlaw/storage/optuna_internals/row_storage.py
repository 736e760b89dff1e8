"""Optuna's storage, with plain statements for the calls that take most of a trial's time in the database.

For each report Optuna's ORM reads the trial, looks for an earlier report and adds one; this takes milliseconds of
processor time, and a trial makes a few dozen such calls. Here one statement adds a row (`rows.py`), or several rows
that were held back (`RowStorage.pending`), and two statements read a trial (`trials.py`). Everything else, such as a
row that exists already or a trial that has ended, goes to Optuna's own method.
`tests/integration/test_row_storage.py` runs Optuna's test suite for storages on it, on every database.
"""

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _VersionManager
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, bindparam, column, create_engine, func, insert, inspect, or_, select, table, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker

from batchlaw.storage.connections import autocommit
from batchlaw.storage.optuna_internals.cache import cached_reads
from batchlaw.storage.optuna_internals.plain import Along
from batchlaw.storage.optuna_internals.rows import UNFINISHED, NotApplied, Row, insert_rows
from batchlaw.storage.optuna_internals.studies import all_studies, attributes_of, directions_of
from batchlaw.storage.optuna_internals.trials import TRIALS, read_trials
from batchlaw.storage.retries import ValueRefused, with_retries

_STUDY_BY_ID = select(models.StudyModel.study_id).where(models.StudyModel.study_id == bindparam("of"))
_STUDY_BY_NAME = select(models.StudyModel.study_id).where(models.StudyModel.study_name == bindparam("name"))
# MySQL reads the table that it inserts into from a derived table only.
_LATEST = (
    select(TRIALS.c.number)
    .where(TRIALS.c.study_id == bindparam("in"))
    .order_by(TRIALS.c.trial_id.desc())
    .limit(1)
    .subquery()
)
_CREATE_TRIAL = insert(TRIALS).values(
    study_id=bindparam("in"), state=TrialState.RUNNING, datetime_start=bindparam("at"),
    number=select(func.coalesce(func.max(_LATEST.c.number), -1) + 1).scalar_subquery(),
).return_defaults(TRIALS.c.number)  # fmt: skip
_NUMBER = select(TRIALS.c.number).where(TRIALS.c.trial_id == bindparam("of"))
_END_TRIAL = (
    update(TRIALS)
    .where(TRIALS.c.trial_id == bindparam("of"), UNFINISHED)
    .values(state=bindparam("as"), datetime_complete=bindparam("at"))
)
# The condition includes the state, so that one of several workers gets a waiting trial. Optuna reads the state before,
# which on SQLite is before its transaction begins.
_START_TRIAL = (
    update(TRIALS)
    .where(TRIALS.c.trial_id == bindparam("of"), TRIALS.c.state == TrialState.WAITING)
    .values(state=TrialState.RUNNING, datetime_start=bindparam("at"))
)
_HAND_BACK = update(TRIALS).where(TRIALS.c.trial_id == bindparam("of"), UNFINISHED).values(state=TrialState.WAITING)
OPTUNA_SCHEMA = "v3.2.0.a"  # version of Optuna's tables in Optuna 5.0; Optuna itself checks databases of other versions
_LONGEST = 15_000_000  # bytes of an attribute; `max_allowed_packet` is 16 MiB, and a longer one ends the connection
# Of this thread:
_pending: ContextVar[list[Row] | None] = ContextVar("_pending", default=None)
_along: ContextVar[Along | None] = ContextVar("_along", default=None)


class RowStorage(RDBStorage):
    """`RDBStorage` with faster reports, attributes, parameters and reads of trials."""

    def __init__(
        self, url: str, engine_kwargs: dict[str, Any], *, known: bool = False, any_schema: bool = False
    ) -> None:
        """Open a database.

        Args:
            url: of SQLAlchemy.
            engine_kwargs: for SQLAlchemy's `create_engine`.
            known: the tables exist in the version of this Optuna. Optuna's own check, which takes 0.2 s, is skipped.
            any_schema: accept tables of any version.
        """
        self.under_way: dict[int, FrozenTrial] = {}  # by id: what the cache has of trials that change in reports alone
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
        """Made when first needed: it imports Alembic."""
        return _VersionManager(self.url, self.engine, self.scoped_session)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle. Optuna leaves the manager out, which may not have been made yet."""
        _ = self._version_manager
        return super().__getstate__()

    def get_study_id_from_name(self, study_name: str) -> int:
        """The id of a study; Hyperband asks for it at every report."""
        with _as_optuna_errors(), autocommit(self.engine) as connection:
            study_id: int | None = connection.scalar(_STUDY_BY_NAME, {"name": study_name})
        return super().get_study_id_from_name(study_name) if study_id is None else study_id

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The attributes of a study that can be read."""
        with _as_optuna_errors(), autocommit(self.engine) as connection:
            return attributes_of(connection, models.StudyUserAttributeModel, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Optuna's own attributes of a study, and the dashboard's, as far as they can be read."""
        with _as_optuna_errors(), autocommit(self.engine) as connection:
            return attributes_of(connection, models.StudySystemAttributeModel, study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The directions of a study."""
        with _as_optuna_errors(), autocommit(self.engine) as connection:
            return directions_of(connection, study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """The studies that can be read."""
        with _as_optuna_errors(), self.engine.connect() as connection:
            return all_studies(connection)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        with _as_optuna_errors(), autocommit(self.engine) as connection:
            found = read_trials(connection, TRIALS.c.trial_id == trial_id)
        return found[0] if found else super().get_trial(trial_id)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """The trials of a study with one of these ids or a greater id; Optuna's cache calls this."""
        where = [TRIALS.c.study_id == study_id]
        if states is not None:
            assert isinstance(states, Iterable)
            where.append(TRIALS.c.state.in_(list(states)))
        if trial_id_greater_than > -1:
            own, newer = TRIALS.c.trial_id, TRIALS.c.trial_id > trial_id_greater_than
            where.append(or_(newer, own.in_(included_trial_ids)) if included_trial_ids else newer)
            # Redundant, but a range of the index: without it SQLite reads every trial of the study.
            where.append(own >= min({trial_id_greater_than, *included_trial_ids}))
        with _as_optuna_errors(), autocommit(self.engine) as connection:
            found = read_trials(connection, *where, known=self.under_way)
        return found or super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """A new running trial; Optuna makes one from a template."""
        if template_trial is not None:
            return super()._create_new_trial(study_id, template_trial)
        started = datetime.now()
        with _as_optuna_errors(), self.engine.begin() as connection:
            # Locks the study, so that two processes do not give the same number.
            if connection.scalar(_STUDY_BY_ID.with_for_update(), {"of": study_id}) is None:
                raise KeyError(models.NOT_FOUND_MSG)
            made = connection.execute(_CREATE_TRIAL, {"in": study_id, "at": _utc(started)})
            key, returned = made.inserted_primary_key, made.returned_defaults
            assert key is not None
            trial_id = key[0]
            number: Any = connection.scalar(_NUMBER, {"of": trial_id}) if returned is None else returned.number  # MySQL
        return FrozenTrial(
            number=number, trial_id=trial_id, state=TrialState.RUNNING, datetime_start=started, datetime_complete=None,
            value=None, params={}, distributions={}, user_attrs={}, system_attrs={}, intermediate_values={},
        )  # fmt: skip

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Store a report."""
        model, optuna_method = models.TrialIntermediateValueModel, super().set_trial_intermediate_value
        value, kind = model.intermediate_value_to_stored_repr(intermediate_value)
        row = {"step": step, "intermediate_value": value, "intermediate_value_type": kind}
        self._add(trial_id, Row(model.__table__, row, False, lambda: optuna_method(trial_id, step, intermediate_value)))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store an attribute durably; this makes all earlier rows durable too."""
        model, optuna_method = models.TrialUserAttributeModel, super().set_trial_user_attr
        row = {"key": key, "value_json": _json(key, value)}
        self._add(trial_id, Row(model.__table__, row, True, lambda: optuna_method(trial_id, key, value)))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store one of Optuna's own attributes."""
        model, optuna_method = models.TrialSystemAttributeModel, super().set_trial_system_attr
        row = {"key": key, "value_json": json.dumps(value)}
        self._add(trial_id, Row(model.__table__, row, False, lambda: optuna_method(trial_id, key, value)))

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        """Store a parameter; Optuna stores the first of a name in a study, and checks its distribution."""
        optuna_method = super()._set_trial_param
        arguments = (trial_id, param_name, param_value_internal, distribution, previous_distribution)
        if previous_distribution != distribution:
            optuna_method(*arguments)
            return
        text = distribution_to_json(distribution)
        row = {"param_name": param_name, "param_value": param_value_internal, "distribution_json": text}
        self._add(trial_id, Row(models.TrialParamModel.__table__, row, False, lambda: optuna_method(*arguments)))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """End a trial and write its pending rows in one transaction, or start one that waits, or have it wait."""
        if not state.is_finished():
            return self._change(trial_id, state)
        pending = _pending.get()
        if self._end(trial_id, state, values or (), pending or ()):
            if pending:
                pending.clear()
            return True
        while pending:
            pending[0].fallback()
            del pending[0]
        return super().set_trial_state_values(trial_id, state, values)

    def _change(self, trial_id: int, state: TrialState) -> bool:
        """Start a trial or have it wait; False if it is not this worker's to start.

        Raises:
            UpdateFinishedTrialError: it has ended.
            KeyError: there is none.
        """
        statement, more = (
            (_HAND_BACK, {}) if state == TrialState.WAITING else (_START_TRIAL, {"at": _utc(datetime.now())})
        )
        with _as_optuna_errors(), autocommit(self.engine) as connection:
            if connection.execute(statement, {"of": trial_id, **more}).rowcount == 1:
                return True
        self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)
        return False

    def _end(self, trial_id: int, state: TrialState, values: Sequence[float], pending: Sequence[Row]) -> bool:
        """Whether the trial could be ended by plain statements."""
        rows, along = [], _along.get()
        for objective, value in enumerate(values):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            rows.append({"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind})
        try:
            with _as_optuna_errors(), self.engine.begin() as connection:
                insert_rows(connection, trial_id, pending, durable=True)
                ended = connection.execute(_END_TRIAL, {"of": trial_id, "as": state, "at": _utc(datetime.now())})
                if ended.rowcount != 1:
                    raise NotApplied
                if rows:
                    connection.execute(insert(models.TrialValueModel.__table__), rows)
                if along is not None:
                    connection.execute(along.statement)
        except (IntegrityError, NotApplied):
            return False
        if along is not None:
            along.done = True
        return True

    @contextmanager
    def pending(self, along: Along | None = None) -> Iterator[list[Row]]:
        """In this context the rows that this thread adds to trials are collected in the list, to `write` later.

        A trial that ends in it has the statement `along` in its transaction.
        """
        rows: list[Row] = []
        before, along_before = _pending.set(rows), _along.set(along)
        try:
            yield rows
        finally:
            _pending.reset(before)
            _along.reset(along_before)

    def _add(self, trial_id: int, row: Row) -> None:
        rows = _pending.get()
        if rows is None:
            self.write(trial_id, [row])
        else:
            rows.append(row)

    def write(self, trial_id: int, rows: Sequence[Row]) -> None:
        """Add rows to a trial in one transaction. If it has ended, or one of them exists, Optuna's methods write them.

        If none of the rows is durable, a crash of the server may lose them, unless something durable was written later.
        For a running trial these are its last reports; its result repeats them.
        """
        durable = any(row.durable for row in rows)
        try:
            with _as_optuna_errors(), self.engine.begin() if len(rows) > 1 else autocommit(self.engine) as connection:
                insert_rows(connection, trial_id, rows, durable=durable)
        except (IntegrityError, NotApplied):
            for row in rows:
                row.fallback()


def open_tables(url: str, engine_kwargs: dict[str, Any], *, schema: str | None, any_schema: bool) -> RDBStorage:
    """Open a database whose tables are of a version; see `stored_schema`."""
    known = schema == OPTUNA_SCHEMA and not any_schema
    return RowStorage(url, engine_kwargs, known=known, any_schema=any_schema)


def stored_schema(engine: Engine) -> str | None:
    """The version of Optuna's tables; "" where none is recorded, None without tables. Optuna would create them."""
    tables = inspect(engine).get_table_names()
    if models.StudyModel.__tablename__ not in tables:
        return None
    if "alembic_version" not in tables:
        return ""
    with engine.connect() as connection:
        return connection.scalar(select(column("version_num")).select_from(table("alembic_version"))) or ""


@contextmanager
def batched_writes(trial: optuna.Trial, *, read: set[int] | None = None, along: Along | None = None) -> Iterator[None]:
    """Read the study's trials once, and write what is suggested, reported and set of a trial in one transaction.

    The transaction is at the end of the context, or where the trial ends within it. It is retried. After an exception
    in the context nothing is written.

    Args:
        trial: a running trial.
        read: as in `cached_reads`.
        along: a statement for this transaction, if the trial ends in it.

    Raises:
        WorkFailed: the database failed permanently, or for too long.
    """
    storage = trial.storage._backend if isinstance(trial.storage, _CachedStorage) else trial.storage
    if not isinstance(storage, RowStorage):
        yield
        return
    with cached_reads(read), storage.pending(along) as rows:
        yield
    if rows:
        with_retries(lambda: storage.write(trial._trial_id, rows))


def _json(key: str, value: Any) -> str:
    """The JSON text of a value.

    Raises:
        ValueRefused: it is longer than MySQL and MariaDB take by default.
    """
    text = json.dumps(value)
    if len(text) > _LONGEST:
        raise ValueRefused(f"{key}: {len(text) / 1e6:.0f} MB of JSON; must be at most {_LONGEST / 1e6:.0f} MB")
    return text


@contextmanager
def _as_optuna_errors() -> Iterator[None]:
    """Raise errors of the database as Optuna's own methods do."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise StorageInternalError("A statement on the trials failed.") from error


def _utc(local: datetime) -> datetime:
    """A naive local time as the naive UTC time that Optuna stores."""
    return local.astimezone(UTC).replace(tzinfo=None)
