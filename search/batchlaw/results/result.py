"""What a trial recorded of its training, read back from the database."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from batchlaw.storage.stored_values import Unreadable

_Count = Annotated[int, Field(ge=0)]
_Amount = Annotated[float, Field(ge=0, le=1e15)] | None  # of a time, or a number in a time


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
    def from_record(cls, record: Mapping[str, Any] | str | bytes, *, threads: int | None = None) -> Self:
        """Read the JSON of a trial, parsed or as text; fields that only a newer version knows are left out.

        Args:
            record: the JSON.
            threads: those of the trial, where the record does not tell them.

        Raises:
            Unreadable: it is none that a trial records.
        """
        try:
            known: dict[str, Any] = (
                _stored().validate_json(record, strict=True)
                if isinstance(record, str | bytes)
                else _stored().validate_python(record, strict=True)
            )
            if None in known.get("replicate_values", ()):  # JSON has no NaN
                known["replicate_values"] = [math.nan if each is None else each for each in known["replicate_values"]]
            for name, point in (("curve", CurvePoint), ("curves", SeedCurvePoint)):
                if name in known:
                    known[name] = tuple(point(each.pop("progress"), each) for each in known[name])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, ("result", *first["loc"])))
            raise Unreadable(f"{place} as stored cannot be read: {first['msg']}") from None
        except KeyError:
            raise Unreadable("result as stored cannot be read: a report without its progress") from None
        return cls(**{"threads": threads, **known})


class _Stored(TypedDict, total=False):
    """The fields of a `TrialResult` as JSON."""

    metrics: dict[str, float]
    replicates: list[dict[str, float]]
    replicate_values: list[float | None]
    validation_standard_errors: dict[str, float]
    diverged: list[bool]
    not_trained: _Count
    tail_loss_variance: list[float]
    curve: list[dict[str, float]]
    curves: list[dict[str, Any]]
    plateau_steps: list[float | None]
    seconds: Annotated[float, Field(ge=1e-9, le=1e15)] | None  # figures have it on a log scale
    train_seconds: _Amount
    examples_per_second: _Amount
    device: str | None
    threads: _Count | None
    stacked: bool
    stack_size: _Count | None
    stacked_base_lrs: list[float]
    micro_batch_size: _Count | None
    grad_accum_steps: _Count | None
    peak_memory_bytes: _Count | None
    flags: list[str]
    versions: dict[str, str]


@cache
def _stored() -> TypeAdapter[Any]:
    return TypeAdapter(_Stored)
