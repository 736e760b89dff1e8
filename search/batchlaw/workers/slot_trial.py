"""A trial in a slot that this process holds, from asking for it to its end."""

import math
import traceback
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from batchlaw import sampling
from batchlaw.recipe.constraints import excesses
from batchlaw.recipe.derive import fresh_seeds, run_seeds
from batchlaw.recipe.result import ENDED, Outcome
from batchlaw.recipe.space import suggest
from batchlaw.sampling.adaptive import Cell, next_cells
from batchlaw.storage import Along, Lease, StoredStudy, batched_writes, cached_reads, with_retries
from batchlaw.storage.attributes import (
    BREAKS,
    CONFIRMS,
    OUTCOME,
    REASON,
    RESULT,
    RETRY_OF,
    THREADS,
    TRACEBACK,
    TURN,
)
from batchlaw.workers.confirmation import Confirmation
from batchlaw.workers.recovery import clear_up, first_attempt, is_queued, try_again
from batchlaw.workers.trial import TrialOutcome

_HAND_BACK_SECONDS = 4.0  # to give a trial back after a request to stop; if the database is away, its lease runs out


@dataclass(frozen=True)
class SlotTrial:
    """A trial under way, and the lease of its slot."""

    stored: StoredStudy
    lease: Lease
    trial: optuna.Trial
    read: set[int] = field(default_factory=set, compare=False)  # as in `cached_reads`, when it was asked for

    @classmethod
    def ask(
        cls,
        stored: StoredStudy,
        study_seed: int,
        lease: Lease,
        postponed: Collection[int] = (),
        confirmation: Confirmation | None = None,
        cell: Cell | None = None,
    ) -> "SlotTrial | None":
        """Ask for the trial of a slot, after clearing up what a dead worker left in it; None if none is to run.

        Args:
            stored: the study.
            study_seed: of its samplers.
            lease: of the slot.
            postponed: of a search, the first attempts whose repeats are left to later slots, as far as there are any.
            confirmation: of a search, what decides whether the trial trains a contender on fresh seeds.
            cell: of an adaptive claim, what is to be run; None chooses it.
        """
        if clear_up(stored, lease):
            return None
        with cached_reads(read := set[int]()):
            if cell is None and stored.spec.claim is not None and stored.spec.claim.design == "adaptive":
                cell = next_cells(stored.spec, study_seed, lease.slot, stored.study)[0]
            confirms = confirmation.next(stored) if confirmation is not None else None
            if confirmation is not None and confirms is not None:
                stored.study.sampler = sampling.fixed(confirmation.params(confirms.trial))
            elif cell is not None:
                stored.study.sampler = sampling.fixed(cell.params)
            else:
                stored.study.sampler = sampling.sampler(stored.spec, study_seed, lease.slot, stored.study)
            trial = with_retries(stored.study.ask)
        if RETRY_OF in trial.user_attrs and postponed and first_attempt(stored, trial) in postponed:
            trial = _another(stored, trial)
        asked = cls(stored, lease, trial, read)
        if not stored.slots.started(lease, asked.trial_id):
            with suppress(UpdateFinishedTrialError):  # whoever took the slot may have named it lost
                if is_queued(trial):
                    asked._wait()
                else:
                    asked._end(TrialOutcome(outcome=Outcome.LOST, reason="its slot was lost to another worker"))
            return None
        if confirms is not None and not trial.params and not is_queued(trial):  # no trial that waited
            with batched_writes(trial):
                trial.set_user_attr(CONFIRMS, confirms._asdict())
                with_retries(lambda: suggest(trial, stored.spec))
        if stored.spec.claim is not None:  # while the sampler is that of its cell
            with batched_writes(trial):
                if cell is not None:
                    trial.set_user_attr(TURN, cell.turn)
                with_retries(lambda: suggest(trial, stored.spec))
                if lease.last_trial_id is not None:  # the cell ran before, and may go on where it was
                    last = with_retries(partial(stored.storage.get_trial, lease.last_trial_id))
                    if THREADS in last.user_attrs:
                        trial.set_user_attr(THREADS, last.user_attrs[THREADS])
        return asked

    @cached_property
    def trial_id(self) -> int:
        """Optuna's id of the trial, which the cache of a new trial knows."""
        trial = self.trial
        return with_retries(
            lambda: trial.storage.get_trial_id_from_study_id_trial_number(self.stored.study_id, trial.number)
        )

    @property
    def fold(self) -> int:
        """The division of the examples into training and validation that the trial has."""
        return int(self.trial.user_attrs.get(CONFIRMS, {}).get("fold", 0))

    def seeds(self, study_seed: int) -> tuple[int, ...]:
        """One for each replicate: those of the turn, or fresh ones of a trial that confirms another."""
        attributes, replicates = self.trial.user_attrs, self.stored.spec.arm.replicates
        if CONFIRMS not in attributes:
            return run_seeds(study_seed, replicates, attributes.get(TURN, 0))
        return fresh_seeds(study_seed, replicates, first_attempt(self.stored, self.trial))

    def folder(self, of_study: Path) -> Path:
        """The folder of the files of the trial, the same for each of its attempts.

        In a search that is the first attempt's, whichever slots the others run in; otherwise the slot's.
        """
        if self.stored.spec.search is None:
            return of_study / f"slot-{self.lease.slot}"
        return of_study / f"trial-{first_attempt(self.stored, self.trial)}"

    def tell(self, outcome: TrialOutcome) -> bool:
        """Record an outcome; False if the slot was lost to another worker, or the trial was ended by one."""
        if not self.stored.slots.holds(self.lease):
            return False
        finishing = Along(self.stored.slots.finishing(self.lease))
        try:
            self._end(outcome, finishing)
        except UpdateFinishedTrialError:
            return False
        if not finishing.done:
            self.stored.slots.finish(self.lease)
        return True

    def hand_back(self, reason: str = "its worker was asked to stop") -> None:
        """Give the trial to the next worker, with its parameters; the cell of a designed arm is simply run again."""
        if not self.stored.slots.renew(self.lease, seconds=_HAND_BACK_SECONDS):
            return
        if self.stored.spec.search:
            self._wait()
        else:
            self._end(TrialOutcome(outcome=Outcome.LOST, reason=reason))
        self.stored.slots.release(self.lease, attempts=0)

    def _wait(self) -> None:
        """Have the next worker that asks run the trial."""
        wait = partial(self.stored.storage.set_trial_state_values, self.trial_id, TrialState.WAITING)
        with_retries(wait, seconds=_HAND_BACK_SECONDS)

    def fail(self, reason: str, attributes: Mapping[str, str], *, attempts: int = 1) -> bool:
        """Record an error, and have the parameters run again, a bounded number of times; False if the slot was lost.

        Args:
            reason: one line.
            attributes: that say where it happened.
            attempts: that the failure has used up.
        """
        if not self.stored.slots.renew(self.lease):
            return False
        for key, value in attributes.items():
            with_retries(partial(self.trial.set_user_attr, key, value))
        self._end(TrialOutcome(outcome=Outcome.FAILED, reason=reason))
        frozen = with_retries(partial(self.stored.storage.get_trial, self.trial_id))
        if try_again(self.stored, frozen, self.lease, attempts):
            self.stored.slots.release(self.lease, attempts=attempts)
        else:
            self.stored.slots.finish(self.lease)
        return True

    def _end(self, ended: TrialOutcome, along: Along | None = None) -> None:
        """Write the remaining reports, name the outcome and end the trial, in one transaction with what goes `along`.

        A diverged or out-of-memory trial is COMPLETE with the untrained score, because samplers do not see FAIL and
        would draw the same region again. Without a score it is PRUNED, which samplers see as well.
        """
        trial, storage = self.trial, self.stored.storage
        with batched_writes(trial, along=along):
            for report in ended.unwritten:
                trial.report(*report)
            for name, value in ended.attributes.items():
                trial.set_user_attr(name, value)
            if ended.record:
                trial.set_user_attr(RESULT, ended.record)
            if ended.outcome not in (Outcome.COMPLETE, Outcome.PRUNED):  # these are states of Optuna's
                trial.set_user_attr(OUTCOME, ended.outcome)
            if ended.reason is not None:
                trial.set_user_attr(REASON, ended.reason)
            if ended.outcome in ENDED:
                self._note_bounds(ended)
            if ended.outcome in (Outcome.FAILED, Outcome.LOST):
                with_retries(lambda: self.stored.study.tell(trial, state=TrialState.FAIL))
                return
            # Not `study.tell`, which takes twice the time: it reads the trial before and after for samplers with an
            # `after_trial`, and none of ours has one.
            if ended.value is None or ended.outcome == Outcome.PRUNED:
                state, values = TrialState.PRUNED, self._last_report(ended)
            else:
                state, values = TrialState.COMPLETE, [ended.value]
            with_retries(lambda: storage.set_trial_state_values(self.trial_id, state, values))

    def _note_bounds(self, ended: TrialOutcome) -> None:
        """Tell samplers by how much the trial exceeds the bounds of its search, and readers that it does."""
        spec = self.stored.spec
        bounds = [name for name in ("max_seconds", "max_memory") if getattr(spec.search, name, None) is not None]
        if not bounds:
            return
        pruned = ended.outcome == Outcome.PRUNED
        share = max(self._reported(ended), default=1) / spec.arm.reports if pruned else 1.0
        found = excesses(spec, ended.record, share=share)
        for name in bounds:  # a sampler wants one of each; what is not known keeps its bound
            self.trial.set_constraint(name, found.get(name, 0.0))
        if broken := [name for name, excess in found.items() if excess > 0]:
            self.trial.set_user_attr(BREAKS, broken)
            if ended.reason is None:
                over = " and ".join(f"{name} by {100 * found[name]:.0f} %" for name in broken)
                self.trial.set_user_attr(REASON, f"exceeds {over}")

    def _reported(self, ended: TrialOutcome) -> dict[int, float]:
        """The reports of the trial by number, in the database or not yet."""
        stored = with_retries(partial(self.stored.storage.get_trial, self.trial_id)).intermediate_values
        return {step: value for value, step in ended.unwritten} | stored

    def _last_report(self, ended: TrialOutcome) -> list[float] | None:
        """The value that Optuna gives a pruned trial."""
        reported = self._reported(ended)
        last = reported[max(reported)] if reported else math.nan
        return None if math.isnan(last) else [last]


def _another(stored: StoredStudy, trial: optuna.Trial) -> optuna.Trial:
    """A new trial in place of one that was queued, which goes back; the same if no later slot is left for it.

    It goes back before the slots are counted: who asks in between gets it, and no slot is lost to a new trial.
    """
    storage = trial.storage  # with the cache of the study
    queued = storage.get_trial_id_from_study_id_trial_number(stored.study_id, trial.number)
    put = partial(storage.set_trial_state_values, queued)
    with_retries(partial(put, TrialState.WAITING))
    waiting = with_retries(
        lambda: stored.storage.get_all_trials(stored.study_id, deepcopy=False, states=(TrialState.WAITING,))
    )
    if len(waiting) > with_retries(stored.slots.counts).open and with_retries(partial(put, TrialState.RUNNING)):
        return trial
    return optuna.Trial(stored.study, with_retries(partial(storage.create_new_trial, stored.study_id)))


def reason_of(error: BaseException) -> str:
    """An error in one line, whatever the error is made of."""
    try:
        text = str(error)
    except Exception as worse:
        text = f"its text cannot be had, {type(worse).__name__}"
    return f"{type(error).__name__}: {text}".splitlines()[0][:1000].encode(errors="replace").decode()


def traceback_of(error: BaseException) -> dict[str, str]:
    """The attribute of a failed trial that says where in the code it failed."""
    return {TRACEBACK: "".join(traceback.format_exception(error))[-4000:]}
