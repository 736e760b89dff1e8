"""What training a configuration gives its study, whichever objective trained it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchlaw.errors import Diverged, ObjectiveError
from batchlaw.recipe.result import TrainResult
from batchlaw.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class Score:
    """The study's metric of a trained configuration."""

    replicate_values: list[float]  # the metric of each seed; of one that diverged its untrained score, NaN if unknown
    replicates: list[dict[str, float]]  # all metrics of each seed; of one that diverged its untrained ones, if known
    diverged: bool  # whether at least one replicate diverged
    record: dict[str, Any]  # for the database
    reason: str | None = None  # what else is to be said of the outcome

    @property
    def value(self) -> float:
        """The mean over replicates; NaN if a replicate diverged whose untrained score is not known."""
        return sum(self.replicate_values) / len(self.replicate_values)


def score_of(result: TrainResult, spec: StudySpec) -> Score:
    """The score of a built-in run."""
    return Score(
        replicate_values=[metrics[spec.arm.metric] for metrics in result.replicates],
        replicates=result.replicates,
        diverged=any(result.diverged),
        record=result.as_record(),
    )


def score_of_replicates(
    told: Sequence[Mapping[str, float] | Diverged], spec: StudySpec, device: str, *, not_trained: int = 0
) -> Score:
    """The score of the user's own runs.

    Args:
        told: of each seed its metrics, or that it diverged; it diverged as well if the study's metric is not finite.
        spec: the study.
        device: that they ran on.
        not_trained: how many of the seeds, the last ones, were not trained and count as diverged.

    Raises:
        ObjectiveError: the study's metric is missing, or a metric is no number.
    """
    diverged = [isinstance(each, Diverged) or not math.isfinite(metric_of(each, spec)) for each in told]
    replicates = [_numbers(each, spec) for each in told]
    names = [name for name in replicates[0] if all(name in each for each in replicates)]
    means = {name: sum(each[name] for each in replicates) / len(replicates) for name in names}
    facts: dict[str, Any] = {"diverged": diverged} if any(diverged) else {}
    if not_trained:
        facts["not_trained"] = not_trained
    return Score(
        replicate_values=[each.get(spec.arm.metric, math.nan) for each in replicates],
        replicates=replicates,
        diverged=any(diverged),
        record={"metrics": means, "replicates": replicates, "device": device} | facts,
        reason=f"the first {len(told) - not_trained} seeds diverged; the other {not_trained} were not trained"
        if not_trained
        else None,
    )


def _said(trained: int, not_trained: int) -> str:
    return f"the first {trained} seeds diverged; the other {not_trained} were not trained"


def _numbers(told: Mapping[str, float] | Diverged, spec: StudySpec) -> dict[str, float]:
    """The metrics of a replicate; of one that diverged those of its untrained network, without the unknown."""
    if isinstance(told, Diverged):
        untrained = {name: number_of(value, name) for name, value in told.untrained.items()}
        return {name: value for name, value in untrained.items() if math.isfinite(value)}
    numbers = numbers_of(told)
    return numbers if math.isfinite(numbers[spec.arm.metric]) else {}


def finite_metric(metrics: Mapping[str, float], spec: StudySpec) -> float:
    """The study's metric.

    Raises:
        Diverged: it is NaN or infinite.
        ObjectiveError: it is missing or no number, or the metrics are no mapping.
    """
    value = metric_of(metrics, spec)
    if not math.isfinite(value):
        raise Diverged
    return value


def metric_of(metrics: Mapping[str, float], spec: StudySpec) -> float:
    """The study's metric.

    Raises:
        ObjectiveError: it is missing or no number, or the metrics are no mapping.
    """
    if not is_mapping(metrics):
        raise ObjectiveError("must be a mapping of names to numbers", argument="metrics", got=metrics)
    if spec.arm.metric not in metrics:
        names = ", ".join(map(str, metrics.keys())) or "none"
        raise ObjectiveError(f"metric: {spec.arm.metric!r} is not among the metrics: {names}")
    return number_of(metrics[spec.arm.metric], spec.arm.metric)


def is_mapping(metrics: object) -> bool:
    """Whether it gives values by names: a dict, a Series of pandas, a TensorDict."""
    return isinstance(metrics, Mapping) or (hasattr(metrics, "keys") and hasattr(metrics, "__getitem__"))


def numbers_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics as numbers of Python, which JSON can hold.

    Raises:
        ObjectiveError: one is no number; the message names it.
    """
    return {str(name): number_of(metrics[name], str(name)) for name in metrics.keys()}  # noqa: SIM118


def number_of(value: Any, name: str) -> float:
    """A number that the user's code gave: of Python, of NumPy, or a tensor of one element.

    Raises:
        ObjectiveError: it is none; the message names it.
    """
    try:
        return float(value)
    except Exception:  # of whatever the value is made of, such as a tensor of two elements
        got = value if isinstance(value, str) and len(value) < 100 else None if value is None else type(value)
        raise ObjectiveError("must be a number", argument=name, got=got) from None
