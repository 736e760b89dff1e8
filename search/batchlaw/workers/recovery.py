"""What a worker leaves behind when it dies, found and cleared up by any process.

A slot whose lease ran out, or whose process is gone, is taken over; its trial is named lost, and its parameters are
queued to run again, at most `max_retries` times. In a designed arm the slot is the cell, and is simply opened again.
"""

from functools import partial

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from batchlaw.recipe.result import Outcome
from batchlaw.results.attributes import OUTCOME, REASON, RETRIES, RETRY_OF
from batchlaw.storage import Lease, StoredStudy, with_retries


def reap(stored: StoredStudy) -> int:
    """Clear up after dead workers; the number of trials that were found lost.

    A trial that RUNS in no slot was asked for by a worker that died before it could say so. While a live worker
    is about to say so, none is judged.
    """
    lost = 0
    while (lease := stored.slots.lease_expired()) is not None:
        was_running = lease.abandoned_trial_id is not None and _runs(stored, lease.abandoned_trial_id)
        if not clear_up(stored, lease):
            stored.slots.release(lease, count_attempt=False)  # the dead worker's own attempt is counted already
        lost += was_running
    study_id = stored.study._study_id
    # Trials first: one asked for after this look is none of them.
    running = with_retries(
        lambda: stored.storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
    )
    if running:
        named, undecided = stored.slots.running()
        orphans = [] if undecided else [trial for trial in running if trial._trial_id not in named]
        for orphan in orphans:
            if not _lose(stored, orphan._trial_id):
                continue  # another process was faster
            lost += 1
            if RETRY_OF in orphan.user_attrs:  # its turn is lost with it
                _enqueue(stored, orphan, orphan.user_attrs[RETRIES])
    return lost


def clear_up(stored: StoredStudy, lease: Lease) -> bool:
    """End the trial whose worker died in this slot; True if the slot needs no further run and is finished."""
    trial_id = lease.abandoned_trial_id
    if trial_id is None:
        return False
    frozen = with_retries(lambda: stored.storage.get_trial(trial_id))
    if frozen.state == TrialState.RUNNING and not _lose(stored, trial_id):
        return clear_up(stored, lease)  # its worker ended it just now
    ended = frozen.state in (TrialState.COMPLETE, TrialState.PRUNED)  # it died between telling and finishing
    if ended or (frozen.state == TrialState.RUNNING and not again(stored, frozen, lease.attempts - 1)):
        stored.slots.finish(lease)
        return True
    return False


def again(stored: StoredStudy, trial: FrozenTrial, attempts: int) -> bool:
    """Have a lost or failed trial run once more; False if it was run often enough.

    Args:
        stored: its study.
        trial: the one.
        attempts: made in its slot; in the adaptive arm a repeat may come to run in any slot, and is counted by itself.
    """
    if stored.spec.search is None:
        return attempts <= stored.spec.arm.max_retries
    retries = trial.user_attrs.get(RETRIES, 0)
    if retries >= stored.spec.arm.max_retries:
        return False
    if trial.params or RETRY_OF in trial.user_attrs:
        _enqueue(stored, trial, retries + 1)
    return True


def _runs(stored: StoredStudy, trial_id: int) -> bool:
    return bool(with_retries(lambda: stored.storage.get_trial(trial_id)).state == TrialState.RUNNING)


def _lose(stored: StoredStudy, trial_id: int) -> bool:
    """Name a running trial lost; False if it has ended meanwhile."""
    try:
        for key, value in ((OUTCOME, Outcome.LOST), (REASON, "its worker died or was cut off")):
            with_retries(partial(stored.storage.set_trial_user_attr, trial_id, key, value))
        with_retries(lambda: stored.storage.set_trial_state_values(trial_id, TrialState.FAIL))
    except UpdateFinishedTrialError:
        return False
    return True


def _enqueue(stored: StoredStudy, trial: FrozenTrial, retries: int) -> None:
    """Queue the parameters of a trial; one that had drawn none yet was to repeat another."""
    number, params = trial.number, trial.params
    if not params:
        number = trial.user_attrs[RETRY_OF]
        study_id = stored.study._study_id
        origin = with_retries(lambda: stored.storage.get_trial_id_from_study_id_trial_number(study_id, number))
        params = with_retries(lambda: stored.storage.get_trial(origin)).params
    attributes = {RETRY_OF: number, RETRIES: retries}
    with_retries(lambda: stored.study.enqueue_trial(params, user_attrs=attributes))
