"""Copying studies between databases."""

from collections.abc import Callable, Sequence


def copy_studies(
    source: str,
    target: str,
    names: Sequence[str] | None = None,
    *,
    force: bool = False,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Copy studies to another database, such as from SQLite to PostgreSQL, and return their names.

    Trials keep their numbers, states, parameters, curves and attributes, and their times as far as the database has
    room for them: MySQL and MariaDB keep whole seconds. The study's page, the open trials and the seeds are copied as
    well, so that `run` goes on in the copy as it would have here. All is copied, or nothing.

    >>> bl.copy_studies("sqlite:///batchlaw.db", "postgresql+psycopg://user@host/db", ["digits-joint"])
    ['digits-joint']

    Args:
        source: URL of the database that has the studies.
        target: URL of the database that gets them; tables, and the file of SQLite, are made if they are missing.
        names: of the studies; None copies all.
        force: copy even while workers are at work; trials in progress are run again in the copy.
        tick: called now and then, with the number of rows copied and of all.

    Raises:
        StudyError: a study is unknown, or the other database has one of its name.
        StorageError: a database cannot be used, or workers are at work.
        WorkFailed: a database failed permanently, or for too long.
    """
    from batchlaw.storage import copy_studies as copied
    from batchlaw.storage import open_storage

    return copied(open_storage(source), target, names, force=force, tick=tick)
