"""A trial of a search as the choice of the best sees it: its configuration, its outcome and its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from batchlaw.recipe.result import Outcome

Purpose = Literal["race", "score"]


class Confirms(NamedTuple):
    """What a trial on fresh seeds is for."""

    trial: int  # whose configuration it trains
    purpose: Purpose  # to choose among contenders, or to score the chosen one
    fold: int = 0  # of the examples of a built-in task; contenders with the same fold are compared on the same examples

    def __str__(self) -> str:
        purpose = "in the race" if self.purpose == "race" else "to score it"
        return f"trial {self.trial}, {purpose}" + (f", on fold {self.fold}" if self.fold else "")


@dataclass(frozen=True, kw_only=True)
class SearchRun:
    """One trial of a search."""

    number: int
    outcome: Outcome
    value: float | None
    scores: Sequence[float]  # of each seed
    params: Mapping[str, Any]
    seconds: float | None  # of one seed
    confirms: Confirms | None
