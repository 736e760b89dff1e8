"""The studies of a database."""

from typing import TYPE_CHECKING

from batchlaw.study.study import url_of

if TYPE_CHECKING:
    from batchlaw.results.status import StudyStatus


def studies(storage: str | None = None) -> "list[StudyStatus]":
    """The state of every study that batchlaw made in a database, in the order in which they were made.

    Examples:
        >>> [(study.spec.name, study.state) for study in bl.studies()]
        [('example', 'done'), ('mine', 'waiting')]

    Args:
        storage: URL of the database, as for `Study.create`.

    Raises:
        StorageError: the database cannot be used.
    """
    from batchlaw.results.status import status_of
    from batchlaw.storage import load_all, open_storage

    return [status_of(stored) for stored in load_all(open_storage(url_of(storage)))]
