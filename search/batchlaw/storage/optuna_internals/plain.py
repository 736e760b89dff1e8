"""What the other modules of this folder do, by Optuna's public calls alone, which is slower."""

import json
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, Executable, inspect

from batchlaw.errors import StudyError
from batchlaw.storage.retries import with_retries


@dataclass(frozen=True, kw_only=True)
class TrialHead:
    """A trial without its parameters and reports: what a count or a status needs."""

    number: int
    state: TrialState
    value: float | None
    attributes: dict[str, Any]  # those that were asked for, where the trial has them
    started: datetime | None  # naive local time, as in Optuna
    ended: datetime | None


@dataclass
class Along:
    """A statement for the transaction in which a trial ends, and whether it was executed in it."""

    statement: Executable
    done: bool = False


class PlainStorage(RDBStorage):
    """`RDBStorage` that repeats what a trial writes after an error that may pass, as `batched_writes` does."""

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Store a report."""
        write = super().set_trial_intermediate_value
        with_retries(lambda: write(trial_id, step, intermediate_value))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store an attribute."""
        write = super().set_trial_user_attr
        with_retries(lambda: write(trial_id, key, value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Store one of Optuna's own attributes."""
        write = super().set_trial_system_attr
        with_retries(lambda: write(trial_id, key, value))


def open_tables(url: str, engine_kwargs: dict[str, Any], *, schema: str | None, any_schema: bool) -> RDBStorage:
    """Open a database; Optuna checks the version of its tables."""
    return PlainStorage(url, engine_kwargs=engine_kwargs, skip_compatibility_check=any_schema)


def stored_schema(engine: Engine) -> str | None:
    """None for a database without any table, and "" for another."""
    return "" if inspect(engine).get_table_names() else None


def study_storage(storage: RDBStorage) -> BaseStorage:
    """The storage itself; Optuna puts its own cache before it."""
    return storage


@contextmanager
def cached_reads(read: set[int] | None = None) -> Iterator[None]:
    """Every read asks the database for new trials."""
    yield


@contextmanager
def batched_writes(trial: optuna.Trial, *, read: set[int] | None = None, along: Along | None = None) -> Iterator[None]:
    """Every write is a transaction of its own. An exception in the context does not undo earlier ones."""
    yield


PARTS = ("value", "param", "report", "user", "system")  # of a trial, each a table of Optuna's


def trials_of(
    storage: RDBStorage,
    study_id: int,
    *,
    numbers: Collection[int] | None = None,
    as_text: Container[str] = (),
    without: tuple[str, ...] = (),
    parts: tuple[str, ...] = PARTS,
) -> list[FrozenTrial]:
    """The trials of a study, or those of some numbers; attributes in `as_text` as JSON text, and those `without` not.

    Optuna reads every part of a trial.
    """
    every = storage.get_all_trials(study_id, deepcopy=False)
    trials = [trial for trial in every if numbers is None or trial.number in numbers]
    for trial in trials:
        trial.user_attrs = {
            key: json.dumps(value) if key in as_text else value
            for key, value in trial.user_attrs.items()
            if key not in without
        }
    return trials


def heads_of(storage: RDBStorage, study_id: int, *keys: str) -> list[TrialHead]:
    """Every trial of a study in the order of its number, with those of its user attributes that have these keys."""
    return [
        TrialHead(
            number=trial.number, state=trial.state, value=trial.value, started=trial.datetime_start,
            ended=trial.datetime_complete,
            attributes={key: trial.user_attrs[key] for key in keys if key in trial.user_attrs},
        )
        for trial in sorted(storage.get_all_trials(study_id, deepcopy=False), key=lambda trial: trial.number)
    ]  # fmt: skip


def n_trials_of(storage: RDBStorage, study_id: int) -> int:
    """The number of trials of a study."""
    return storage.get_n_trials(study_id)


def bounded_history(study: Study, seen_as: Callable[[list[FrozenTrial]], list[FrozenTrial]] = list) -> Study:
    """The study itself: TPE sees all of its trials, as they are.

    TPE reads and writes a study by private calls, so no public call can show it other trials: a search against seconds
    is sampled by its metric alone.
    """
    return study


class PlainHyperband(HyperbandPruner):
    """Optuna's Hyperband, of trials that have every report: for a missing one Optuna would take a later one."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to end at its last report."""
        return len(trial.intermediate_values) == trial.last_step and super().prune(study, trial)


def hyperband(reports: int, reduction_factor: int, halving: Callable[[int, int], BasePruner]) -> HyperbandPruner:
    """Optuna's Hyperband over a number of reports."""
    return PlainHyperband(min_resource=1, max_resource=reports, reduction_factor=reduction_factor)


def keep_brackets(study: optuna.Study, first_name: str) -> None:
    """Nothing: Optuna's Hyperband finds the study by its name, so a study that is renamed gets other brackets."""


def change_name(connection: Connection, study_id: int, name: str) -> None:
    """Refused: no public call renames a study.

    Raises:
        StudyError: always.
    """
    raise StudyError("the Optuna at hand stores names in another way, so that a study cannot be renamed")
