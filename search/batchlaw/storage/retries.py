"""Database work that is repeated after an error that may pass, such as a lock or a restart of the server."""

import logging
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from batchlaw.errors import WorkFailed
from batchlaw.storage.driver_errors import driver_error, is_of_value, is_read_only, is_taken, may_pass

RETRY_SECONDS = 300.0  # long enough for a server to restart
_FAILOVER_SECONDS = 90.0  # for a server that is read-only until another takes its place, which takes about 30
_SILENT_SECONDS = 5.0  # a longer wait is told

Result = TypeVar("Result")


class ValueRefused(WorkFailed):
    """The database cannot hold a value."""


def with_retries(work: Callable[[], Result], *, seconds: float = RETRY_SECONDS) -> Result:
    """Call `work`, and again after a lock, a deadlock or a lost connection, for at most `seconds`.

    Args:
        work: must be safe to repeat, such as one transaction.
        seconds: after this time the last error counts. The waits between attempts are random, at most 2 seconds.

    Raises:
        ValueRefused: the database cannot hold a value.
        WorkFailed: the error is permanent, or the time is up.
    """
    try:
        return retry(work, seconds)
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = driver_error(error)
        kind = ValueRefused if cause is not None and is_of_value(cause) else WorkFailed
        raise kind(f"database: {reason_of(error)}") from error


def retry(work: Callable[[], Result], seconds: float, *, taken: float | None = None) -> Result:
    """Like `with_retries`, but raises the error of the last attempt as it is.

    Args:
        work: as there.
        seconds: as there.
        taken: the seconds instead, where others have all connections or a lock.
    """

    def is_over(state: RetryCallState) -> bool:
        error = state.outcome and state.outcome.exception()
        cause = error and driver_error(error)
        limit = seconds
        if cause and is_taken(cause) and taken is not None:
            limit = taken
        elif cause and is_read_only(cause):
            limit = min(seconds, _FAILOVER_SECONDS)
        return (state.seconds_since_start or 0.0) >= limit

    told = False

    def tell(state: RetryCallState) -> None:
        nonlocal told
        error = state.outcome and state.outcome.exception()
        if error and not told and (state.seconds_since_start or 0.0) >= _SILENT_SECONDS:
            told = True
            logging.getLogger("batchlaw").warning("waiting for the database: %s", reason_of(error))

    retrying = Retrying(
        retry=retry_if_exception(_is_transient),
        wait=wait_random_exponential(multiplier=0.05, max=2.0),
        stop=is_over,
        before_sleep=tell,
        reraise=True,
    )
    return retrying(work)


def reason_of(error: BaseException) -> str:
    """The message of the database driver on one line; the error's own where no driver was involved."""
    return " ".join(str(driver_error(error) or error).split())


def _is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if not isinstance(error, StorageInternalError | DBAPIError):
        return False
    cause = driver_error(error)
    return cause is None or may_pass(cause)
