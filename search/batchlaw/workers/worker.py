"""One worker: it leases a slot, asks for a trial, runs it and tells its outcome, until the budget is spent."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from batchlaw import sampling
from batchlaw.dashboard.refresh import refresh
from batchlaw.errors import Interrupted, WorkFailed
from batchlaw.objectives.builtin import cells_together
from batchlaw.objectives.devices import Devices
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import slot_seeds
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import cells, companions
from batchlaw.storage import (
    BEAT_SECONDS,
    Lease,
    Registration,
    StoredStudy,
    ValueRefused,
    folder_name,
    live_workers,
    with_retries,
)
from batchlaw.train import device_name
from batchlaw.workers.heartbeat import Heartbeat, Running, hard_limit
from batchlaw.workers.recovery import reap
from batchlaw.workers.slot_trial import SlotTrial, reason_of, traceback_of
from batchlaw.workers.trial import TrialOutcome, run_trials

_IDLE_SECONDS = 0.5  # between looks at slots that other workers hold
_FAILURES_IN_A_ROW = 3  # then the cause is not the trial


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
            stored.storage.engine, stored.study_id,
            device=device_name(self.runtime.device), threads=self.runtime.threads.now,
        )  # fmt: skip
        with (
            closing(Devices(stored.spec)) as devices,
            Heartbeat(
                stored, registration, self.runtime.interrupts, self.runtime.threads, embedded=self.embedded
            ) as self._heartbeat,
        ):
            while not self.runtime.interrupts.stop_requested:
                if self.deadline is not None and time.monotonic() >= self.deadline:
                    break
                with devices.taken() as has_devices:
                    lease = stored.slots.lease() if has_devices else None
                    if lease is not None:
                        self._run(lease)
                if lease is None and has_devices and with_retries(stored.slots.counts).held == 0:
                    reap(stored)  # a worker may have died between asking for a trial and noting it in its slot
                    break
                if lease is None:
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
        if counts.ended:
            refresh(self.stored, counts.total)

    def _run(self, first: Lease) -> None:
        spec = self.stored.spec
        asked = [SlotTrial.ask(self.stored, self.study_seed, lease) for lease in (first, *self._companions(first))]
        trials = [trial for trial in asked if trial is not None]
        if not trials:
            return
        trial_seconds = spec.search.trial_seconds if spec.search else None
        running = Running(
            leases=[trial.lease for trial in trials],
            number=trials[0].trial.number,
            hard_limit=hard_limit(trial_seconds),
            hand_back=partial(self._hand_back, trials),
            record_timeout=partial(self._record_timeout, trials, trial_seconds),
        )
        try:
            with self._heartbeat.during(running):
                seeds = slot_seeds(spec, self.study_seed, first.slot)
                folder = None if spec.user_code is None else trials[0].folder(self._study_folder)
                outcomes = run_trials([trial.trial for trial in trials], spec, seeds, self.runtime, folder)
        except Interrupted:
            self._hand_back(trials)
        except ValueRefused as error:
            self._record_failure(trials, error)
        except WorkFailed:
            raise  # the database is out of reach; other workers will find the trials lost
        except Exception as error:
            self._record_failure(trials, error)
        else:
            self._failures = 0
            for trial, outcome in zip(trials, outcomes, strict=True):
                self._tell(trial, outcome)

    def _companions(self, lease: Lease) -> list[Lease]:
        """Leases of further cells that train fastest as one network with this one.

        The live workers share the open cells among them.
        """
        stored, spec = self.stored, self.stored.spec
        if spec.task is None or spec.claim is None or spec.claim.design == "adaptive" or spec.claim.times_steps:
            return []
        others = companions(spec, lease.slot)
        every = cells(spec)
        together = cells_together(spec, self.study_seed, [every[slot] for slot in (lease.slot, *others)], self.runtime)
        if together == 1:
            return []
        n_open = stored.slots.n_open(others)
        workers = max(len(live_workers(stored.storage.engine, stored.study_id)), 1)
        return stored.slots.lease_more(lease, others, min(together, math.ceil((1 + n_open) / workers)) - 1)

    @cached_property
    def _study_folder(self) -> Path:
        return self.runtime.runs_dir / folder_name(self.stored)

    def _tell(self, trial: SlotTrial, outcome: TrialOutcome) -> None:
        try:
            self.trials_done += trial.tell(outcome)
        except ValueRefused as error:
            self._record_failure([trial], error)
        self._heartbeat.trials_done = self.trials_done

    def _hand_back(self, trials: Sequence[SlotTrial]) -> None:
        for trial in trials:
            trial.hand_back()

    def _record_timeout(self, trials: Sequence[SlotTrial], trial_seconds: float | None) -> None:
        """Record the end of trials that did not react to their time limit."""
        reason = f"past trial_seconds = {trial_seconds}, and ended by force"
        for trial in trials:
            self._tell(trial, TrialOutcome(outcome=Outcome.PRUNED, reason=reason))

    def _record_failure(self, trials: Sequence[SlotTrial], error: Exception) -> None:
        """Record an error of the trials.

        Raises:
            WorkFailed: several trials in a row failed.
        """
        for trial in trials:
            trial.fail(reason_of(error), traceback_of(error))
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            number = trials[0].trial.number
            raise WorkFailed(f"{self._failures} trials in a row failed, the last, {number}, with {reason_of(error)}")
