"""One worker: it leases a slot, asks for a trial, runs it and tells its outcome, until the budget is spent."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from batchlaw import sampling
from batchlaw.dashboard.refresh import refresh
from batchlaw.errors import Interrupted, WorkFailed
from batchlaw.objectives.devices import Devices
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import cells, companions
from batchlaw.sampling.adaptive import Cell, look_slots, next_cells, seeds_of_their_own
from batchlaw.storage import (
    BEAT_SECONDS,
    Lease,
    Registration,
    StoredStudy,
    ValueRefused,
    folder_name,
    live_workers,
    note_fit,
    spec_that_fits,
    with_retries,
)
from batchlaw.workers.confirmation import Confirmation, confirmation_of
from batchlaw.workers.heartbeat import Heartbeat, Running, hard_limit
from batchlaw.workers.recovery import first_attempt, reap
from batchlaw.workers.slot_trial import SlotTrial, reason_of, traceback_of
from batchlaw.workers.stopping import Stopping, stopping_of
from batchlaw.workers.time_limit import TimeLimit, end_if_spent
from batchlaw.workers.trial import TrialOutcome, run_trials
from batchlaw.workers.trial_log import TrialLog, logged

_IDLE_SECONDS = 0.5  # between looks at slots that other workers hold
_MOST_FAILED = 2  # points that may fail on a worker before any trial has ended on it; with one more it is at fault
Point = frozenset[tuple[str, Any]]  # the parameters of a trial


@dataclass
class Worker:
    """Runs trials of one study in this process."""

    stored: StoredStudy
    runtime: Runtime
    study_seed: int
    timeout: float | None = None  # seconds after which no trial starts, in place of the study's
    figures: bool = False  # whether it draws the study's page when it is its turn …
    draws_apart: bool = False  # … in a process of its own, so that this one does not grow
    between: Callable[[], None] = lambda: None  # called between trials
    embedded: bool = False  # in somebody else's process, which is never ended by force
    trials_done: int = 0
    _next_refresh: float = 0.0  # time.monotonic() from which it looks again whether it is its turn
    # The points that failed here, and how many attempts these failures may yet turn out to be.
    _failed: dict[Point, int] = field(default_factory=dict)
    # What failed here is run here last: these slots, and of a search the repeats of these trials.
    _failed_slots: set[int] = field(default_factory=set)
    _failed_trials: set[int] = field(default_factory=set)
    _heartbeat: Heartbeat = field(init=False, repr=False)
    _confirmation: Confirmation | None = field(init=False, repr=False)
    _log: TrialLog | None = field(init=False, repr=False)
    _stopping: Stopping | None = field(init=False, repr=False)

    def work(self) -> None:
        """Run trials until the budget is spent, the time is over or a stop is requested.

        Raises:
            WorkFailed: several points failed and none succeeded, or the database is out of reach.
            BatchlawError: the library that the study is logged to is not installed.
        """
        stored = self.stored
        self.runtime = replace(self.runtime, reopen=self._reopen)
        stored.study.pruner = sampling.pruner(stored.spec)
        registration = Registration(
            stored.storage.engine, stored.study_id,
            device=self.runtime.device_name, threads=self.runtime.threads.now,
        )  # fmt: skip
        limit = TimeLimit.of(stored, self.timeout)
        self._confirmation = confirmation_of(stored.spec, limit)
        self._stopping = stopping_of(stored, self._confirmation, limit)
        with (
            logged(stored, lambda: self.runtime.interrupts.stop_requested) as self._log,
            closing(self.runtime),
            closing(Devices(stored.spec)) as devices,
            Heartbeat(
                stored, registration, self.runtime.interrupts, self.runtime.threads, embedded=self.embedded
            ) as self._heartbeat,
        ):
            while not self.runtime.interrupts.stop_requested:
                if limit is not None and limit.passed:
                    end_if_spent(stored)
                    break
                if self._stopping is not None:
                    self._stopping.look()
                with devices.taken() as has_devices:
                    lease = stored.slots.lease(self._failed_slots) if has_devices else None
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

    def _reopen(self) -> None:
        self.stored.storage.engine.dispose()
        self._heartbeat.reopen()

    def _draw_between_trials(self) -> None:
        if self.figures and time.monotonic() >= self._next_refresh:
            self._next_refresh = time.monotonic() + BEAT_SECONDS
            refresh(self.stored, None, apart=self.draws_apart)

    def _draw_at_the_end(self) -> None:
        """Draw the page of the finished study; the first worker that comes here does it for all."""
        if not self.figures or self.runtime.interrupts.stop_requested:
            return
        counts = with_retries(self.stored.slots.counts)
        if counts.ended:
            refresh(self.stored, counts.total, apart=self.draws_apart)

    def _run(self, first: Lease) -> None:
        device = self.runtime.device_name
        spec = spec_that_fits(self.stored, device)
        if spec.search is None and first.slot in self._failed_slots:
            self._leave_to_others([first])
        asked = [
            SlotTrial.ask(self.stored, self.study_seed, lease, self._failed_trials, self._confirmation, cell)
            for lease, cell in self._together(first)
        ]
        trials = [trial for trial in asked if trial is not None]
        if not trials:
            return
        if self._failed_trials and first_attempt(self.stored, trials[0].trial) in self._failed_trials:
            self._leave_to_others(trials)
        trial_seconds = spec.search.trial_seconds if spec.search else None
        running = Running(
            leases=[trial.lease for trial in trials],
            number=trials[0].trial.number,
            hard_limit=hard_limit(trial_seconds),
            hand_back=partial(self._hand_back, trials),
            record_timeout=partial(self._record_timeout, trials, trial_seconds),
        )
        folder = None if spec.user_code is None else trials[0].folder(self._study_folder)
        try:
            with self._heartbeat.during(running):
                if spec.claim is not None and spec.claim.design == "adaptive":
                    with_retries(lambda: seeds_of_their_own([trial.trial for trial in trials], self.stored.study))
                seeds = trials[0].seeds(self.study_seed)
                outcomes = run_trials(
                    [trial.trial for trial in trials], spec.on_fold(trials[0].fold), seeds, self.runtime, folder,
                    note_fit=partial(note_fit, self.stored, device), read=trials[0].read,
                )  # fmt: skip
        except Interrupted:
            self._hand_back(trials)
        except ValueRefused as error:
            self._record_failure(trials, error)
        except WorkFailed:
            raise  # the database is out of reach; other workers will find the trials lost
        except Exception as error:
            self._record_failure(trials, error)
        else:
            for trial, outcome in zip(trials, outcomes, strict=True):
                self._tell(trial, outcome)
        if folder is not None:
            with suppress(OSError):  # the folders are there and not empty, unless their runs are not kept
                folder.rmdir()
                self._study_folder.rmdir()

    def _together(self, lease: Lease) -> list[tuple[Lease, Cell | None]]:
        """A lease, with those of further cells that train fastest as one network with its own.

        The live workers share the open slots among them. The cell is None where the slot tells it.
        """
        stored, spec = self.stored, self.stored.spec
        if spec.task is None or spec.claim is None or spec.claim.times_steps:
            return [(lease, None)]
        from batchlaw.objectives.builtin import cells_together  # PyTorch, which others' code may do without

        chosen: list[Cell] = []
        if spec.claim.design == "factorial":
            others, every = companions(spec, lease.slot), cells(spec)
            params = [every[slot] for slot in (lease.slot, *others)]
        else:
            stack = with_retries(lambda: next_cells(spec, self.study_seed, lease.slot, stored.study))
            params, others = [cell.params for cell in stack], look_slots(spec, lease.slot)
            if not others:  # after the first look no slot has a cell of its own
                chosen, others = stack, list(range(lease.slot + 1, with_retries(stored.slots.counts).total))
        together = cells_together(spec, self.study_seed, params, self.runtime)
        leases = [lease]
        if together > 1:
            n_open = stored.slots.n_open(others)
            workers = max(len(live_workers(stored.storage.engine, stored.study_id)), 1)
            leases += stored.slots.lease_more(lease, others, min(together, math.ceil((1 + n_open) / workers)) - 1)
        return list(zip_longest(leases, chosen[: len(leases)]))

    @cached_property
    def _study_folder(self) -> Path:
        return self.runtime.runs_dir / folder_name(self.stored)

    def _tell(self, trial: SlotTrial, outcome: TrialOutcome) -> None:
        try:
            told = trial.tell(outcome)
        except ValueRefused as error:
            self._record_failure([trial], error)
            return
        self.trials_done += told
        self._log_ended(trial, told)
        self._heartbeat.trials_done = self.trials_done

    def _log_ended(self, trial: SlotTrial, told: bool) -> None:
        if told and self._log is not None:
            self._log.add(trial.trial.number)

    def _hand_back(self, trials: Sequence[SlotTrial], reason: str = "its worker was asked to stop") -> None:
        for trial in trials:
            trial.hand_back(reason)

    def _record_timeout(self, trials: Sequence[SlotTrial], trial_seconds: float | None) -> None:
        """Record the end of trials that did not react to their time limit."""
        reason = f"past trial_seconds = {trial_seconds}, and ended by force"
        for trial in trials:
            self._tell(trial, TrialOutcome(outcome=Outcome.PRUNED, reason=reason))

    def _record_failure(self, trials: Sequence[SlotTrial], error: Exception) -> None:
        """Record an error of the trials.

        While no trial has ended well here, the worker may be at fault: then the first failure of a point is no attempt
        at it, and the third point is given back.

        Raises:
            WorkFailed: as many points failed here, and none succeeded.
        """
        number = trials[0].trial.number
        point: Point = frozenset(trials[0].trial.params.items()) or frozenset({("number", number)})
        if not self.trials_done and point not in self._failed and len(self._failed) == _MOST_FAILED:
            self._hand_back(trials, "its worker is at fault")
            told = f"{_MOST_FAILED + 1} configurations failed here and none succeeded"
            raise WorkFailed(f"{told}; trial {number}: {reason_of(error)}")
        attempts = self._failed.get(point, 0) + 1
        if not self.trials_done and point not in self._failed and self.stored.spec.arm.max_retries:
            attempts = 0
        self._failed[point] = 1 - min(attempts, 1)
        for trial in trials:
            self._failed_slots.add(trial.lease.slot)
            if self.stored.spec.search is not None:
                self._failed_trials.add(first_attempt(self.stored, trial.trial))
            self._log_ended(trial, trial.fail(reason_of(error), traceback_of(error), attempts=attempts))

    def _leave_to_others(self, given: Sequence[SlotTrial | Lease]) -> None:
        """Leave what failed here to other workers, if there are any and trials have ended well, but none here.

        Raises:
            WorkFailed: the worker is to end.
        """
        stored, ended = self.stored, (TrialState.COMPLETE, TrialState.PRUNED)
        if self.trials_done or len(live_workers(stored.storage.engine, stored.study_id)) == 1:
            return
        if not with_retries(lambda: stored.storage.get_all_trials(stored.study_id, deepcopy=False, states=ended)):
            return
        for each in given:
            if isinstance(each, Lease):
                stored.slots.release(each, attempts=0)
            else:
                each.hand_back()
        raise WorkFailed(f"{len(self._failed)} configurations failed here and none succeeded; others are to run them")
