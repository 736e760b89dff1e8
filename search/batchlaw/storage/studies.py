"""Studies in the database: registration with their spec, loading by name, and the facts stored with them."""

import contextlib
import re
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import Connection, func, select

from batchlaw.errors import SpecError, StorageError, StudyError
from batchlaw.recipe.space import cells, params_of
from batchlaw.spec import StudySpec, canonical_json, differing_fields, fingerprint, parse_spec
from batchlaw.spec.start import Start
from batchlaw.storage.attributes import START
from batchlaw.storage.engine import open_storage
from batchlaw.storage.one_transaction import one_transaction
from batchlaw.storage.optuna_internals import keep_brackets, study_storage
from batchlaw.storage.retries import with_retries
from batchlaw.storage.slots import Slots
from batchlaw.storage.stored_values import Unreadable, check_mapping, check_text, json_of, shown, tell
from batchlaw.storage.study_page import StudyPage
from batchlaw.storage.tables import SCHEMA, check_known, pages, schema_version, slots
from batchlaw.storage.workers import live_workers

_PREFIX = "batchlaw:"
_SPEC, _FINGERPRINT, _VERSION, _ID = "batchlaw:spec", "batchlaw:fingerprint", "batchlaw:version", "batchlaw:id"
FORMERLY = "batchlaw:formerly:"  # and a name: when the study lost it
_CLAIMS, _CREATED = "batchlaw:claims", "batchlaw:created"
_LOG = "batchlaw:log"  # the table, which is no part of the spec as stored
_BUDGET = "batchlaw:budget"  # trials and seconds, where the file has others now than the spec as stored


@dataclass(frozen=True)
class StoredStudy:
    """A study in the database."""

    spec: StudySpec
    study: optuna.Study
    study_id: int  # of the study in every table
    storage: RDBStorage
    slots: Slots
    page: StudyPage

    def tell(self, what: str) -> None:
        """Log a line about what is stored of the study and cannot be read, once in a process."""
        tell(self.storage.engine.url, self.spec.name, what)


def register(
    storage: RDBStorage,
    spec: StudySpec,
    *,
    trials: int | None,
    version: str,
    preregistration: list[dict[str, str]] | None = None,
    new: bool = False,
    first: Sequence[Start] = (),
) -> StoredStudy:
    """Create a study, or open the stored study of the same name and spec. A study is there whole or not at all.

    Args:
        storage: the database.
        spec: the study.
        trials: the number of trials, instead of the spec's; it also changes a stored study, as another number in the
            spec, other seconds and another [log] do.
        version: of batchlaw; recorded with a new study.
        preregistration: of a designed arm: for each claim, what would support and what would contradict it.
        new: take the name from a study that had it formerly, instead of opening that.
        first: configurations that a new study tries after those of `search.start`.

    Raises:
        StudyError: a study of this name has another spec, or was not made by batchlaw.
        StorageError: the tables of the database are of another version.
    """
    check_tables(storage)
    facts = {
        _ID: uuid.uuid4().hex[:8], _VERSION: version, _CREATED: datetime.now(UTC).isoformat(timespec="seconds"),
        _CLAIMS: preregistration, _FINGERPRINT: fingerprint(spec), _SPEC: canonical_json(spec),
    }  # fmt: skip

    def work() -> None:
        with one_transaction(storage.engine) as (connection, within):
            if not _is_free(connection, within, spec.name, new=new):
                return
            study = optuna.create_study(study_name=spec.name, storage=within, direction=spec.direction)
            study_id = within.get_study_id_from_name(spec.name)
            if live_workers(storage.engine, study_id):  # a deleted study had the id
                raise StudyError("workers of a study that was just deleted are leaving; try again in a minute")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names([spec.arm.metric])  # else the dashboard shows "Objective 0"
            Slots(storage.engine, study_id).create(connection, trials or n_trials(spec))
            StudyPage(storage.engine, study_id).create(connection)
            for key, value in facts.items():
                study.set_user_attr(key, value)
            for point in (*(spec.search.start if spec.search else ()), *first):
                params = params_of(point, spec)
                study.enqueue_trial(params, user_attrs={START: params})

    if not with_retries(lambda: _is_stored(storage, spec.name, new=new)):
        with contextlib.suppress(DuplicatedStudyError):  # a program without batchlaw made it just now
            with_retries(work)
    stored = load(storage, spec.name)
    differing = differing_fields(stored.spec, spec)
    if differing:
        raise StudyError(
            f"study {stored.spec.name!r} is stored with another spec; {'; '.join(differing)}",
            remedy="Study.create(name=…)",
        )
    if stored.spec.log != spec.log:
        log = None if spec.log is None else spec.log.model_dump(mode="json")
        with_retries(lambda: stored.study.set_user_attr(_LOG, log))
        stored = replace(stored, spec=stored.spec.model_copy(update={"log": spec.log}))
    if (budget := _budget(spec)) != _budget(stored.spec):  # the file was changed
        with_retries(lambda: stored.study.set_user_attr(_BUDGET, budget))
        arm = "search" if spec.search else "claim"
        stored = replace(stored, spec=stored.spec.model_copy(update={arm: stored.spec.arm.model_copy(update=budget)}))
        if trials is None and spec.search:
            stored.slots.resize(spec.search.trials)
    if trials is not None:
        stored.slots.resize(trials)
    return stored


def _budget(spec: StudySpec) -> dict[str, float | None]:
    """What a study file may change of a stored study's budget."""
    seconds = {"budget_seconds": spec.arm.budget_seconds}
    return seconds | {"trials": spec.search.trials} if spec.search else seconds


def _id_of(connection: Connection, storage: RDBStorage, name: str, *, former: bool = True) -> int | None:
    """The id of the study of a name, or else of the one that had it formerly."""
    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return _formerly_named(connection, storage, name) if former else None


def _formerly_named(connection: Connection, storage: RDBStorage, name: str) -> int | None:
    """The id of the study that had a name last."""
    lost: dict[int, str] = {}
    if schema_version(storage.engine) != SCHEMA:
        return None
    for study_id in connection.scalars(select(pages.c.study_id)).all():
        with contextlib.suppress(KeyError):  # Optuna's command has deleted it
            lost[study_id] = str(storage.get_study_user_attrs(study_id).get(FORMERLY + name, ""))
    latest = max(lost, key=lambda study_id: lost[study_id], default=None)
    return latest if latest is not None and lost[latest] else None


def is_stored(url: str, name: str, *, new: bool = False) -> bool:
    """Whether a database has a study of this name; False if there is no such database.

    One that had the name formerly counts, unless the study is to be `new`.
    """
    try:
        storage = open_storage(url)
    except StorageError:
        return False
    try:
        return _is_stored(storage, name, new=new)
    finally:
        storage.engine.dispose()


def _is_stored(storage: RDBStorage, name: str, *, new: bool) -> bool:
    """Whether there is nothing to register; this takes a few milliseconds, and a registration a hundred."""
    with storage.engine.connect() as connection:
        study_id = _id_of(connection, storage, name, former=not new)
    return study_id is not None and _SPEC in storage.get_study_user_attrs(study_id)


def _is_free(connection: Connection, storage: RDBStorage, name: str, *, new: bool) -> bool:
    """Whether a study of this name can be made; deletes one whose registration was interrupted.

    Earlier versions registered in several steps. Their attributes, or their slots after the name of the metric, tell
    that an empty study is batchlaw's.
    """
    study_id = _id_of(connection, storage, name, former=not new)
    if study_id is None:
        return True
    attributes = storage.get_study_user_attrs(study_id)
    if _SPEC in attributes or storage.get_n_trials(study_id):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        metrics = optuna.load_study(study_name=name, storage=storage).metric_names
    untouched = select(func.count()).where(slots.c.study_id == study_id, slots.c.attempts == 0)
    ours = any(key.startswith(_PREFIX) for key in attributes) or (
        not attributes and metrics is not None and bool(connection.scalar(untouched))
    )
    if ours:
        storage.delete_study(study_id)
    return ours


def n_trials(spec: StudySpec) -> int | None:
    """The number of trials of a study; None of a search that only its seconds bound."""
    if spec.search is not None:
        return spec.search.trials
    return spec.claim.runs if spec.claim and spec.claim.runs else len(cells(spec))


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
    """Load a study by its name, or by a former name that no other study has taken.

    Raises:
        StudyError: there is no such study, or it was not made by batchlaw.
        StorageError: the tables of the database are of another version.
    """

    def find() -> tuple[int, str] | None:
        with storage.engine.connect() as connection:
            study_id = _id_of(connection, storage, name)
        return None if study_id is None else (study_id, storage.get_study_name_from_id(study_id))

    found = with_retries(find)
    if found is None:
        known = ", ".join(sorted(with_retries(lambda: optuna.get_all_study_names(storage=storage)))) or "none"
        raise StudyError(f"there is no study {name!r} in the database; it holds {known}")
    study_id, present = found
    study = with_retries(lambda: optuna.load_study(study_name=present, storage=study_storage(storage)))
    attributes = study.user_attrs
    text = attributes.get(_SPEC)
    if text is None:
        raise StudyError(f"study {name!r} was not made by batchlaw, or its registration was interrupted")
    check_tables(storage)
    try:
        table = _table(text)
        if (budget := attributes.get(_BUDGET)) is not None:
            check_mapping(budget, "budget")
            arm = "search" if table.get("search") else "claim"
            check_mapping(table.get(arm), arm)
            table[arm] = {key: table[arm][key] for key in table[arm] if key != "study_seconds"} | budget
        spec = parse_spec(table | {"name": present, "log": attributes.get(_LOG)}, f"stored study {present!r}")
        if table.get("name") != present:  # the first name, of which a folder is named
            parse_spec(table, "its first name")
    except (Unreadable, SpecError) as error:
        raise StudyError(f"study {shown(present)} cannot be read: {error}") from None
    if storage.get_study_directions(study_id) != [StudyDirection[spec.direction.upper()]]:
        raise StudyError(f"study {shown(present)} cannot be read: its direction as stored is not {spec.direction}")
    keep_brackets(study, table["name"])
    slots, page = Slots(storage.engine, study_id), StudyPage(storage.engine, study_id)
    return StoredStudy(spec, study, study_id, storage, slots, page)


def _table(text: object) -> dict[str, Any]:
    """The spec of a study as it is stored.

    Raises:
        Unreadable: it is no table.
    """
    table = json_of(text, "spec")
    check_mapping(table, "spec")
    found: dict[str, Any] = table
    return found


def load_all(storage: RDBStorage) -> list[StoredStudy]:
    """The studies of batchlaw in a database that can be read, in the order in which they were made."""
    check_tables(storage)

    def names() -> list[str]:
        with storage.engine.connect() as connection:
            ids = connection.scalars(select(pages.c.study_id).order_by(pages.c.study_id)).all()
        found = []
        for study_id in ids:
            with contextlib.suppress(KeyError):  # Optuna's command has deleted it
                found.append(storage.get_study_name_from_id(study_id))
        return found

    studies = []
    for name in with_retries(names):
        try:
            studies.append(load(storage, name))
        except StudyError as error:
            tell(storage.engine.url, name, str(error))
    return studies


def history_of(stored: StoredStudy) -> tuple[datetime | None, list[str]]:
    """When a study was made, UTC, and its former names. Studies from before version 0.2 have no time."""
    attributes = with_retries(lambda: stored.study.user_attrs)
    former = [key.removeprefix(FORMERLY) for key in attributes if key.startswith(FORMERLY)]
    former = [name for name in former if name != stored.spec.name]
    try:
        check_text(attributes.get(_CREATED, ""), "creation")
        made = datetime.fromisoformat(attributes[_CREATED]) if _CREATED in attributes else None
    except ValueError:
        stored.tell(f"the time of its creation as stored cannot be read: {shown(attributes[_CREATED])}")
        made = None
    return made, sorted(former)


def folder_name(stored: StoredStudy) -> str:
    """A name for the folder of a study's files: its first name and its identity.

    A study that is renamed keeps its folder. A study that is deleted and made again gets another one.
    """
    attributes = with_retries(lambda: stored.study.user_attrs)
    identity = str(attributes.get(_ID, ""))  # none in studies from before version 0.2
    known = identity if re.fullmatch("[0-9a-f]{8}", identity) else fingerprint(stored.spec)  # no path elsewhere
    return f"{_table(attributes[_SPEC])['name']}-{known}"
