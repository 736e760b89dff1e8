"""The [schedule] of a study file."""

from typing import Annotated

from pydantic import Field, model_validator

from batchlaw.spec.base import Frozen, Positive, refuse


class Schedule(Frozen):
    """Settings of the decays `step` and `batch-growth`, the same for all trials."""

    # Smith et al. 2018 divide by 5 at .3, .6 and .8 of the budget (Zagoruyko & Komodakis' schedule).
    milestones: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.3, 0.6, 0.8)
    decay_factor: Annotated[int, Field(ge=2)] = 5
    max_batch_size: Positive | None = None  # batch-growth stops there; None is the training size

    @model_validator(mode="after")
    def _increasing(self) -> "Schedule":
        if any(later <= earlier for earlier, later in zip(self.milestones, self.milestones[1:], strict=False)):
            raise refuse("must increase", list(self.milestones), "milestones")
        return self
