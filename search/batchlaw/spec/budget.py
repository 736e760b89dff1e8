"""The [budget] of a study file."""

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from batchlaw.spec.base import Frozen, Positive, refuse

_KINDS = ("epochs", "steps", "examples", "tokens", "lr_time", "amount")
_NEW = ("tokens", "amount", "unit")  # keys that came later: absent where they are not given, so that fingerprints stay


class Budget(Frozen):
    """How long a trial trains: exactly one of `_KINDS`, rounded down to whole steps.

    An amount is the program's own affair, such as 500,000 of the unit "environment steps".
    """

    epochs: Annotated[float, Field(gt=0)] | None = None
    steps: Positive | None = None
    examples: Positive | None = None
    tokens: Positive | None = None  # of tokens_per_example each
    lr_time: Annotated[float, Field(gt=0)] | None = None  # steps = lr_time / peak_lr, within min_steps … max_steps
    min_steps: Positive | None = None
    max_steps: Positive | None = None
    amount: Annotated[int | float, Field(gt=0)] | None = None
    unit: Annotated[str, Field(min_length=1)] | None = None

    @property
    def counts_steps(self) -> bool:
        """Whether it is a number of steps, whatever the batch size."""
        return self.steps is not None or self.lr_time is not None

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {name: value for name, value in written.items() if value is not None or name not in _NEW}

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse(f"must give exactly one of {', '.join(_KINDS)}", given)
        if (self.amount is None) != (self.unit is None):
            missing = "unit" if self.unit is None else "amount"
            raise refuse('amount and unit belong together, such as 500000 and "environment steps"', None, missing)
        bounds = (self.min_steps, self.max_steps)
        if self.lr_time is None:
            if bounds != (None, None):
                raise refuse(f"min_steps and max_steps bound lr_time; drop them with {given[0]}", list(bounds))
        elif self.min_steps is None or self.max_steps is None or self.min_steps > self.max_steps:
            raise refuse("lr_time needs min_steps <= max_steps", list(bounds))
        return self
