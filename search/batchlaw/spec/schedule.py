"""The [schedule] of a study file."""

from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from batchlaw.spec.base import Extended, Positive, refuse
from batchlaw.spec.knobs import Cooldown


class Schedule(Extended):
    """Settings of the decays `step`, `batch-growth`, `seesaw` and `wsd`, the same for all trials."""

    later: ClassVar[frozenset[str]] = frozenset({"cooldown_fraction", "cooldown", "horizons"})

    # Smith et al. 2018 divide by 5 at .3, .6 and .8 of the budget (Zagoruyko & Komodakis' schedule).
    milestones: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.3, 0.6, 0.8)
    decay_factor: Annotated[int, Field(ge=2)] = 5
    max_batch_size: Positive | None = None  # batch-growth and seesaw stop there; None is the training size
    # Hägele et al. 2024 (arXiv:2405.18392): a fifth of the run, and 1 - √ of its progress, does at least as well as a
    # linear cooldown and as a cosine over the whole run.
    cooldown_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    cooldown: Cooldown = "1-sqrt"
    # Shares of the budget at which a wsd run is scored after a cooldown of its own, the last of them 1.
    horizons: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _increasing(self) -> "Schedule":
        if any(later <= earlier for earlier, later in pairwise(self.milestones)):
            raise refuse("must increase", list(self.milestones), "milestones")
        if self.horizons is not None:
            if any(later <= earlier for earlier, later in pairwise(self.horizons)):
                raise refuse("must increase", list(self.horizons), "horizons")
            if self.horizons[-1] != 1:
                raise refuse("must end with 1, the whole budget", list(self.horizons), "horizons")
        return self
