"""The configurations that a search tries first: each value is checked against its dimension of the space."""

from collections.abc import Mapping, Sequence
from math import log2
from typing import TYPE_CHECKING, Any

from batchlaw.spec.base import Scalar, refuse
from batchlaw.spec.dimensions import FloatRange, IntRange

if TYPE_CHECKING:
    from batchlaw.spec.study import StudySpec

Start = dict[str, Scalar]  # values by hyperparameter; what is missing is sampled


def check_start(points: Sequence[Mapping[str, Scalar]], spec: "StudySpec") -> None:
    """Check that every value lies in the space.

    Args:
        points: the configurations.
        spec: the study.

    Raises:
        PydanticCustomError: names the field, the value and the bound.
    """
    for place, point in enumerate(points):
        field = f"search.start.{place}"
        if not point:
            raise refuse("must name a hyperparameter", {}, field)
        for name, value in point.items():
            message = _outside(name, value, spec)
            if message is not None:
                raise refuse(message, value, f"{field}.{name}")
        known = {name: values[0] for name in spec.dimensions if len(values := spec.values_of(name)) == 1} | dict(point)
        for name in spec.parameters.keys() & point.keys():
            condition = spec.parameters[name]
            if condition.columns <= known.keys() and not condition.holds(known):
                raise refuse(
                    f"has no meaning here: it is searched when {condition.when}", point[name], f"{field}.{name}"
                )


def _outside(name: str, value: Scalar, spec: "StudySpec") -> str | None:
    """What the value of a hyperparameter must be, if it is none of its dimension."""
    dimension = spec.dimensions.get(name)
    if dimension is None:
        known = ", ".join(name for name, of in spec.dimensions.items() if of is not None)
        return f"is no hyperparameter of this study; it has {known}"
    if not isinstance(dimension, FloatRange | IntRange):
        levels = dimension if isinstance(dimension, tuple) else (dimension,)
        return None if choice(levels, value) is not None else f"must be {_one_of(levels)}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (isinstance(dimension, IntRange) and not isinstance(value, int)):
        return f"must be a {'whole ' * isinstance(dimension, IntRange)}number"
    assert isinstance(value, int | float)
    if value < dimension.low:
        return f"must be at least {dimension.low}, the lowest of the space"
    if value > dimension.high:
        return f"must be at most {dimension.high}, the highest of the space"
    if isinstance(dimension, IntRange) and dimension.log2 and not log2(value).is_integer():
        return "must be a power of two"
    return None


def choice(levels: Sequence[Any], value: Any) -> Any:
    """The level that equals a value; None if there is none. 1 equals 1.0, but not true."""
    return next((each for each in levels if each == value and isinstance(each, bool) == isinstance(value, bool)), None)


def _one_of(levels: Sequence[Any]) -> str:
    return f"one of {', '.join(map(str, levels))}" if len(levels) > 1 else f"{levels[0]}, its only value in the space"
