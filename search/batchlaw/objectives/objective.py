"""The one place where both sides meet: a trial is suggested, derived, trained and judged here."""

import importlib
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import torch

from batchlaw import __version__
from batchlaw.errors import DeviceMemoryError, Diverged, ObjectiveError, Pruned, TimeLimit
from batchlaw.interrupts import Interrupts
from batchlaw.objectives.program import Command
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of, suggest
from batchlaw.results.attributes import CONFIG
from batchlaw.sampling import rungs
from batchlaw.spec import BUILTIN_METRICS, DATASETS, StudySpec, TrainConfig
from batchlaw.storage import batched_writes, with_retries
from batchlaw.train import Checkpoint, Report, TrainResult, configs_together, train, train_together
from batchlaw.train.data import load_parts

_UNWRITTEN_SECONDS = 0.5  # that a report may wait for others
UserObjective = Callable[[TrainConfig, Report], Mapping[str, float]]


@dataclass(frozen=True)
class Runtime:
    """Where and how this process trains."""

    device: torch.device
    data_dir: Path
    objective: UserObjective | None = None  # the study's own training function, from a file on this machine
    interrupts: Interrupts = field(default_factory=Interrupts)
    test: bool = False  # score the test data as well: for the verification of a winner alone
    checkpoint_dir: Path | None = None  # where an interrupted run's state is kept; None keeps none
    checkpoint_seconds: float = 10.0  # of training, at least, between two writings of it


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """How a trial ended, and what is recorded of it."""

    outcome: Outcome
    value: float | None
    result: dict[str, Any]
    reason: str | None = None
    reports: Sequence[tuple[float, int]] = ()  # value and number of those that are not written yet


@dataclass
class _Reporter:
    """Turns progress into reports on the study's grid; raises `Pruned` where the pruner says so.

    They are written together, when the pruner is asked, else every half second, and the last with the trial's end.
    """

    trial: optuna.Trial
    spec: StudySpec
    interrupts: Interrupts
    reported: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    unwritten: list[tuple[float, int]] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)  # when they were last

    def __post_init__(self) -> None:
        self._rungs = rungs(self.spec)
        # A trial that was handed back and runs again has reported so far before, to the same values.
        ran_before = CONFIG in self.trial.user_attrs
        self._known = (
            set(self.trial.storage.get_trial(self.trial._trial_id).intermediate_values) if ran_before else set()
        )

    def __call__(self, progress: float, metrics: Mapping[str, float]) -> None:
        value = _metric(metrics, self.spec)
        if not math.isfinite(value):
            raise Diverged({})  # only a training function of one's own comes here
        self.curve.append({"progress": progress, **metrics})
        due = min(math.floor(progress * self.spec.arm.reports + 1e-9), self.spec.arm.reports)
        if due <= self.reported:
            return
        new = set(range(self.reported + 1, due + 1))
        self.unwritten += [(value, number) for number in sorted(new - self._known)]
        self.reported = due
        # At the last report there is nothing left to save.
        ask = bool(self._rungs & new) and due < self.spec.arm.reports
        if not ask and time.monotonic() - self._written < _UNWRITTEN_SECONDS:
            return
        # The pruner's own notes are written with the reports.
        with self.interrupts.shielded(), batched_writes(self.trial):
            for value, number in self.unwritten:
                self.trial.report(value, number)
            prune = ask and with_retries(self.trial.should_prune)
        self.unwritten, self._written = [], time.monotonic()
        if prune:
            raise Pruned


def run_trial(trial: optuna.Trial, spec: StudySpec, study_seed: int, runtime: Runtime) -> TrialOutcome:
    """Suggest, derive and train one trial.

    Pruning, divergence and lack of memory are judgements. `Interrupted` and bugs are raised.
    """
    [judgement] = run_trials([trial], spec, run_seeds(study_seed, spec.arm.replicates), runtime)
    return judgement


def run_trials(
    trials: Sequence[optuna.Trial], spec: StudySpec, seeds: tuple[int, ...], runtime: Runtime
) -> list[TrialOutcome]:
    """As `run_trial`, of one trial, or of several cells of a designed arm that differ in the learning rate alone."""
    reporters = [_Reporter(trial, spec, runtime.interrupts) for trial in trials]
    configs = [_configured(trial, spec, seeds) for trial in trials]
    trial_seconds = spec.search.trial_seconds if spec.search else None
    checkpoint = None
    if runtime.checkpoint_dir is not None and spec.task is not None:
        checkpoint = Checkpoint(runtime.checkpoint_dir, configs, runtime.checkpoint_seconds)
    began = time.perf_counter()
    try:
        with runtime.interrupts.armed(trial_seconds):
            judgements = _train_all(configs, spec, reporters, runtime, checkpoint)
    except Pruned:
        judgements = [TrialOutcome(outcome=Outcome.PRUNED, value=None, result={})]
    except TimeLimit:
        reason = f"past trial_seconds = {trial_seconds:g}"
        judgements = [TrialOutcome(outcome=Outcome.PRUNED, value=None, result={}, reason=reason)]
    except DeviceMemoryError as error:
        judgements = [
            TrialOutcome(outcome=Outcome.OUT_OF_MEMORY, value=_chance(config, spec), result={}, reason=str(error))
            for config in configs
        ]
    if checkpoint:
        checkpoint.remove()
    seconds = (time.perf_counter() - began) / len(trials)
    return [
        _with_facts(judgement, config, reporter, seconds)
        for judgement, config, reporter in zip(judgements, configs, reporters, strict=True)
    ]


def _configured(trial: optuna.Trial, spec: StudySpec, seeds: tuple[int, ...]) -> TrainConfig:
    with batched_writes(trial):
        config = derive(spec, with_retries(partial(suggest, trial, spec.space)), seeds)
        trial.set_user_attr(CONFIG, config.model_dump(mode="json"))
    return config


def _with_facts(judgement: TrialOutcome, config: TrainConfig, reporter: _Reporter, seconds: float) -> TrialOutcome:
    """What is recorded of every trial, however it ended."""
    facts: dict[str, Any] = {"curve": reporter.curve, "seconds": seconds, "versions": versions()}
    if judgement.value is not None:
        facts["replicate_values"] = judgement.result.get("replicate_values", [judgement.value] * len(config.seeds))
    return replace(judgement, result={**judgement.result, **facts}, reports=reporter.unwritten)


def _train_all(
    configs: Sequence[TrainConfig],
    spec: StudySpec,
    reporters: Sequence[_Reporter],
    runtime: Runtime,
    checkpoint: Checkpoint | None,
) -> list[TrialOutcome]:
    if spec.user_code is None:
        ended: list[TrainResult | Diverged] = train_together(
            configs, reporters, device=runtime.device, data_dir=runtime.data_dir, test=runtime.test,
            checkpoint=checkpoint,
        )  # fmt: skip
        trained = [each if isinstance(each, Diverged) else _told(each, spec) for each in ended]
    else:
        [config], [reporter] = configs, reporters
        try:
            trained = [train_config(config, spec, reporter, runtime)]
        except Diverged as error:
            trained = [error]
    judgements = []
    for each in trained:
        if isinstance(each, Diverged):
            # A result, not an error: it teaches the sampler the score of the untrained network.
            value = _finite(each.untrained.get(spec.arm.metric))
            judgements.append(TrialOutcome(outcome=Outcome.DIVERGED, value=value, result={}))
        else:
            value, details, diverged = each
            outcome = Outcome.DIVERGED if diverged else Outcome.COMPLETE
            judgements.append(TrialOutcome(outcome=outcome, value=value, result=details))
    return judgements


def train_config(
    config: TrainConfig, spec: StudySpec, report: Report, runtime: Runtime, *, stacked: bool | None = None
) -> tuple[float, dict[str, Any], bool]:
    """Train a configuration: its value, the details to record, and whether a replicate diverged.

    Raises:
        Diverged: all of them did.
    """
    if spec.user_code is None:
        result: TrainResult = train(
            config, report, device=runtime.device, data_dir=runtime.data_dir, stacked=stacked, test=runtime.test
        )
        return _told(result, spec)
    replicates = _train_own(config, spec, report, runtime)
    values = [_metric(metrics, spec) for metrics in replicates]
    means = {name: sum(m[name] for m in replicates) / len(replicates) for name in replicates[0]}
    details = {"metrics": means, "replicates": replicates, "device": runtime.device.type, "replicate_values": values}
    return sum(values) / len(values), details, False


def _told(result: TrainResult, spec: StudySpec) -> tuple[float, dict[str, Any], bool]:
    values = [metrics[spec.arm.metric] for metrics in result.replicates]
    return sum(values) / len(values), result.as_record() | {"replicate_values": values}, any(result.diverged)


def cells_together(spec: StudySpec, study_seed: int, cells: Sequence[Mapping[str, Any]], runtime: Runtime) -> int:
    """How many cells, the first included, train fastest as one network, of some that differ in the learning rate alone.

    Args:
        spec: a designed study with a built-in task.
        study_seed: of its runs.
        cells: their parameters.
        runtime: where they train.
    """
    seeds = run_seeds(study_seed, spec.arm.replicates)
    configs = [derive(spec, point_of(cell, spec.space), seeds) for cell in cells]
    task = configs[0].task
    assert task is not None
    return configs_together(configs, load_parts(task, runtime.device, runtime.data_dir).train)


def _train_own(config: TrainConfig, spec: StudySpec, report: Report, runtime: Runtime) -> list[dict[str, float]]:
    """Call the user's function once for each seed; only the first run is reported, so that pruning sees one curve."""
    assert runtime.objective is not None
    replicates = []
    for seed in config.seeds:
        metrics = runtime.objective(config.model_copy(update={"seeds": (seed,)}), report)
        if not isinstance(metrics, Mapping):
            raise ObjectiveError(f"{spec.user_code} returned {type(metrics).__name__}, not a mapping of metrics")
        if not math.isfinite(_metric(metrics, spec)):
            raise Diverged({})
        replicates.append({name: float(value) for name, value in metrics.items()})
        report = _unreported
    return replicates


def _unreported(progress: float, metrics: Mapping[str, float]) -> None:
    """The report of every replicate after the first."""


def _metric(metrics: Mapping[str, float], spec: StudySpec) -> float:
    try:
        return float(metrics[spec.arm.metric])
    except KeyError:
        names = ", ".join(metrics) or "none"
        raise ObjectiveError(f"metric: {spec.arm.metric!r} is not among the metrics: {names}") from None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _chance(config: TrainConfig, spec: StudySpec) -> float | None:
    """The score of guessing, for a network that cannot even be evaluated."""
    if config.task is None or spec.arm.metric not in BUILTIN_METRICS:
        return None
    n_classes = DATASETS[config.task.dataset].n_classes
    return 1 / n_classes if spec.arm.metric == "validation_accuracy" else math.log(n_classes)


@cache
def versions() -> dict[str, str]:
    """What a trial was computed with."""
    return {
        "batchlaw": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "optuna": optuna.__version__,
    }


def load_user_code(spec: StudySpec, folder: Path) -> UserObjective:
    """The function or the program of a study, from the folder of its file.

    Raises:
        ObjectiveError: the function cannot be imported, or is none.
    """
    return Command(spec, folder) if spec.objective is None else load_objective(spec.objective, folder)


def load_objective(name: str, folder: Path) -> UserObjective:
    """Import `package.module:function`, looking beside the study file first.

    Raises:
        ObjectiveError: it cannot be imported, or is no function.
    """
    module_name, _, function_name = name.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except ImportError as error:
        raise ObjectiveError(
            f"objective: {name!r} cannot be imported from {folder} or the environment: {error}"
        ) from None
    except AttributeError:
        raise ObjectiveError(f"objective: {module_name!r} has no {function_name!r}") from None
    if not callable(function):
        raise ObjectiveError(f"objective: {name!r} is a {type(function).__name__}, not a function")
    objective: UserObjective = function
    return objective
