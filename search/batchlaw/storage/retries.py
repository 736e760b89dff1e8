"""Database work that is repeated after an error that may pass, such as a lock or a restart of the server."""

from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from batchlaw.errors import WorkFailed

RETRY_SECONDS = 300.0  # long enough for a server to restart
# Parts of the messages of SQLite, PostgreSQL and MySQL for errors that another attempt does not mend.
_PERMANENT = (
    "disk is full", "readonly database", "read-only", "no such table", "malformed", "not a database", "no space left",
    "password authentication failed", "access denied", "does not exist", "unknown database",
)  # fmt: skip

Result = TypeVar("Result")


def with_retries(work: Callable[[], Result], *, seconds: float = RETRY_SECONDS) -> Result:
    """Call `work`, and again after a lock, a deadlock or a lost connection, for at most `seconds`.

    Args:
        work: must be safe to repeat, such as one transaction.
        seconds: after this time the last error counts. The waits between attempts are random, at most 2 seconds.

    Raises:
        WorkFailed: the error is permanent, or the time is up.
    """
    try:
        return retry(work, seconds)
    except (SQLAlchemyError, StorageInternalError) as error:
        raise WorkFailed(f"database: {reason_of(error)}") from error


def retry(work: Callable[[], Result], seconds: float) -> Result:
    """Like `with_retries`, but raises the error of the last attempt as it is."""
    retrying = Retrying(
        retry=retry_if_exception(_is_transient),
        wait=wait_random_exponential(multiplier=0.05, max=2.0),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    return retrying(work)


def reason_of(error: BaseException) -> str:
    """The message of the database driver on one line; the error's own where no driver was involved."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__
    source = cause.orig if isinstance(cause, DBAPIError) and cause.orig is not None else error
    return " ".join(str(source).split())


def _is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if not isinstance(error, StorageInternalError | OperationalError | InterfaceError):
        return False
    reason = reason_of(error).lower()
    return not any(words in reason for words in _PERMANENT)
