"""Training a stored trial again from the spec, its parameters and its seeds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from batchlaw.errors import Diverged, Pruned, StudyError
from batchlaw.objectives.builtin import train_config
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.train import Report, train_together


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Recorded and replayed numbers: a pair for each report, and one for the value."""

    pairs: list[tuple[str, float, float]]  # name, recorded, replayed

    @property
    def largest_difference(self) -> float:
        """Over all pairs; 0 means that they are equal to the last bit."""
        return max((abs(recorded - replayed) for _, recorded, replayed in self.pairs), default=math.nan)


class _Listener:
    """Collects the reports, and ends the run at the report at which the recorded run was pruned."""

    def __init__(self, metric: str, last: float | None) -> None:
        self.values: dict[float, float] = {}
        self._metric, self._last = metric, last

    def __call__(self, progress: float, metrics: Mapping[str, float]) -> None:
        self.values[progress] = metrics[self._metric]
        if self._last is not None and progress >= self._last:
            raise Pruned


def replay(record: TrialRecord, spec: StudySpec, runtime: Runtime) -> Comparison:
    """Train a trial again with the number of threads it had, and compare every report and the value.

    Raises:
        StudyError: the trial has not ended, or its stored configuration does not follow from the spec.
    """
    result, metric = record.result, spec.arm.metric
    if record.outcome not in (Outcome.COMPLETE, Outcome.PRUNED, Outcome.DIVERGED) or record.config is None:
        raise StudyError(f"trial {record.number} is {record.outcome}: only complete, pruned and diverged trials replay")
    spec = spec.on_fold(record.confirms.fold if record.confirms else 0)
    point = point_of(record.params, spec)
    seeds = record.config.seeds
    config = derive(spec, point, seeds)
    if config != record.config:
        raise StudyError(f"trial {record.number}: its recorded configuration does not follow from the stored spec")
    threads = result.threads or runtime.choose_threads([config])
    pruned_at = None
    if record.outcome == Outcome.PRUNED:
        pruned_at = max((progress for progress, _ in result.curve), default=0.0)
    listener = _Listener(metric, pruned_at)
    value: float | None = None
    base_lrs = result.stacked_base_lrs
    try:
        if len(base_lrs) > 1:  # it shared a network with these learning rates
            configs = [derive(spec, point.model_copy(update={"base_lr": base_lr}), seeds) for base_lr in base_lrs]
            runtime.threads.use(threads)
            value = _value_of_one(configs, base_lrs.index(config.base_lr), listener, spec, runtime)
        elif pruned_at != 0.0:
            value = train_config(config, spec, listener, runtime, stacked=result.stacked, threads=threads).value
    except Pruned:
        pass
    except Diverged as error:
        value = error.untrained.get(metric)
    pairs = [
        (f"after {progress:.0%}", metrics[metric], listener.values.get(progress, math.nan))
        for progress, metrics in result.curve
    ]
    if record.value is not None:
        pairs.append(("value", record.value, math.nan if value is None else value))
    return Comparison(pairs=pairs)


def _value_of_one(
    configs: list[TrainConfig], position: int, listener: _Listener, spec: StudySpec, runtime: Runtime
) -> float:
    """Train all configurations of a network; the value and the reports of one of them."""
    reports: list[Report] = [lambda progress, metrics: None for _ in configs]
    reports[position] = listener
    ended = train_together(configs, reports, device=runtime.torch_device, data_dir=runtime.data_dir)[position]
    if isinstance(ended, Diverged):
        raise ended
    return ended.metrics[spec.arm.metric]
