"""The base of every table of a study file: frozen, strictly typed, without unknown keys."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import PydanticCustomError

Positive = Annotated[int, Field(ge=1)]
Scalar = bool | int | float | str  # a value of a parameter of the user's own


class Frozen(BaseModel):
    """A table of a study file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class Extended(Frozen):
    """A table to which keys were added later. One at its default is not written, so that stored fingerprints stay."""

    later: ClassVar[frozenset[str]] = frozenset()  # the keys

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        return {
            name: value
            for name, value in written.items()
            if name not in self.later or getattr(self, name) != fields[name].default
        }


def refuse(message: str, got: Any, field: str = "") -> PydanticCustomError:
    """The error of a wrong value, to be raised in a validator.

    Args:
        message: what must hold.
        got: the value.
        field: its path below the table that is being validated.
    """
    return PydanticCustomError("refused", "{message}", {"message": message, "got": got, "field": field})
