"""Studies in the database: registered with their spec, found by name, changed only on purpose."""

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
from batchlaw.storage.cache import TrialCache
from batchlaw.storage.engine import with_retries
from batchlaw.storage.slots import Slots
from batchlaw.storage.study_page import StudyPage
from batchlaw.storage.tables import SCHEMA, schema_version

_SPEC, _FINGERPRINT, _VERSION, _ID = "batchlaw:spec", "batchlaw:fingerprint", "batchlaw:version", "batchlaw:id"
_CLAIMS = "batchlaw:claims"
_PROFILE = "batchlaw:profile:"
_NOT_DRAWN = "batchlaw:not-drawn"


@dataclass(frozen=True)
class StoredStudy:
    """A study of ours as it lies in the database."""

    spec: StudySpec
    study: optuna.Study
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
    """Create a study, or go on with it.

    Args:
        storage: the database.
        spec: the study.
        trials: a budget other than the spec's, for a new study or one that is gone on with.
        version: of batchlaw, recorded with a new study.
        preregistration: of a designed arm, what would support and what would contradict each claim.

    Raises:
        StudyError: the name is taken by a study with another spec, or one that is not ours.
    """
    if with_retries(lambda: schema_version(storage.engine)):
        check_tables(storage)
    try:
        cache = TrialCache(storage)
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
        study.set_metric_names([spec.arm.metric])  # the dashboard's axes say it in place of "Objective 0"
    slots = Slots(storage.engine, study._study_id)
    page = StudyPage(storage.engine, study._study_id)
    slots.create(trials or n_trials(spec))
    page.create()
    facts = {
        _ID: uuid.uuid4().hex[:8], _VERSION: version, _CLAIMS: preregistration, _FINGERPRINT: fingerprint(spec),
        _SPEC: canonical_json(spec),
    }  # fmt: skip
    for key, value in facts.items():
        study.set_user_attr(key, value)  # the spec last: a study that has it is whole
    return StoredStudy(spec, study, storage, slots, page)


def n_trials(spec: StudySpec) -> int:
    """The budget that a specification asks for."""
    if spec.search is not None:
        return spec.search.trials
    return spec.claim.runs if spec.claim and spec.claim.runs else len(cells(spec.space))


def check_tables(storage: RDBStorage) -> None:
    """Make sure that our tables are of this version.

    Raises:
        StorageError: they are missing, or older or newer.
    """
    found = with_retries(lambda: schema_version(storage.engine))
    if found > SCHEMA:
        raise StorageError(f"the database holds batchlaw's tables of version {found}; this batchlaw knows {SCHEMA}")
    if found < SCHEMA:
        raise StorageError(
            f"the database holds batchlaw's tables of version {found} (0: none), and {SCHEMA} is needed; "
            "batchlaw storage upgrade makes them, and batchlaw run STUDY.toml a study"
        )


def load(storage: RDBStorage, name: str) -> StoredStudy:
    """Find a study by name.

    Raises:
        StudyError: there is none of that name, or it was not made by batchlaw.
        StorageError: our tables are of another version.
    """
    names = with_retries(lambda: optuna.get_all_study_names(storage=storage))
    if name not in names:
        known = ", ".join(sorted(names)) or "none"
        raise StudyError(f"there is no study {name!r} in the database; it holds {known}")
    study = with_retries(lambda: optuna.load_study(study_name=name, storage=TrialCache(storage)))
    text = study.user_attrs.get(_SPEC)
    if text is None:
        raise StudyError(f"study {name!r} was not made by batchlaw, or its registration was cut off")
    check_tables(storage)
    spec = parse_spec(json.loads(text), f"stored study {name!r}")
    slots, page = Slots(storage.engine, study._study_id), StudyPage(storage.engine, study._study_id)
    return StoredStudy(spec, study, storage, slots, page)


def folder_name(stored: StoredStudy) -> str:
    """A name for the folder of a study's files; a study that is deleted and made again has another."""
    identity = with_retries(lambda: stored.study.user_attrs).get(_ID) or fingerprint(stored.spec)  # none before 0.2
    return f"{stored.spec.name}-{identity}"


def note_run(stored: StoredStudy, key: str, facts: dict[str, Any]) -> None:
    """Record how a run was started, with the options that overrode the spec."""
    with_retries(lambda: stored.study.set_user_attr(f"batchlaw:run:{key}", facts))


def note_refresh_failure(stored: StoredStudy, error: Exception) -> None:
    """Record when and why the page was last not drawn, where in the code, for those who look at its page."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"{type(error).__name__}: {error}".splitlines()[0][:1000]
    line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {reason} ({Path(place.filename).name}:{place.lineno})"
    with_retries(lambda: stored.study.set_user_attr(_NOT_DRAWN, line))


def note_profile(stored: StoredStudy, profile: dict[str, Any]) -> None:
    """Keep what a step costs on a device, in place of what was measured there before."""
    with_retries(lambda: stored.study.set_user_attr(_PROFILE + profile["device"], profile))


def profiles_of(stored: StoredStudy) -> list[dict[str, Any]]:
    """What steps cost, a record a device, in the order of their names."""
    kept = with_retries(lambda: stored.study.user_attrs)
    return [kept[key] for key in sorted(kept) if key.startswith(_PROFILE)]
