"""The base of every table of a study file: frozen, strictly typed, closed to unknown keys."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Frozen(BaseModel):
    """A table of a study file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


def refuse(message: str, got: Any, field: str = "") -> PydanticCustomError:
    """The error of a value out of bounds; `field` is its path below the table that is being validated."""
    return PydanticCustomError("refused", "{message}", {"message": message, "got": got, "field": field})
