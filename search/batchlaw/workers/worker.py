"""One worker: lease a slot, ask for a trial, run it, tell, until the budget is spent."""

import math
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import optuna
import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from batchlaw import sampling
from batchlaw.dashboard.refresh import refresh
from batchlaw.errors import Interrupted, WorkFailed
from batchlaw.objectives.objective import Runtime, TrialOutcome, cells_together, run_trials
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
    n_live,
    with_retries,
)
from batchlaw.train import device_name
from batchlaw.workers.heartbeat import Heartbeat, Running, hard_limit
from batchlaw.workers.recovery import again, clear_up, reap

_IDLE_SECONDS = 0.5  # between looks at slots that others hold
_FAILURES_IN_A_ROW = 3  # then the fault is not the trial's
Begun = Sequence[tuple[Lease, optuna.Trial]]  # slots, each with its trial
_LAST_WORDS_SECONDS = 4.0  # to hand a trial back when asked to stop; its lease runs out where the database is away


@dataclass
class Worker:
    """Runs trials of one study in this process."""

    stored: StoredStudy
    runtime: Runtime
    study_seed: int
    deadline: float | None = None  # time.monotonic() past which no trial starts
    figures: bool = False  # whether it draws the study's page, where it is its turn
    trials_done: int = 0
    _look: float = 0.0  # time.monotonic() from which it asks again whose turn it is
    _failures: int = 0
    _heartbeat: Heartbeat = field(init=False, repr=False)

    def work(self) -> None:
        """Run trials until the budget is spent, the deadline is past or a stop is requested.

        Raises:
            WorkFailed: several trials in a row failed.
        """
        stored = self.stored
        stored.study.pruner = sampling.pruner(stored.spec)
        registration = Registration(
            stored.storage.engine, stored.study._study_id,
            device=device_name(self.runtime.device), threads=torch.get_num_threads(),
        )  # fmt: skip
        with Heartbeat(stored, registration) as self._heartbeat:
            while not self.runtime.interrupts.stop_requested:
                if self.deadline is not None and time.monotonic() >= self.deadline:
                    break
                lease = stored.slots.lease()
                if lease is not None:
                    self._run(lease)
                elif with_retries(stored.slots.counts).held == 0:
                    reap(stored)  # what was asked for by a worker that died before it could say so
                    break
                else:
                    time.sleep(_IDLE_SECONDS)  # a slot comes free if its holder dies or hands it back
                self._draw_between_trials()
            self._draw_at_the_end()

    def _draw_between_trials(self) -> None:
        if self.figures and time.monotonic() >= self._look:
            self._look = time.monotonic() + BEAT_SECONDS
            refresh(self.stored, None)

    def _draw_at_the_end(self) -> None:
        """By one worker, whichever comes here first; one that is drawing at this moment comes here afterwards."""
        if not self.figures or self.runtime.interrupts.stop_requested:
            return
        counts = with_retries(self.stored.slots.counts)
        if counts.done == counts.total:
            refresh(self.stored, counts.total)

    def _run(self, first: Lease) -> None:
        stored = self.stored
        begun = [
            (lease, trial) for lease in (first, *self._companions(first)) if (trial := self._begin(lease)) is not None
        ]
        if not begun:
            return
        leases, trials = zip(*begun, strict=True)
        trial_seconds = stored.spec.search.trial_seconds if stored.spec.search else None
        running = Running(
            leases=leases,
            number=trials[0].number,
            hard_limit=hard_limit(trial_seconds),
            hand_back=partial(self._hand_back, begun),
            record_timeout=partial(self._record_timeout, begun, trial_seconds),
        )
        try:
            with self._heartbeat.during(running):
                seeds = slot_seeds(stored.spec, self.study_seed, first.slot)
                judgements = run_trials(trials, stored.spec, seeds, self.runtime)
        except Interrupted:
            self._hand_back(begun)
        except WorkFailed:
            raise  # the database's fault; the trials will be found lost
        except Exception as error:
            self._failed(begun, error)
        else:
            self._failures = 0
            for lease, trial, judgement in zip(leases, trials, judgements, strict=True):
                self._tell(lease, trial, judgement)

    def _companions(self, lease: Lease) -> list[Lease]:
        """Further cells that train fastest in one network with this one; live workers share what is open of them."""
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

    def _begin(self, lease: Lease) -> optuna.Trial | None:
        """The trial of a slot, after clearing up what a dead worker left in it; None where none is to run."""
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
            _end(stored, trial, _unjudged(Outcome.LOST, "its slot was lost to another worker"))
            return None
        if stored.spec.claim is not None:  # while the sampler is that of its cell
            with batched_writes(trial):
                with_retries(lambda: suggest(trial, stored.spec.space))
        return trial

    def _tell(self, lease: Lease, trial: optuna.Trial, judgement: TrialOutcome) -> None:
        """Record a result, unless the slot was lost to another worker: then it is refused."""
        if not self.stored.slots.holds(lease):
            return
        try:
            _end(self.stored, trial, judgement)
        except UpdateFinishedTrialError:
            return
        self.stored.slots.finish(lease)
        self.trials_done += 1
        self._heartbeat.trials_done = self.trials_done

    def _record_timeout(self, begun: Begun, trial_seconds: float | None) -> None:
        """Of a trial that did not react to its limit."""
        judgement = _unjudged(Outcome.PRUNED, f"past trial_seconds = {trial_seconds}, and ended by force")
        for lease, trial in begun:
            self._tell(lease, trial, judgement)

    def _hand_back(self, begun: Begun) -> None:
        """The same trials, with the parameters they have, wait for the next worker; a cell is simply run again."""
        hurry = _LAST_WORDS_SECONDS
        for lease, trial in begun:
            if not self.stored.slots.renew(lease, seconds=hurry):
                continue
            if self.stored.spec.search:
                waiting = partial(self.stored.storage.set_trial_state_values, trial._trial_id, TrialState.WAITING)
                with_retries(waiting, seconds=hurry)
            else:
                _end(self.stored, trial, _unjudged(Outcome.LOST, "its worker was asked to stop"))
            self.stored.slots.release(lease, count_attempt=False)

    def _failed(self, begun: Begun, error: Exception) -> None:
        """A bug or a fault: the parameters are tried again, a bounded number of times."""
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        details = "".join(traceback.format_exception(error))[-4000:]
        for lease, trial in begun:
            if not self.stored.slots.renew(lease):
                continue
            with_retries(partial(trial.set_user_attr, TRACEBACK, details))
            _end(self.stored, trial, _unjudged(Outcome.FAILED, reason))
            frozen = with_retries(partial(self.stored.storage.get_trial, trial._trial_id))
            if again(self.stored, frozen, lease.attempts):
                self.stored.slots.release(lease, count_attempt=True)
            else:
                self.stored.slots.finish(lease)
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            number = begun[0][1].number
            raise WorkFailed(f"{self._failures} trials in a row failed, the last, {number}, with {reason}")


def _unjudged(outcome: Outcome, reason: str) -> TrialOutcome:
    """How a trial without a result ended."""
    return TrialOutcome(outcome=outcome, value=None, result={}, reason=reason)


def _end(stored: StoredStudy, trial: optuna.Trial, judgement: TrialOutcome) -> None:
    """Write what is left, name the outcome and end the trial, in one transaction.

    Divergence and lack of memory are COMPLETE with the untrained score: samplers do not see FAIL, and would draw the
    same region again. Without a score they are PRUNED, which samplers see as well.
    """
    outcome, value = judgement.outcome, judgement.value
    with batched_writes(trial):
        for report in judgement.reports:
            trial.report(*report)
        if judgement.result:
            trial.set_user_attr(RESULT, judgement.result)
        if outcome not in (Outcome.COMPLETE, Outcome.PRUNED):  # which the state tells by itself
            trial.set_user_attr(OUTCOME, outcome)
        if judgement.reason is not None:
            trial.set_user_attr(REASON, judgement.reason)
        if outcome in (Outcome.FAILED, Outcome.LOST):
            with_retries(lambda: stored.study.tell(trial, state=TrialState.FAIL))
            return
        # As `study.tell` ends it, which reads the trial before and after, at twice the cost, for samplers that want to
        # see it ended; none of ours does.
        if value is None or outcome == Outcome.PRUNED:
            state, values = TrialState.PRUNED, _last_report(trial)
        else:
            state, values = TrialState.COMPLETE, [value]
        with_retries(lambda: stored.storage.set_trial_state_values(trial._trial_id, state, values))


def _last_report(trial: optuna.Trial) -> list[float] | None:
    """The value that Optuna gives a pruned trial."""
    reported = trial._cached_frozen_trial.intermediate_values
    last = reported[max(reported)] if reported else math.nan
    return None if math.isnan(last) else [last]
