"""One trial of a worker: its parameters are suggested, its configuration is derived and trained, its end is named."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from batchlaw.errors import DeviceMemoryError, Diverged, ObjectiveError, Pruned, TimeLimit
from batchlaw.interrupts import Interrupts
from batchlaw.objectives.function import train_function
from batchlaw.objectives.memory import release
from batchlaw.objectives.runtime import Runtime, versions
from batchlaw.objectives.score import Score, finite_metric, number_of, numbers_of, score_of
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import suggest
from batchlaw.sampling import PRUNABLE, rungs
from batchlaw.spec import StudySpec
from batchlaw.storage import Fit, batched_writes, with_retries
from batchlaw.storage.attributes import CODE, CONFIG, CONFIRMS, THREADS

_ROUNDING = 1e-6  # of a sum of shares
_WRITE_SECONDS = 0.5  # between two writes of reports
_MOST_NUMBERS = 20_000  # of a curve, some 400 KB of JSON


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """How a trial ended, and what is recorded of it."""

    outcome: Outcome
    value: float | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)  # by the names of `storage.attributes`
    unwritten: Sequence[tuple[float, int]] = ()  # value and number of the reports that are not in the database yet


@dataclass
class Reporter:
    """Writes the progress of a trial as reports on the study's grid, and raises `Pruned` if the pruner says so.

    The pruner compares trials at the same share of their budgets, whenever they tell their metric. Between two tellings
    the metric is taken to move in a straight line; what it was before the first is not known, and is not written.

    Reports are written in batches: when the pruner is asked, otherwise every half second, the last ones with the
    trial's end.
    """

    trial: optuna.Trial
    spec: StudySpec
    interrupts: Interrupts
    reported: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    unwritten: list[tuple[float, int]] = field(default_factory=list)
    _last: tuple[float, float] | None = None  # progress and value, as told
    every: int = 1  # of the reports, this one and its multiples are in the curve
    _heard: int = 0
    _last_write: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        # What is trained on fresh seeds is trained to its end.
        self._rungs = frozenset() if CONFIRMS in self.trial.user_attrs else rungs(self.spec)
        self._written: set[int] = set()
        if CONFIG in self.trial.user_attrs:  # it was handed back and runs again
            self._read_written()

    def restart(self) -> None:
        """The trial trains anew."""
        self.reported, self._last, self._heard, self.every = 0, None, 0, 1
        self.curve.clear()
        self.unwritten.clear()
        self._read_written()

    def _read_written(self) -> None:
        """The numbers of the reports in the database, which a trial that trains anew makes again."""
        self._written |= self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values.keys()

    def __call__(self, progress: float, metrics: Mapping[str, float]) -> None:
        """Report the metrics after `progress` (0 < progress <= 1) of the budget."""
        if not 0 <= number_of(progress, "progress") <= 1 + _ROUNDING:
            raise ObjectiveError("must be above 0 and at most 1", argument="progress", got=progress)
        value = finite_metric(metrics, self.spec)  # a built-in run notices divergence itself
        self._add({"progress": float(progress), **numbers_of(metrics)})
        due = min(math.floor(progress * self.spec.arm.reports + 1e-9), self.spec.arm.reports)
        new = self._between(range(self.reported + 1, due + 1), progress, value)
        self._last = (progress, value)
        if due <= self.reported:
            return
        self.unwritten += new
        self.reported = due
        # Past that share a trial is worth more than the rest of its time, also if it is judged by what it was before.
        ask = due <= self.spec.arm.reports * PRUNABLE and any(number in self._rungs for _, number in new)
        if not ask and time.monotonic() - self._last_write < _WRITE_SECONDS:
            return
        prune = False
        with self.interrupts.shielded():  # which may raise at its end
            with batched_writes(self.trial):  # the pruner's own notes are written with the reports
                for value, number in self.unwritten:
                    self.trial.report(value, number)
                    if ask and number in self._rungs and with_retries(self.trial.should_prune):
                        prune = True
                        break
            self.unwritten, self._last_write = [], time.monotonic()
        if prune:
            raise Pruned

    def _between(self, numbers: range, progress: float, value: float) -> list[tuple[float, int]]:
        """The value and number of those of these reports that are known and not in the database yet."""
        known = []
        for number in numbers:
            share = number / self.spec.arm.reports
            if progress - share <= _ROUNDING:
                known.append((value, number))
            elif self._last is not None and self._last[0] <= share:
                before, last = self._last
                known.append((last + (value - last) * (share - before) / (progress - before), number))
        return [(value, number) for value, number in known if number not in self._written]

    def _add(self, point: dict[str, float]) -> None:
        """Add a point to the curve, of which every second is dropped where it grows too long."""
        self._heard += 1
        if self._heard % self.every:
            return
        self.curve.append(point)
        if len(self.curve) > 2 and len(self.curve) * len(point) > _MOST_NUMBERS:
            self.every *= 2
            del self.curve[::2]


def run_trials(
    trials: Sequence[optuna.Trial],
    spec: StudySpec,
    seeds: tuple[int, ...],
    runtime: Runtime,
    folder: Path | None = None,
    note_fit: Callable[[Fit], None] = lambda fit: None,
    read: set[int] | None = None,
) -> list[TrialOutcome]:
    """Suggest, derive and train one trial, or several trials of a built-in task that differ in the learning rate alone.

    Pruning, divergence and lack of memory are outcomes. `Interrupted` and errors are raised.

    Args:
        trials: as asked for.
        spec: their study.
        seeds: one a replicate.
        runtime: where they train.
        folder: of the trial of a user's function; see `Trial.run_dir`.
        note_fit: called with what fits the memory of the device, where more did not.
        read: as in `storage.cached_reads`, where the trials were asked for just now.
    """
    reporters, configs = [], []
    threads = next((each.user_attrs[THREADS] for each in trials if THREADS in each.user_attrs), None)
    for trial in trials:
        reporters.append(Reporter(trial, spec, runtime.interrupts))
        with batched_writes(trial, read=read):
            config = derive(spec, with_retries(partial(suggest, trial, spec)), seeds)
            if threads is None:
                with runtime.interrupts.armed(None):
                    threads = runtime.choose_threads([config] * len(trials))
            trial.set_user_attr(CONFIG, config.model_dump(mode="json"))
            trial.set_user_attr(THREADS, threads)
            if (code := runtime.code_hash()) is not None:
                trial.set_user_attr(CODE, code)
        configs.append(config)
    assert threads is not None
    runtime.threads.use(threads)
    trial_seconds = spec.search.trial_seconds if spec.search else None
    checkpoint = None
    if spec.task is not None:  # PyTorch, which others' code may do without
        from batchlaw.train import Checkpoint, train_together
    if runtime.checkpoint_dir is not None and spec.task is not None:
        checkpoint = Checkpoint(runtime.checkpoint_dir, configs, runtime.checkpoint_seconds)
    began, notes = time.perf_counter(), dict[str, Any]()
    try:
        with runtime.interrupts.armed(trial_seconds):
            if spec.user_code is None:
                ended = train_together(
                    configs, reporters, device=runtime.torch_device, data_dir=runtime.data_dir, test=runtime.test,
                    checkpoint=checkpoint,
                )  # fmt: skip
                scores = [each if isinstance(each, Diverged) else score_of(each, spec) for each in ended]
            else:
                assert folder is not None
                train = partial(
                    train_function, configs[0], report=reporters[0], runtime=runtime, folder=folder,
                    number=trials[0].number, notes=notes,
                )  # fmt: skip
                scores = [_within_memory(train, spec, reporters[0], note_fit)]
        outcomes = [outcome_of(score, spec) for score in scores]
    except (Diverged, Pruned, TimeLimit) as ending:
        outcomes = [outcome_of(ending, spec)]
    except DeviceMemoryError as error:
        outcomes = [TrialOutcome(outcome=Outcome.OUT_OF_MEMORY, value=spec.chance, reason=str(error))] * len(trials)
    except Exception:
        with suppress(UpdateFinishedTrialError), batched_writes(trials[0]):
            for name, value in notes.items():
                trials[0].set_user_attr(name, value)
        raise
    if checkpoint:
        checkpoint.remove()
    seconds = (time.perf_counter() - began) / len(trials)
    return [
        with_facts(replace(outcome, attributes=notes), reporter, seconds, len(seeds))
        for outcome, reporter in zip(outcomes, reporters, strict=True)
    ]


def _within_memory(
    train: Callable[..., Score], spec: StudySpec, reporter: Reporter, note_fit: Callable[[Fit], None]
) -> Score:
    """Train, and where memory runs out train anew with micro-batches of half the examples, as built-in tasks do.

    A size that the training has come to an end with is noted; of memory that one example fills nothing is learnt.

    Raises:
        DeviceMemoryError: smaller micro-batches do not help, or the training takes none.
    """
    refused: int | None = None
    while True:
        try:
            score = train(spec=spec)
        except DeviceMemoryError as error:
            if error.micro_batch_size in (None, 1):
                raise
            refused = error.micro_batch_size
        except (Diverged, Pruned):
            _note_fit(spec, refused, reporter, note_fit)
            raise
        else:
            _note_fit(spec, refused, reporter, note_fit)
            return score
        # Outside of the handler, since the traceback holds the tensors of the attempt.
        assert refused is not None
        spec = spec.model_copy(update={"micro_batch_size": (refused + 1) // 2})
        with reporter.interrupts.shielded():
            reporter.restart()
        release()


def _note_fit(spec: StudySpec, refused: int | None, reporter: Reporter, note_fit: Callable[[Fit], None]) -> None:
    if refused is not None and spec.micro_batch_size is not None:
        with reporter.interrupts.shielded():
            note_fit(Fit(spec.micro_batch_size, refused))


def outcome_of(ended: Score | Diverged | Pruned | TimeLimit, spec: StudySpec) -> TrialOutcome:
    """The outcome of a trial that trained to its end, diverged or was ended."""
    match ended:
        case Diverged():
            # A result and no error: it tells the sampler the score of the untrained network.
            value = ended.untrained.get(spec.arm.metric, math.nan)
            return TrialOutcome(outcome=Outcome.DIVERGED, value=value if math.isfinite(value) else None)
        case Pruned():
            return TrialOutcome(outcome=Outcome.PRUNED)
        case TimeLimit():
            limit = spec.search.trial_seconds if spec.search else None
            return TrialOutcome(outcome=Outcome.PRUNED, reason=f"past trial_seconds = {limit:g}")
        case _:
            return TrialOutcome(
                outcome=Outcome.DIVERGED if ended.diverged else Outcome.COMPLETE,
                value=ended.value if math.isfinite(ended.value) else None,
                # JSON has no NaN.
                record=ended.record
                | {"replicate_values": [value if math.isfinite(value) else None for value in ended.replicate_values]},
                reason=ended.reason,
            )


def with_facts(outcome: TrialOutcome, reporter: Reporter, seconds: float, replicates: int) -> TrialOutcome:
    """Add what is recorded of every trial, however it ended."""
    record = {**outcome.record, "curve": reporter.curve, "seconds": seconds, "versions": versions()}
    if reporter.every > 1:
        record["flags"] = [*record.get("flags", ()), f"curve: one of {reporter.every} reports"]
    if outcome.value is not None:
        record.setdefault("replicate_values", [outcome.value] * replicates)
    return replace(outcome, record=record, unwritten=reporter.unwritten)
