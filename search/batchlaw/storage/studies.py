"""Studies in the database: registration with their spec, loading by name, and the facts stored with them."""

import json
import traceback
import uuid
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import RDBStorage

from batchlaw.errors import StorageError, StudyError
from batchlaw.recipe.space import cells
from batchlaw.spec import StudySpec, canonical_json, differing_fields, fingerprint, parse_spec
from batchlaw.storage.optuna_internals import study_storage
from batchlaw.storage.retries import with_retries
from batchlaw.storage.slots import Slots
from batchlaw.storage.study_page import StudyPage
from batchlaw.storage.tables import SCHEMA, check_known, schema_version

_SPEC, _FINGERPRINT, _VERSION, _ID = "batchlaw:spec", "batchlaw:fingerprint", "batchlaw:version", "batchlaw:id"
_CLAIMS = "batchlaw:claims"
_PROFILE = "batchlaw:profile:"
_NOT_DRAWN = "batchlaw:not-drawn"


@dataclass(frozen=True)
class StoredStudy:
    """A study in the database."""

    spec: StudySpec
    study: optuna.Study
    study_id: int  # of the study in every table
    storage: RDBStorage
    slots: Slots
    page: StudyPage


def register(
    storage: RDBStorage,
    spec: StudySpec,
    *,
    trials: int | None,
    version: str,
    preregistration: list[dict[str, str]] | None = None,
) -> StoredStudy:
    """Create a study, or open the stored study of the same name and spec.

    Args:
        storage: the database.
        spec: the study.
        trials: the number of trials, instead of the spec's; it also changes a stored study.
        version: of batchlaw; recorded with a new study.
        preregistration: of a designed arm: for each claim, what would support and what would contradict it.

    Raises:
        StudyError: a study of this name has another spec, or was not made by batchlaw.
        StorageError: the tables of the database are of another version.
    """
    if with_retries(lambda: schema_version(storage.engine)):
        check_tables(storage)
    try:
        cache = study_storage(storage)
        study = with_retries(lambda: optuna.create_study(study_name=spec.name, storage=cache, direction=spec.direction))
    except DuplicatedStudyError:
        stored = load(storage, spec.name)
        differing = differing_fields(stored.spec, spec)
        if differing:
            raise StudyError(
                f"study {spec.name!r} is stored with another spec; {'; '.join(differing)}",
                remedy="Study.create(name=…)",
            ) from None
        if trials is not None:
            stored.slots.resize(trials)
        return stored
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([spec.arm.metric])  # else the dashboard shows "Objective 0"
    study_id = storage.get_study_id_from_name(spec.name)
    slots, page = Slots(storage.engine, study_id), StudyPage(storage.engine, study_id)
    slots.create(trials or n_trials(spec))
    page.create()
    facts = {
        _ID: uuid.uuid4().hex[:8], _VERSION: version, _CLAIMS: preregistration, _FINGERPRINT: fingerprint(spec),
        _SPEC: canonical_json(spec),
    }  # fmt: skip
    for key, value in facts.items():
        study.set_user_attr(key, value)  # the spec is last: a study that has it is complete
    return StoredStudy(spec, study, study_id, storage, slots, page)


def n_trials(spec: StudySpec) -> int:
    """The number of trials of a study."""
    if spec.search is not None:
        return spec.search.trials
    return spec.claim.runs if spec.claim and spec.claim.runs else len(cells(spec.space))


def check_tables(storage: RDBStorage) -> None:
    """Check that batchlaw's tables are of this version.

    Raises:
        StorageError: they are missing, older or newer.
    """
    found = with_retries(lambda: schema_version(storage.engine))
    check_known(found)
    if found < SCHEMA:
        holds = (
            f"batchlaw's tables of version {found}, and {SCHEMA} is needed" if found else "none of batchlaw's tables"
        )
        raise StorageError(f"the database holds {holds}", remedy="batchlaw storage upgrade")


def load(storage: RDBStorage, name: str) -> StoredStudy:
    """Load a study by name.

    Raises:
        StudyError: there is no such study, or it was not made by batchlaw.
        StorageError: the tables of the database are of another version.
    """
    names = with_retries(lambda: optuna.get_all_study_names(storage=storage))
    if name not in names:
        known = ", ".join(sorted(names)) or "none"
        raise StudyError(f"there is no study {name!r} in the database; it holds {known}")
    study = with_retries(lambda: optuna.load_study(study_name=name, storage=study_storage(storage)))
    text = study.user_attrs.get(_SPEC)
    if text is None:
        raise StudyError(f"study {name!r} was not made by batchlaw, or its registration was interrupted")
    check_tables(storage)
    spec = parse_spec(json.loads(text), f"stored study {name!r}")
    study_id = with_retries(lambda: storage.get_study_id_from_name(name))
    slots, page = Slots(storage.engine, study_id), StudyPage(storage.engine, study_id)
    return StoredStudy(spec, study, study_id, storage, slots, page)


def folder_name(stored: StoredStudy) -> str:
    """A name for the folder of a study's files. A study that is deleted and made again gets another name."""
    identity = with_retries(lambda: stored.study.user_attrs).get(_ID)  # None in studies from before version 0.2
    return f"{stored.spec.name}-{identity or fingerprint(stored.spec)}"


def note_run(stored: StoredStudy, key: str, facts: dict[str, Any]) -> None:
    """Record how a run was started, with the options that override the spec."""
    with_retries(lambda: stored.study.set_user_attr(f"batchlaw:run:{key}", facts))


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
