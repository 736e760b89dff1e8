"""Studies renamed and deleted, each in one transaction."""

import contextlib
from datetime import UTC, datetime

from optuna.exceptions import StorageInternalError
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from batchlaw.errors import StudyError
from batchlaw.spec import parse_spec
from batchlaw.storage.copying import rows_of, study_tables
from batchlaw.storage.one_transaction import exclusive, one_transaction
from batchlaw.storage.optuna_internals import change_name
from batchlaw.storage.retries import with_retries
from batchlaw.storage.studies import FORMERLY, StoredStudy
from batchlaw.storage.tables import workers
from batchlaw.storage.workers import ask_to_stop, check_idle, live_workers


def rename_study(stored: StoredStudy, name: str) -> None:
    """Give a study another name; see `Study.rename`.

    Raises:
        SpecError: it cannot be the name of a study.
        StudyError: another study has the name.
    """
    parse_spec(stored.spec.model_dump(mode="json") | {"name": name}, "rename")
    engine, study_id = stored.storage.engine, stored.study_id
    taken = StudyError("is the name of a study in this database", argument="name", got=name)

    def work() -> None:
        with one_transaction(engine) as (connection, storage):
            with contextlib.suppress(KeyError):
                storage.get_study_id_from_name(name)
                raise taken
            former = storage.get_study_name_from_id(study_id)
            storage.set_study_user_attr(study_id, FORMERLY + former, datetime.now(UTC).isoformat())
            try:
                change_name(connection, study_id, name)
            except IntegrityError:  # a program without batchlaw took it just now
                raise taken from None

    with_retries(work)


def delete_study(stored: StoredStudy, *, force: bool) -> None:
    """Delete a study with its trials, slots, workers and page; see `Study.delete`.

    Raises:
        StorageError: workers are at work, and it is not forced.
    """
    engine, study_id = stored.storage.engine, stored.study_id
    if force:
        ask_to_stop(engine, study_id, "now")

    def work() -> None:
        if not force:
            check_idle(engine, study_id)
        # The rows of live workers stay, so that they read that they are to leave.
        live = [worker.worker for worker in live_workers(engine, study_id)]
        tables = study_tables(engine)
        with exclusive(engine) as connection:
            # One statement a table: Optuna's own function reads and deletes each row by itself.
            for table in reversed(tables.values()):
                gone = delete(table).where(rows_of(tables, table, study_id))
                try:
                    connection.execute(gone.where(table.c.worker.not_in(live)) if table.name == workers.name else gone)
                except IntegrityError as error:  # a worker has just added a row
                    raise StorageInternalError("A worker writes to the study.") from error

    with_retries(work)
