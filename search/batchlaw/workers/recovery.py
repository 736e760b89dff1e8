"""Clearing up after a worker that died; any process can do it.

A slot is taken over if its lease ran out or its process is gone. Its trial is named lost, and its parameters are queued
to run again. In a designed arm the slot is the cell, which is simply opened again. The death of a worker is no attempt
at them; a search gives parameters up that have ended so many workers that chance does not explain it.
"""

from contextlib import suppress
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from batchlaw.errors import StudyError
from batchlaw.recipe.result import Outcome
from batchlaw.storage import Lease, StoredStudy, with_retries
from batchlaw.storage.attributes import CONFIRMS, LOSSES, OUTCOME, REASON, RETRIES, RETRY_OF, START, THREADS

_MOST_LOSSES = 5  # assumption: workers that die by chance seldom die so often in one trial


def reap(stored: StoredStudy) -> int:
    """Clear up after dead workers, and return how many trials were found lost.

    A running trial that no slot names was asked for by a worker that died before it could note it in its slot. While a
    live worker may be about to note its own, such trials are left alone.

    Raises:
        StudyError: the study was deleted.
    """
    counts = with_retries(stored.slots.counts)
    if counts.total == 0 and not counts.open_ended:
        raise StudyError(f"study {stored.spec.name!r} was deleted")
    lost = 0
    while (lease := stored.slots.lease_expired()) is not None:
        was_running = lease.abandoned_trial_id is not None and _runs(stored, lease.abandoned_trial_id)
        if not clear_up(stored, lease):
            stored.slots.release(lease, attempts=0)
        lost += was_running
    # Trials are read before slots, so that a trial asked for in between is not among them.
    running = with_retries(
        lambda: stored.storage.get_all_trials(stored.study_id, deepcopy=False, states=(TrialState.RUNNING,))
    )
    if running:
        named, undecided = stored.slots.running()
        for orphan in () if undecided else running:
            trial_id = with_retries(partial(_id_of, stored, orphan.number))
            if trial_id in named or not _lose(stored, trial_id):
                continue  # it has a slot, or another process was faster
            lost += 1
            if is_queued(orphan):  # what it was to run is still due
                _enqueue(stored, orphan)
    return lost


def clear_up(stored: StoredStudy, lease: Lease) -> bool:
    """End the trial whose worker died in this slot; True if that finished the slot."""
    trial_id = lease.abandoned_trial_id
    if trial_id is None:
        return False
    try:
        frozen = with_retries(lambda: stored.storage.get_trial(trial_id))
    except KeyError:  # somebody deleted it
        return False
    if frozen.state == TrialState.RUNNING and not _lose(stored, trial_id):
        return clear_up(stored, lease)  # its worker ended it just now: read it again
    # The worker died between tell and finish, or else handed its trial back, which another one has run since.
    ended = frozen.state in (TrialState.COMPLETE, TrialState.PRUNED)
    if ended and stored.slots.name_elsewhere(trial_id, lease):
        return False
    if ended or (frozen.state == TrialState.RUNNING and not _run_again(stored, frozen)):
        stored.slots.finish(lease)
        return True
    return False


def _run_again(stored: StoredStudy, trial: FrozenTrial) -> bool:
    """Have a lost trial run once more; False if its parameters have ended too many workers."""
    if stored.spec.search is None:
        return True
    losses: int = trial.user_attrs.get(LOSSES, 0) + 1
    if losses < _MOST_LOSSES and (trial.params or is_queued(trial)):
        _enqueue(stored, trial, losses=losses)
    return losses < _MOST_LOSSES


def try_again(stored: StoredStudy, trial: FrozenTrial, lease: Lease, attempts: int) -> bool:
    """Have a failed trial run once more; False if it has failed often enough.

    Args:
        stored: its study.
        trial: the failed one.
        lease: of its slot. A search counts by parameters instead, since a repeat may run in any slot.
        attempts: that its failure has used up.
    """
    most = stored.spec.arm.max_retries
    if stored.spec.search is None or not (trial.params or is_queued(trial)):  # nothing to repeat
        return lease.attempts - 1 + attempts <= most
    retries: int = trial.user_attrs.get(RETRIES, 0) + attempts
    if retries <= most:
        _enqueue(stored, trial, retries=retries)
    return retries <= most


def retry(stored: StoredStudy) -> int:
    """Open the slots again that have no result since every attempt failed, and return how many."""
    failed = with_retries(
        lambda: stored.storage.get_all_trials(stored.study_id, deepcopy=False, states=(TrialState.FAIL,))
    )
    by_id = {with_retries(partial(_id_of, stored, trial.number)): trial for trial in failed}
    reopened = stored.slots.reopen(by_id.keys())
    if stored.spec.search is not None:
        for trial in (by_id[trial_id] for trial_id in reopened):
            if trial.params or is_queued(trial):
                _enqueue(stored, trial, retries=0, losses=0)
    return len(reopened)


def is_queued(trial: optuna.Trial | FrozenTrial) -> bool:
    """Whether the parameters of a trial were given, as a repeat or as a configuration to try first."""
    return RETRY_OF in trial.user_attrs or START in trial.user_attrs


def first_attempt(stored: StoredStudy, trial: optuna.Trial) -> int:
    """The number of the trial that this one repeats, through all repeats in between; its own if it repeats none."""
    number, attributes = trial.number, trial.user_attrs
    while attributes.get(RETRY_OF, number) < number:
        number = attributes[RETRY_OF]
        attributes = with_retries(partial(_numbered, stored, number)).user_attrs
    return number


def _numbered(stored: StoredStudy, number: int) -> FrozenTrial:
    return stored.storage.get_trial(_id_of(stored, number))


def _id_of(stored: StoredStudy, number: int) -> int:
    return stored.storage.get_trial_id_from_study_id_trial_number(stored.study_id, number)


def _runs(stored: StoredStudy, trial_id: int) -> bool:
    with suppress(KeyError):  # somebody deleted it
        return bool(with_retries(lambda: stored.storage.get_trial(trial_id)).state == TrialState.RUNNING)
    return False


def _lose(stored: StoredStudy, trial_id: int) -> bool:
    """Name a running trial lost; False if it has ended in the meantime."""
    try:
        for key, value in ((OUTCOME, Outcome.LOST), (REASON, "its worker died or was cut off")):
            with_retries(partial(stored.storage.set_trial_user_attr, trial_id, key, value))
        with_retries(lambda: stored.storage.set_trial_state_values(trial_id, TrialState.FAIL))
    except UpdateFinishedTrialError:
        return False
    return True


def _enqueue(stored: StoredStudy, trial: FrozenTrial, *, retries: int | None = None, losses: int | None = None) -> None:
    """Queue the parameters of a trial. What it has not drawn yet is as it was queued.

    The numbers of failures and losses are the trial's, if they are not given.
    """
    number, params = trial.number, trial.params
    if not params and RETRY_OF in trial.user_attrs:
        number = trial.user_attrs[RETRY_OF]
        params = with_retries(partial(_numbered, stored, number)).params
    params = trial.user_attrs.get(START, {}) | params
    attributes: dict[str, Any] = {
        RETRY_OF: number,
        RETRIES: trial.user_attrs.get(RETRIES, 0) if retries is None else retries,
        LOSSES: trial.user_attrs.get(LOSSES, 0) if losses is None else losses,
    }
    attributes |= {name: trial.user_attrs[name] for name in (THREADS, CONFIRMS, START) if name in trial.user_attrs}
    with_retries(lambda: stored.study.enqueue_trial(params, user_attrs=attributes))
