"""What a trial recorded of its training, read back from the database."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self


class CurvePoint(NamedTuple):
    """One report of a trial."""

    progress: float  # share of the budget used, 0 < progress <= 1
    metrics: Mapping[str, float]  # means over the seeds that train together


class SeedCurvePoint(NamedTuple):
    """One report of a trial, seed by seed; recorded where a hypothesis asks for it."""

    progress: float
    metrics: Mapping[str, Sequence[float | None]]  # a value for each seed; None where it is not finite


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """The fields of a `TrainResult`, and how the trial went.

    A field is empty, or None, where the trial did not come so far, where its training function does not tell it, or
    where the trial is older than the field.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)  # means over seeds
    replicates: Sequence[Mapping[str, float]] = ()  # the metrics of each seed
    # The study's metric of each seed; of one that diverged its untrained score, NaN where that is not known.
    replicate_values: Sequence[float] = ()
    validation_standard_errors: Mapping[str, float] = field(default_factory=dict)
    diverged: Sequence[bool] = ()  # of each seed
    not_trained: int = 0  # seeds, the last ones, that count as diverged because the first ones did
    tail_loss_variance: Sequence[float] = ()  # of each seed
    curve: Sequence[CurvePoint] = ()
    curves: Sequence[SeedCurvePoint] = ()
    plateau_steps: Sequence[float | None] = ()  # of each seed
    seconds: float | None = None  # with evaluation
    train_seconds: float | None = None  # without evaluation
    examples_per_second: float | None = None
    device: str | None = None
    threads: int | None = None
    stacked: bool = False
    stack_size: int | None = None
    stacked_base_lrs: Sequence[float] = ()
    micro_batch_size: int | None = None
    grad_accum_steps: int | None = None
    peak_memory_bytes: int | None = None
    flags: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)  # of the packages that it was computed with

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read the JSON of a trial; fields that only a newer version knows are left out."""
        known = {name: value for name, value in record.items() if name in _FIELDS}
        if None in known.get("replicate_values", ()):  # JSON has no NaN
            known["replicate_values"] = [math.nan if each is None else each for each in known["replicate_values"]]
        for name, point in (("curve", CurvePoint), ("curves", SeedCurvePoint)):
            if known.get(name):
                metrics = [dict(entry) for entry in known[name]]
                known[name] = tuple(point(each.pop("progress"), each) for each in metrics)
        return cls(**known)


_FIELDS = frozenset(each.name for each in fields(TrialResult))
