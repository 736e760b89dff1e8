"""One worker: claim a slot, ask for a trial, run it, tell, until the budget is spent."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from search import sampling
from search.errors import Interrupted, WorkFailed
from search.objective import Judgement, Runtime, run_trial
from search.records import OUTCOME, REASON, RESULT, Outcome
from search.storage import Claim, StoredStudy, patiently

_IDLE_SECONDS = 0.5  # between looks at slots that others hold
_FAILURES_IN_A_ROW = 3  # then the fault is not the trial's


@dataclass
class Worker:
    """Runs trials of one study in this process."""

    stored: StoredStudy
    runtime: Runtime
    study_seed: int
    deadline: float | None = None  # time.monotonic() past which no trial starts
    trials_done: int = 0
    _failures: int = 0

    def work(self) -> None:
        """Run trials until the budget is spent, the deadline is past or a stop is requested.

        Raises:
            WorkFailed: several trials in a row failed.
        """
        self.stored.study.pruner = sampling.pruner(self.stored.spec)
        while not self.runtime.interrupts.stop_requested:
            if self.deadline is not None and time.monotonic() >= self.deadline:
                return
            claim = self.stored.slots.claim()
            if claim is not None:
                self._run(claim)
            elif patiently(self.stored.slots.counts).held == 0:
                return
            else:
                time.sleep(_IDLE_SECONDS)  # a slot comes free if its holder dies or hands it back

    def _run(self, claim: Claim) -> None:
        stored = self.stored
        if claim.abandoned_trial_id is not None and self._clear_up(claim, claim.abandoned_trial_id):
            return
        if claim.attempts > 1 + stored.spec.arm.max_retries:
            stored.slots.finish(claim)
            return
        stored.study.sampler = sampling.sampler(stored.spec, self.study_seed, claim.slot)
        trial = patiently(stored.study.ask)
        stored.slots.started(claim, trial._trial_id)
        try:
            with self._lease(claim):
                judgement = run_trial(trial, stored.spec, self.study_seed, self.runtime)
        except Interrupted:
            self._hand_back(claim, trial)
        except Exception as error:
            self._failed(claim, trial, error)
        else:
            self._failures = 0
            self._tell(claim, trial, judgement)

    def _tell(self, claim: Claim, trial: optuna.Trial, judgement: Judgement) -> None:
        """Record a result, unless the slot was lost to another worker: then it is refused."""
        if not self.stored.slots.renew(claim):
            return
        try:
            patiently(lambda: trial.set_user_attr(RESULT, judgement.result))
            _end(self.stored.study, trial, judgement.outcome, judgement.reason, judgement.value)
        except UpdateFinishedTrialError:
            return
        self.stored.slots.finish(claim)
        self.trials_done += 1

    def _hand_back(self, claim: Claim, trial: optuna.Trial) -> None:
        """The same trial, with the parameters it has, waits for the next worker; a cell is simply run again."""
        if self.stored.spec.search:
            patiently(lambda: self.stored.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING))
        else:
            _end(self.stored.study, trial, "lost", "its worker was asked to stop", None)
        self.stored.slots.release(claim, count_attempt=False)

    def _failed(self, claim: Claim, trial: optuna.Trial, error: Exception) -> None:
        """A bug or a fault: the parameters are tried again, a bounded number of times."""
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        details = "".join(traceback.format_exception(error))[-4000:]
        patiently(lambda: trial.set_user_attr("traceback", details))
        _end(self.stored.study, trial, "failed", reason, None)
        self._retry_or_finish(claim, trial.number, trial.params)
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            raise WorkFailed(f"{self._failures} trials in a row failed, the last, {trial.number}, with {reason}")

    def _clear_up(self, claim: Claim, trial_id: int) -> bool:
        """End the trial whose worker died in this slot; True if the slot then needs no further run."""
        storage = self.stored.storage
        frozen = patiently(lambda: storage.get_trial(trial_id))
        if frozen.state in (TrialState.COMPLETE, TrialState.PRUNED):
            self.stored.slots.finish(claim)  # it died between telling and finishing
            return True
        if frozen.state == TrialState.RUNNING:
            try:
                patiently(lambda: storage.set_trial_user_attr(trial_id, OUTCOME, "lost"))
                patiently(lambda: storage.set_trial_state_values(trial_id, TrialState.FAIL))
            except UpdateFinishedTrialError:
                return self._clear_up(claim, trial_id)
            if claim.attempts <= 1 + self.stored.spec.arm.max_retries:
                self._enqueue(frozen.number, frozen.params)
        return False

    def _retry_or_finish(self, claim: Claim, number: int, params: dict[str, object]) -> None:
        if claim.attempts > self.stored.spec.arm.max_retries:
            self.stored.slots.finish(claim)
        else:
            self._enqueue(number, params)
            self.stored.slots.release(claim, count_attempt=True)

    def _enqueue(self, number: int, params: dict[str, object]) -> None:
        """Have the next trial repeat one. A cell needs no such thing: its slot is the cell, whoever claims it."""
        if self.stored.spec.search:
            patiently(lambda: self.stored.study.enqueue_trial(params, user_attrs={"retry_of": number}))

    @contextmanager
    def _lease(self, claim: Claim) -> Iterator[None]:
        """Keep a slot while its trial runs."""
        ended = Event()

        def renew() -> None:
            while not ended.wait(self.stored.slots.lease_seconds / 4):
                self.stored.slots.renew(claim)

        thread = Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _end(study: optuna.Study, trial: optuna.Trial, outcome: Outcome, reason: str | None, value: float | None) -> None:
    """Name the outcome and end the trial.

    Divergence and lack of memory are COMPLETE with the untrained score: samplers do not see FAIL, and would draw the
    same region again. Without a score they are PRUNED, which samplers see as well.
    """
    patiently(lambda: trial.set_user_attr(OUTCOME, outcome))
    if reason is not None:
        patiently(lambda: trial.set_user_attr(REASON, reason))
    if outcome in ("failed", "lost"):
        state = TrialState.FAIL
    else:
        state = TrialState.COMPLETE if value is not None and outcome != "pruned" else TrialState.PRUNED
    values = value if state == TrialState.COMPLETE else None
    patiently(lambda: study.tell(trial, values, state=state))
