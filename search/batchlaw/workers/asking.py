"""Trials for a training loop of the user's own, which asks for them and tells their results."""

import math
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna

from batchlaw import sampling
from batchlaw.dashboard.refresh import refresh
from batchlaw.errors import BatchlawError, Diverged, Pruned, StudyError
from batchlaw.interrupts import Interrupts
from batchlaw.objectives.memory import tells_lack_of_memory
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.score import score_of_replicates
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome, Report
from batchlaw.recipe.space import suggest
from batchlaw.spec import TrainConfig
from batchlaw.storage import (
    Fit,
    Lease,
    Registration,
    StoredStudy,
    batched_writes,
    folder_name,
    note_fit,
    spec_that_fits,
    with_retries,
)
from batchlaw.storage.attributes import CONFIG, THREADS
from batchlaw.workers.confirmation import confirmation_of
from batchlaw.workers.heartbeat import Heartbeat, Running
from batchlaw.workers.recovery import reap
from batchlaw.workers.slot_trial import SlotTrial, reason_of, traceback_of
from batchlaw.workers.stopping import stopping_of
from batchlaw.workers.time_limit import TimeLimit, end_if_spent
from batchlaw.workers.trial import Reporter, TrialOutcome, outcome_of, with_facts
from batchlaw.workers.trial_log import logged

_IDLE_SECONDS = 0.5  # between looks at slots that others hold
Told = Mapping[str, float] | Sequence[Mapping[str, float]] | BaseException | str


class AskedTrial(Trial):
    """A `Trial` that was asked for.

    Attributes:
        number: of the trial in its study.
        threads: of the CPU, which PyTorch has in this process until the trial is told.
    """

    def __init__(self, config: TrainConfig, report: Report, folder: Path, *, threads: int, **facts: Any) -> None:
        super().__init__(config, report, folder, **facts)
        self.threads = threads

    def report(self, progress: float, metrics: Mapping[str, float]) -> None:
        """See `Trial.report`.

        Raises:
            StudyError: the trial has a result already, or was given to another worker.
        """
        try:
            super().report(progress, metrics)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise StudyError(f"trial {self.number} has ended; it takes no more reports") from None


@dataclass(frozen=True)
class _UnderWay:
    """What is needed to end an asked trial."""

    slot_trial: SlotTrial
    reporter: Reporter
    began: float  # time.perf_counter()


class Asking:
    """The trials of a study that this process was given.

    Their leases are renewed in the background for as long as the trials are in use. One that is dropped without a
    result is run again by another worker once its lease has run out, or by anyone once this process has ended.
    """

    def __init__(self, stored: StoredStudy, runtime: Runtime) -> None:
        self._stored, self._runtime = stored, runtime
        stored.study.pruner = sampling.pruner(stored.spec)
        self._under_way: weakref.WeakKeyDictionary[AskedTrial, _UnderWay] = weakref.WeakKeyDictionary()
        self._leases: list[Lease] = []
        registration = Registration(
            stored.storage.engine, stored.study_id,
            device=runtime.device_name, threads=runtime.threads.now,
        )  # fmt: skip
        self._limit = TimeLimit.of(stored, None)
        self._confirmation = confirmation_of(stored.spec, self._limit)
        self._stopping = stopping_of(stored, self._confirmation, self._limit)
        self._interrupts = interrupts = Interrupts()
        self._tried: Fit | None = None  # after memory ran out; noted when a trial has come to its end with it
        self._refused = False  # a trial, since somebody stopped the study
        with ExitStack() as entered:
            self._log = entered.enter_context(logged(stored, lambda: interrupts.stop_requested))
            self._heartbeat = entered.enter_context(
                Heartbeat(stored, registration, interrupts, runtime.threads, embedded=True)
            )
            self.close = weakref.finalize(self, entered.pop_all().close)
        self._folder = runtime.runs_dir / folder_name(stored)

    def ask(self) -> AskedTrial | None:
        """See `Study.ask`."""
        stored = self._stored
        while True:
            if self._interrupts.stop_requested:
                self._refused = True
                return None
            spent = self._limit is not None and self._limit.passed
            if spent:
                end_if_spent(stored)
            elif self._stopping is not None:
                self._stopping.look()
            lease = None if spent else stored.slots.lease()
            if lease is not None:
                found = SlotTrial.ask(stored, stored.spec.arm.seed, lease, confirmation=self._confirmation)
                if found is not None:
                    return self._begin(found)
                continue
            counts = with_retries(stored.slots.counts)
            if spent or counts.held == 0:
                reap(stored)  # a worker may have died between asking for a trial and noting it in its slot
                if counts.ended:
                    refresh(stored, counts.total)
                if self._log is not None:
                    self._log.wait()
                return None
            if counts.held <= len(self._leases):
                raise StudyError(f"every trial that is left was asked for here; tell the results of {self._numbers()}")
            time.sleep(_IDLE_SECONDS)

    @property
    def left(self) -> bool:
        """Whether `ask` has refused a trial since somebody stopped the study, and no trial is under way any more."""
        return self._refused and not self._leases

    def _begin(self, found: SlotTrial) -> AskedTrial:
        spec = spec_that_fits(self._stored, self._runtime.device_name)
        if self._tried is not None and self._tried.most < (spec.micro_batch_size or math.inf):
            spec = spec.model_copy(update={"micro_batch_size": self._tried.most})
        reporter = Reporter(found.trial, spec, Interrupts())
        seeds = found.seeds(spec.arm.seed)
        with batched_writes(found.trial, read=found.read):
            config = derive(spec, with_retries(lambda: suggest(found.trial, spec)), seeds)
            threads = found.trial.user_attrs.get(THREADS) or self._runtime.choose_threads([config])
            found.trial.set_user_attr(CONFIG, config.model_dump(mode="json"))
            found.trial.set_user_attr(THREADS, threads)
        self._runtime.threads.use(threads)
        trial = AskedTrial(
            config, reporter, found.folder(self._folder), threads=threads, number=found.trial.number,
            devices=spec.devices, micro_batch_size=spec.micro_batch_size,
        )  # fmt: skip
        self._under_way[trial] = _UnderWay(found, reporter, time.perf_counter())
        self._leases.append(found.lease)
        weakref.finalize(trial, _forget, self._leases, found.lease)
        self._heartbeat.train(Running.elsewhere(self._leases, trial.number))
        return trial

    def tell(self, trial: AskedTrial, told: Told) -> None:
        """See `Study.tell`."""
        try:
            under_way = self._under_way[trial]
        except (KeyError, TypeError):
            raise StudyError(f"study {self._stored.spec.name!r} waits for no result of {trial!r}") from None
        ended = self._outcome(told, under_way, trial)
        del self._under_way[trial]
        _forget(self._leases, under_way.slot_trial.lease)
        if not self._under_way:
            self._runtime.threads.give_back()
        if isinstance(ended, TrialOutcome):
            fitted = ended.outcome is not Outcome.OUT_OF_MEMORY
            if self._tried is not None and fitted and trial.most_at_once == self._tried.most:
                note_fit(self._stored, self._runtime.device_name, self._tried)
                self._tried = None
            recorded = under_way.slot_trial.tell(ended)
            self._heartbeat.trials_done += recorded
        else:
            reason, attributes, attempts = ended
            recorded = under_way.slot_trial.fail(reason, attributes, attempts=attempts)
        if not recorded:
            raise StudyError(f"trial {trial.number} was given to another worker meanwhile; its result is refused")
        if self._log is not None:
            self._log.add(trial.number)

    def _outcome(
        self, told: Told, under_way: _UnderWay, trial: AskedTrial
    ) -> TrialOutcome | tuple[str, Mapping[str, str], int]:
        """How the trial ended; of a failure the reason, attributes that say where it happened, and attempts used up."""
        spec, n_seeds = self._stored.spec, len(trial.config.seeds)
        match told:
            case str():
                return told, {}, 1
            case Diverged() | Pruned():
                outcome = outcome_of(told, spec)
            case BaseException() if tells_lack_of_memory(reason_of(told)):
                size, _ = trial.parts or (1, 1)
                if size > 1:  # the repeat computes less at once
                    self._tried = Fit((size + 1) // 2, size)
                    return reason_of(told), traceback_of(told), 0
                outcome = TrialOutcome(outcome=Outcome.OUT_OF_MEMORY, value=spec.chance, reason=reason_of(told))
            case BaseException():
                return reason_of(told), traceback_of(told), 1
            case _:
                replicates = cast("list[Mapping[str, float]]", list(told) if isinstance(told, Sequence) else [told])
                if len(replicates) != n_seeds:
                    raise BatchlawError(
                        f"must be the metrics of each of the {n_seeds} seeds", argument="result", got=told
                    )
                outcome = outcome_of(score_of_replicates(replicates, spec, self._runtime.device.type), spec)
        return with_facts(outcome, under_way.reporter, time.perf_counter() - under_way.began, n_seeds)

    def _numbers(self) -> str:
        return ", ".join(str(trial.number) for trial in self._under_way) or "trials that are no longer in use"


def _forget(leases: list[Lease], lease: Lease) -> None:
    if lease in leases:
        leases.remove(lease)
