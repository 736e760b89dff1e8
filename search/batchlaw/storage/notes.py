"""What workers and runs note with a study."""

import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchlaw.storage.retries import with_retries
from batchlaw.storage.studies import StoredStudy

_PROFILE = "batchlaw:profile:"
_NOT_DRAWN, _NOT_LOGGED = "batchlaw:not-drawn", "batchlaw:not-logged"
_STOPPED, _GAIN = "batchlaw:stopped", "batchlaw:gain"


def note_run(stored: StoredStudy, key: str, facts: dict[str, Any]) -> None:
    """Record how a run was started, with the options that override the spec."""
    with_retries(lambda: stored.study.set_user_attr(f"batchlaw:run:{key}", facts))


def note_stop(stored: StoredStudy, facts: dict[str, Any]) -> None:
    """Record that a search ended by `search.stop`: the trials begun, the budget then, and the gain that was left."""
    with_retries(lambda: stored.study.set_user_attr(_STOPPED, facts))


def stop_of(stored: StoredStudy) -> dict[str, Any] | None:
    """What `note_stop` recorded last; None of a search that was not ended so."""
    found: dict[str, Any] | None = with_retries(lambda: stored.study.user_attrs).get(_STOPPED)
    return found


def note_gain(stored: StoredStudy, facts: dict[str, Any]) -> None:
    """Record what going on may gain a search, and after how many trials that was told."""
    with_retries(lambda: stored.study.set_user_attr(_GAIN, facts))


def noted_gain(stored: StoredStudy) -> Any:
    """What `note_gain` recorded last, or whatever stands in its place; None of a search without it."""
    return with_retries(lambda: stored.study.user_attrs).get(_GAIN)


def note_refresh_failure(stored: StoredStudy, error: Exception) -> None:
    """Record the latest failure to draw the study's page: time, error and line of code."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"{type(error).__name__}: {error}".splitlines()[0][:1000]
    line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {reason} ({Path(place.filename).name}:{place.lineno})"
    with_retries(lambda: stored.study.set_user_attr(_NOT_DRAWN, line))


def note_profile(stored: StoredStudy, profile: dict[str, Any]) -> None:
    """Record the measured step times of a device; they replace earlier ones of the same device."""
    with_retries(lambda: stored.study.set_user_attr(_PROFILE + profile["device"], profile))


def profiles_of(stored: StoredStudy) -> list[dict[str, Any]]:
    """The measured step times, one record for each device, in the order of the devices' names."""
    attributes = with_retries(lambda: stored.study.user_attrs)
    return [attributes[key] for key in sorted(attributes) if key.startswith(_PROFILE)]


def note_not_logged(stored: StoredStudy, line: str) -> None:
    """Record that a worker could not log trials, and why."""
    with_retries(lambda: stored.study.set_user_attr(_NOT_LOGGED, [datetime.now(UTC).isoformat(), line]))


def not_logged_since(stored: StoredStudy, moment: datetime) -> str | None:
    """The latest such line, if it was recorded after a moment with a time zone."""
    found: Any = with_retries(lambda: stored.study.user_attrs).get(_NOT_LOGGED)
    try:
        when, line = found
        return str(line) if datetime.fromisoformat(when) > moment else None
    except (TypeError, ValueError):  # none, or no such record
        return None
