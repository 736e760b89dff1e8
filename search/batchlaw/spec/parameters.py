"""The [parameters] of a study file: hyperparameters of the user's own, searched beside the built-in ones.

dropout = {low = 0.0, high = 0.5}                      # whole numbers at both ends: a range of whole numbers
width = [128, 256, 512]                                # numbers, text or true and false
heads = 8                                              # fixed
nesterov = {choices = [true, false], when = "optimizer == 'sgd'"}
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import islice, product
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from batchlaw.errors import BatchlawError
from batchlaw.spec.base import Frozen, Scalar, refuse
from batchlaw.spec.dimensions import FloatRange, IntRange, extremes

if TYPE_CHECKING:
    from batchlaw.expressions import Expression

_MOST_TRIED = 10_000  # combinations that a condition is evaluated at, to see whether it can hold


def _distinct(values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    if not values:
        raise refuse("must name at least one value", list(values))
    if len(set(values)) != len(values):  # 1, 1.0 and true are one value to a sampler
        raise refuse("must not repeat a value", list(values))
    return values


class Parameter(Frozen):
    """One parameter: exactly one of a range, choices and a value, and the condition on which a trial has it."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: Annotated[tuple[Scalar, ...], AfterValidator(_distinct)] | None = None
    value: Scalar | None = None
    when: str | None = None  # an expression of `batchlaw.expressions` over hyperparameters and other parameters

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """A list as choices, and anything but a table as a value."""
        if isinstance(given, Parameter):
            return given
        if not isinstance(given, dict):
            given = {"choices" if isinstance(given, list | tuple) else "value": given}
        listed = isinstance(given.get("choices"), list | tuple)
        for value in given["choices"] if listed else [given["value"]] if "value" in given else []:
            if not isinstance(value, bool | int | float | str):
                raise refuse("must be numbers, text, true or false", value)
        return given | {"choices": tuple(given["choices"])} if listed else given

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """For editors, with the short forms."""
        scalar = {"type": ["boolean", "number", "string"]}
        table = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [scalar, {"type": "array", "items": scalar, "minItems": 1}, table]}

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> Any:
        """As short as a study file has it."""
        written = {name: value for name, value in write(self).items() if value is not None and value is not False}
        if self.value is not None:
            written["value"] = self.value
        return next(iter(written.values())) if written.keys() in ({"choices"}, {"value"}) else written

    @model_validator(mode="after")
    def _one_form(self) -> "Parameter":
        is_range = self.low is not None or self.high is not None
        if is_range + (self.choices is not None) + (self.value is not None) != 1:
            given = sorted(name for name in self.model_fields_set if getattr(self, name) is not None)
            raise refuse("must be a value, a list, or a table with low and high, with choices, or with value", given)
        if is_range:
            if self.low is None or self.high is None:
                missing = "low" if self.low is None else "high"
                raise refuse("is required in a range", None, missing)
            if not self.low < self.high:
                raise refuse(f"must be above low = {self.low}", self.high, "high")
            if self.log and self.low <= 0:
                raise refuse("must be above 0 on a log scale", self.low, "low")
        elif self.log:
            raise refuse("belongs to a range", True, "log")
        return self

    @property
    def dimension(self) -> FloatRange | IntRange | tuple[Scalar, ...] | Scalar:
        """A range, a tuple of choices or a fixed value, as the hyperparameters of [space] have it."""
        if self.low is None or self.high is None:
            fixed = self.choices if self.choices is not None else self.value
            assert fixed is not None
            return fixed
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntRange(low=self.low, high=self.high, log=self.log)
        return FloatRange(low=float(self.low), high=float(self.high), log=self.log)

    @property
    def is_number(self) -> bool:
        """Whether its values have an order: a range, or choices that are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in extremes(self.dimension))

    @property
    def scale(self) -> str:
        """`log` or `linear`."""
        return "log" if self.log else "linear"

    @property
    def columns(self) -> frozenset[str]:
        """The names that its condition reads."""
        return frozenset(() if self.when is None else _condition(self.when).columns)

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Whether a trial has it.

        Args:
            names: the values of hyperparameters and of the parameters that come before it in `ordered`, None for
                those that the trial does not have. A condition on one of these is false.
        """
        if self.when is None:
            return True
        condition = _condition(self.when)
        lacks = any(name in names and names[name] is None for name in condition.columns)
        return not lacks and bool(condition.evaluate(names))


@lru_cache(maxsize=1000)
def _condition(text: str) -> "Expression":
    from batchlaw.expressions import Expression  # with NumPy

    return Expression.parse(text)


def ordered(parameters: Mapping[str, Parameter]) -> list[str]:
    """The names, each after those that its condition names.

    Raises:
        PydanticCustomError: conditions depend on each other in a circle.
    """
    found: dict[str, None] = {}
    waiting = dict(parameters)
    while waiting:
        free = [
            name
            for name, parameter in waiting.items()
            if parameter.when is None or not waiting.keys() & set(_condition(parameter.when).columns)
        ]
        if not free:
            name = next(iter(waiting))
            raise refuse(f"conditions of {', '.join(waiting)} depend on each other", waiting[name].when, f"{name}.when")
        found |= dict.fromkeys(free)
        waiting = {name: parameter for name, parameter in waiting.items() if name not in found}
    return list(found)


def check_parameters(parameters: Mapping[str, Parameter], reserved: Collection[str], space: Mapping[str, Any]) -> None:
    """Check names and conditions.

    Args:
        parameters: by name.
        reserved: names that no parameter can have.
        space: the dimensions of the hyperparameters that the study has, by name.

    Raises:
        PydanticCustomError: a name cannot be used, or a condition is no condition, names what is not there, depends on
            itself, or never holds.
    """
    for name in parameters:
        if not name.isidentifier():
            raise refuse("must be a name of letters, digits and _, such as hidden_size", name, name)
        if name in reserved:
            raise refuse("has a meaning in batchlaw; give the parameter another name", name, name)
    known = dict(space) | {name: parameter.dimension for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        if parameter.when is not None:
            try:
                _check_condition(_condition(parameter.when), known)
            except BatchlawError as error:
                raise refuse(str(error.message), parameter.when, f"{name}.when") from None
    ordered(parameters)


def _check_condition(condition: "Expression", known: Mapping[str, Any]) -> None:
    """Evaluate a condition at the values of its names, to see that it can be evaluated, and can hold."""
    used = [name for name in condition.columns if name in known]
    values = [extremes(known[name]) for name in used]
    finite = not any(isinstance(known[name], FloatRange | IntRange) for name in used)
    others = {name: extremes(dimension)[0] for name, dimension in known.items()}
    holds, tried = False, 0
    for tried, combination in enumerate(islice(product(*values), _MOST_TRIED), start=1):  # noqa: B007
        value = condition.evaluate(others | dict(zip(used, combination, strict=True)))
        if not isinstance(value, bool):
            raise BatchlawError("must be a condition, such as optimizer == 'sgd'")
        holds = holds or value
    if finite and not holds and tried < _MOST_TRIED:
        raise BatchlawError("never holds")
