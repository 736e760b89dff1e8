"""A dimension of the space: a number or a name fixes it, a list is a choice, and `{low, high, log}` is a range."""

from collections.abc import Callable
from math import log2
from typing import Annotated, Any, TypeVar, Union

from pydantic import AfterValidator, Discriminator, Tag, model_validator

from batchlaw.spec.base import Frozen, refuse
from batchlaw.spec.knobs import Knob


class FloatRange(Frozen):
    """The real numbers from `low` to `high`, searched on a linear or a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "FloatRange":
        if not self.low < self.high:
            raise refuse(f"must be above low = {self.low}", self.high, "high")
        if self.log and self.low <= 0:
            raise refuse("must be above 0 on a log scale", self.low, "low")
        return self


class IntRange(Frozen):
    """The whole numbers from `low` to `high`; with `log2` only the powers of two."""

    low: int
    high: int
    log: bool = False
    log2: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "IntRange":
        if not self.low < self.high:
            raise refuse(f"must be above low = {self.low}", self.high, "high")
        if self.log and self.log2:
            raise refuse("log and log2 exclude each other", True, "log")
        if (self.log or self.log2) and self.low < 1:
            raise refuse("must be at least 1 on a log scale", self.low, "low")
        if self.log2:
            for field, value in (("low", self.low), ("high", self.high)):
                if not log2(value).is_integer():
                    raise refuse("must be a power of two where log2 = true", value, field)
        return self


Value = TypeVar("Value")


def _kind(value: Any) -> str:
    if isinstance(value, dict | FloatRange | IntRange):
        return "range"
    return "choices" if isinstance(value, list | tuple) else "one"


def _distinct(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if not values:
        raise refuse("must name at least one value", list(values))
    if len(set(values)) != len(values):
        raise refuse("must not repeat a value", list(values))
    return values


Choices = Annotated[tuple[Value, ...], AfterValidator(_distinct)]


def dimension(knob: Knob) -> Any:
    """The type of a knob's key in [space]: a value, a list or, for numbers, a range, all within the knob's bounds."""
    values: Any = knob.values
    forms: list[Any] = [Annotated[values, Tag("one")], Annotated[Choices[values], Tag("choices")]]
    if knob.kind is not str:
        forms.append(Annotated[IntRange if knob.kind is int else FloatRange, Tag("range")])
    return Annotated[Union[tuple(forms)], Discriminator(_kind), _bounded(knob)]  # noqa: UP007  (built from a list)


def extremes(dimension: Any) -> tuple[Any, ...]:
    """The fixed value, every choice, or both ends of the range."""
    if isinstance(dimension, FloatRange | IntRange):
        return (dimension.low, dimension.high)
    return dimension if isinstance(dimension, tuple) else (dimension,)


def fields_of(dimension: Any, field: str) -> list[tuple[str, Any]]:
    """The values of `extremes`, each with its place in a study file: `field`, or in a range its `low` or `high`."""
    ends = (".low", ".high") if isinstance(dimension, FloatRange | IntRange) else ("",) * len(extremes(dimension))
    return [((field + end).lstrip("."), value) for end, value in zip(ends, extremes(dimension), strict=True)]


def levels_of(dimension: Any) -> tuple[Any, ...]:
    """Every value of a dimension with finitely many values: fixed, a choice, or a range of powers of two."""
    if isinstance(dimension, IntRange) and dimension.log2:
        return tuple(2**exponent for exponent in range(int(log2(dimension.low)), int(log2(dimension.high)) + 1))
    assert not isinstance(dimension, FloatRange | IntRange)
    return dimension if isinstance(dimension, tuple) else (dimension,)


def _bounded(knob: Knob) -> AfterValidator:
    """A validator that checks every value of a dimension against the bounds of its knob."""
    tests: list[tuple[Callable[[float], bool], str]] = []
    if (above := knob.above) is not None:
        tests.append((lambda value: value > above, f"must be above {above:g}"))
    if (low := knob.low) is not None:
        tests.append((lambda value: value >= low, f"must be at least {low:g}"))
    if (below := knob.below) is not None:
        tests.append((lambda value: value < below, f"must be below {below:g}"))

    def check(dimension: Any) -> Any:
        for field, value in fields_of(dimension, ""):
            for holds, message in tests:
                if not holds(value):
                    raise refuse(message, value, field)
        return dimension

    return AfterValidator(check)
