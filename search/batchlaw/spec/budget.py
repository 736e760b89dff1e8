"""The [budget] of a study file."""

from typing import Annotated

from pydantic import Field, model_validator

from batchlaw.spec.base import Frozen, Positive, refuse


class Budget(Frozen):
    """How long a trial trains: exactly one of epochs, steps, examples and lr_time, rounded down to whole steps."""

    epochs: Annotated[float, Field(gt=0)] | None = None
    steps: Positive | None = None
    examples: Positive | None = None
    lr_time: Annotated[float, Field(gt=0)] | None = None  # steps = lr_time / peak_lr, within min_steps … max_steps
    min_steps: Positive | None = None
    max_steps: Positive | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        given = [name for name in ("epochs", "steps", "examples", "lr_time") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse("must give exactly one of epochs, steps, examples, lr_time", given)
        bounds = (self.min_steps, self.max_steps)
        if self.lr_time is None:
            if bounds != (None, None):
                raise refuse(f"min_steps and max_steps bound lr_time; drop them with {given[0]}", list(bounds))
        elif self.min_steps is None or self.max_steps is None or self.min_steps > self.max_steps:
            raise refuse("lr_time needs min_steps <= max_steps", list(bounds))
        return self
