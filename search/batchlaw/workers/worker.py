"""One worker: it leases a slot, asks for a trial, runs it and tells its outcome, until the budget is spent."""

import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import optuna
import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from batchlaw import sampling
from batchlaw.dashboard.refresh import refresh
from batchlaw.errors import Interrupted, WorkFailed
from batchlaw.objectives.builtin import cells_together
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import slot_seeds
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import cells, companions, suggest
from batchlaw.results.attributes import OUTCOME, REASON, RESULT, TRACEBACK
from batchlaw.storage import (
    BEAT_SECONDS,
    Lease,
    Registration,
    StoredStudy,
    batched_writes,
    cached_reads,
    folder_name,
    n_live,
    with_retries,
)
from batchlaw.train import device_name
from batchlaw.workers.heartbeat import Heartbeat, Running, hard_limit
from batchlaw.workers.recovery import clear_up, first_attempt, reap, run_again
from batchlaw.workers.trial import TrialOutcome, run_trials

_IDLE_SECONDS = 0.5  # between looks at slots that other workers hold
_FAILURES_IN_A_ROW = 3  # then the cause is not the trial
_HAND_BACK_SECONDS = 4.0  # to give trials back after a request to stop; if the database is away, their leases run out
LeasedTrials = Sequence[tuple[Lease, optuna.Trial]]


@dataclass
class Worker:
    """Runs trials of one study in this process."""

    stored: StoredStudy
    runtime: Runtime
    study_seed: int
    deadline: float | None = None  # time.monotonic() past which no trial starts
    figures: bool = False  # whether it draws the study's page when it is its turn
    between: Callable[[], None] = lambda: None  # called between trials
    embedded: bool = False  # in somebody else's process, which is never ended by force
    trials_done: int = 0
    _next_refresh: float = 0.0  # time.monotonic() from which it looks again whether it is its turn
    _failures: int = 0
    _heartbeat: Heartbeat = field(init=False, repr=False)

    def work(self) -> None:
        """Run trials until the budget is spent, the deadline is past or a stop is requested.

        Raises:
            WorkFailed: several trials in a row failed, or the database is out of reach.
        """
        stored = self.stored
        stored.study.pruner = sampling.pruner(stored.spec)
        registration = Registration(
            stored.storage.engine, stored.study._study_id,
            device=device_name(self.runtime.device), threads=torch.get_num_threads(),
        )  # fmt: skip
        with Heartbeat(stored, registration, embedded=self.embedded) as self._heartbeat:
            while not self.runtime.interrupts.stop_requested:
                if self.deadline is not None and time.monotonic() >= self.deadline:
                    break
                lease = stored.slots.lease()
                if lease is not None:
                    self._run(lease)
                elif with_retries(stored.slots.counts).held == 0:
                    reap(stored)  # a worker may have died between asking for a trial and noting it in its slot
                    break
                else:
                    time.sleep(_IDLE_SECONDS)  # a slot is free again if its worker dies or hands it back
                self._draw_between_trials()
                self.between()
            self._draw_at_the_end()

    def _draw_between_trials(self) -> None:
        if self.figures and time.monotonic() >= self._next_refresh:
            self._next_refresh = time.monotonic() + BEAT_SECONDS
            refresh(self.stored, None)

    def _draw_at_the_end(self) -> None:
        """Draw the page of the finished study; the first worker that comes here does it for all."""
        if not self.figures or self.runtime.interrupts.stop_requested:
            return
        counts = with_retries(self.stored.slots.counts)
        if counts.done == counts.total:
            refresh(self.stored, counts.total)

    def _run(self, first: Lease) -> None:
        spec = self.stored.spec
        leased = [
            (lease, trial) for lease in (first, *self._companions(first)) if (trial := self._ask(lease)) is not None
        ]
        if not leased:
            return
        leases, trials = zip(*leased, strict=True)
        trial_seconds = spec.search.trial_seconds if spec.search else None
        running = Running(
            leases=leases,
            number=trials[0].number,
            hard_limit=hard_limit(trial_seconds),
            hand_back=partial(self._hand_back, leased),
            record_timeout=partial(self._record_timeout, leased, trial_seconds),
        )
        try:
            with self._heartbeat.during(running):
                seeds = slot_seeds(spec, self.study_seed, first.slot)
                folder = None if spec.user_code is None else self._folder(first, trials[0])
                outcomes = run_trials(trials, spec, seeds, self.runtime, folder)
        except Interrupted:
            self._hand_back(leased)
        except WorkFailed:
            raise  # the database is out of reach; other workers will find the trials lost
        except Exception as error:
            self._record_failure(leased, error)
        else:
            self._failures = 0
            for lease, trial, outcome in zip(leases, trials, outcomes, strict=True):
                self._tell(lease, trial, outcome)

    def _companions(self, lease: Lease) -> list[Lease]:
        """Leases of further cells that train fastest as one network with this one.

        The live workers share the open cells among them.
        """
        stored, spec = self.stored, self.stored.spec
        if spec.task is None or spec.claim is None or spec.claim.design == "adaptive" or spec.claim.times_steps:
            return []
        others = companions(spec.space, lease.slot)
        every = cells(spec.space)
        together = cells_together(spec, self.study_seed, [every[slot] for slot in (lease.slot, *others)], self.runtime)
        if together == 1:
            return []
        n_open = stored.slots.n_open(others)
        workers = max(n_live(stored.storage.engine, stored.study._study_id), 1)
        return stored.slots.lease_more(lease, others, min(together, math.ceil((1 + n_open) / workers)) - 1)

    def _ask(self, lease: Lease) -> optuna.Trial | None:
        """Ask for the trial of a slot, after clearing up what a dead worker left in it; None if none is to run."""
        stored = self.stored
        if clear_up(stored, lease):
            return None
        if lease.attempts > 1 + stored.spec.arm.max_retries:
            stored.slots.finish(lease)
            return None
        stored.study.sampler = sampling.sampler(stored.spec, self.study_seed, lease.slot)
        with cached_reads():
            trial = with_retries(stored.study.ask)
        if not stored.slots.started(lease, trial._trial_id):
            _end(stored, trial, TrialOutcome(outcome=Outcome.LOST, reason="its slot was lost to another worker"))
            return None
        if stored.spec.claim is not None:  # while the sampler is that of its cell
            with batched_writes(trial):
                with_retries(lambda: suggest(trial, stored.spec.space))
        return trial

    def _folder(self, lease: Lease, trial: optuna.Trial) -> Path:
        """The folder of the files of a trial, the same for each of its attempts.

        In a search that is the first attempt's, whichever slots the others run in; otherwise the slot's.
        """
        if self.stored.spec.search is None:
            return self._study_folder / f"slot-{lease.slot}"
        return self._study_folder / f"trial-{first_attempt(self.stored, trial)}"

    @cached_property
    def _study_folder(self) -> Path:
        return self.runtime.runs_dir / folder_name(self.stored)

    def _tell(self, lease: Lease, trial: optuna.Trial, outcome: TrialOutcome) -> None:
        """Record an outcome, unless the slot was lost to another worker."""
        if not self.stored.slots.holds(lease):
            return
        try:
            _end(self.stored, trial, outcome)
        except UpdateFinishedTrialError:
            return
        self.stored.slots.finish(lease)
        self.trials_done += 1
        self._heartbeat.trials_done = self.trials_done

    def _record_timeout(self, leased: LeasedTrials, trial_seconds: float | None) -> None:
        """Record the end of trials that did not react to their time limit."""
        reason = f"past trial_seconds = {trial_seconds}, and ended by force"
        for lease, trial in leased:
            self._tell(lease, trial, TrialOutcome(outcome=Outcome.PRUNED, reason=reason))

    def _hand_back(self, leased: LeasedTrials) -> None:
        """Give the trials to the next worker, with their parameters; the cell of a designed arm is simply run again."""
        for lease, trial in leased:
            if not self.stored.slots.renew(lease, seconds=_HAND_BACK_SECONDS):
                continue
            if self.stored.spec.search:
                wait = partial(self.stored.storage.set_trial_state_values, trial._trial_id, TrialState.WAITING)
                with_retries(wait, seconds=_HAND_BACK_SECONDS)
            else:
                _end(self.stored, trial, TrialOutcome(outcome=Outcome.LOST, reason="its worker was asked to stop"))
            self.stored.slots.release(lease, count_attempt=False)

    def _record_failure(self, leased: LeasedTrials, error: Exception) -> None:
        """Record an error of the trials, and have their parameters run again, a bounded number of times.

        Raises:
            WorkFailed: several trials in a row failed.
        """
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        details = "".join(traceback.format_exception(error))[-4000:]
        for lease, trial in leased:
            if not self.stored.slots.renew(lease):
                continue
            with_retries(partial(trial.set_user_attr, TRACEBACK, details))
            _end(self.stored, trial, TrialOutcome(outcome=Outcome.FAILED, reason=reason))
            frozen = with_retries(partial(self.stored.storage.get_trial, trial._trial_id))
            if run_again(self.stored, frozen, lease.attempts):
                self.stored.slots.release(lease, count_attempt=True)
            else:
                self.stored.slots.finish(lease)
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            number = leased[0][1].number
            raise WorkFailed(f"{self._failures} trials in a row failed, the last, {number}, with {reason}")


def _end(stored: StoredStudy, trial: optuna.Trial, ended: TrialOutcome) -> None:
    """Write the remaining reports, name the outcome and end the trial, in one transaction.

    A diverged or out-of-memory trial is COMPLETE with the untrained score, because samplers do not see FAIL and would
    draw the same region again. Without a score it is PRUNED, which samplers see as well.
    """
    with batched_writes(trial):
        for report in ended.unwritten:
            trial.report(*report)
        if ended.record:
            trial.set_user_attr(RESULT, ended.record)
        if ended.outcome not in (Outcome.COMPLETE, Outcome.PRUNED):  # these are states of Optuna's
            trial.set_user_attr(OUTCOME, ended.outcome)
        if ended.reason is not None:
            trial.set_user_attr(REASON, ended.reason)
        if ended.outcome in (Outcome.FAILED, Outcome.LOST):
            with_retries(lambda: stored.study.tell(trial, state=TrialState.FAIL))
            return
        # Not `study.tell`, which takes twice the time: it reads the trial before and after for samplers with an
        # `after_trial`, and none of ours has one.
        if ended.value is None or ended.outcome == Outcome.PRUNED:
            state, values = TrialState.PRUNED, _last_report(trial)
        else:
            state, values = TrialState.COMPLETE, [ended.value]
        with_retries(lambda: stored.storage.set_trial_state_values(trial._trial_id, state, values))


def _last_report(trial: optuna.Trial) -> list[float] | None:
    """The value that Optuna gives a pruned trial."""
    reported = trial._cached_frozen_trial.intermediate_values
    last = reported[max(reported)] if reported else math.nan
    return None if math.isnan(last) else [last]
