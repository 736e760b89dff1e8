"""What training a configuration gives its study, whichever objective trained it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchlaw.errors import ObjectiveError
from batchlaw.recipe.result import TrainResult
from batchlaw.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class Score:
    """The study's metric of a trained configuration."""

    replicate_values: list[float]  # the metric of each seed
    replicates: list[dict[str, float]]  # all metrics of each seed
    diverged: bool = False  # whether at least one replicate diverged; it counts with its untrained score
    record: dict[str, Any]  # for the database

    @property
    def value(self) -> float:
        """The mean over replicates."""
        return sum(self.replicate_values) / len(self.replicate_values)


def score_of(result: TrainResult, spec: StudySpec) -> Score:
    """The score of a built-in run."""
    return Score(
        replicate_values=[metrics[spec.arm.metric] for metrics in result.replicates],
        replicates=result.replicates,
        diverged=any(result.diverged),
        record=result.as_record(),
    )


def score_of_replicates(metrics: Sequence[Mapping[str, float]], spec: StudySpec, device: str) -> Score:
    """The score of the user's own runs, one a seed.

    Raises:
        ObjectiveError: the study's metric is missing, or a metric is no number.
    """
    replicates = [{name: number_of(value, name) for name, value in each.items()} for each in metrics]
    names = [name for name in replicates[0] if all(name in each for each in replicates)]
    means = {name: sum(each[name] for each in replicates) / len(replicates) for name in names}
    return Score(
        replicate_values=[metric_of(each, spec) for each in replicates],
        replicates=replicates,
        record={"metrics": means, "replicates": replicates, "device": device},
    )


def metric_of(metrics: Mapping[str, float], spec: StudySpec) -> float:
    """The study's metric.

    Raises:
        ObjectiveError: it is missing or no number, or the metrics are no mapping.
    """
    if not isinstance(metrics, Mapping):
        raise ObjectiveError("must be a mapping of names to numbers", argument="metrics", got=metrics)
    if spec.arm.metric not in metrics:
        names = ", ".join(map(str, metrics)) or "none"
        raise ObjectiveError(f"metric: {spec.arm.metric!r} is not among the metrics: {names}")
    return number_of(metrics[spec.arm.metric], spec.arm.metric)


def number_of(value: Any, name: str) -> float:
    """A number that the user's code gave.

    Raises:
        ObjectiveError: it is none; the message names it.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ObjectiveError("must be a number", argument=name, got=value) from None
