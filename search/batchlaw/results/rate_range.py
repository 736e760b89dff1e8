"""The largest learning rate of a stable step at each batch size, as `batchlaw.measure.rate_range` measured it."""

from dataclasses import asdict, dataclass
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

from batchlaw.results.interval import Interval
from batchlaw.results.plain import plain

if TYPE_CHECKING:
    import pandas as pd


_CELL, _RATES, _ENDS = ("optimizer", "scaling_rule", "batch_size"), ("base_lr", "peak_lr"), ("", "_low", "_high")


@dataclass(frozen=True, kw_only=True)
class RateBound:
    """The largest rate at which a step does not raise the training loss: the median of the seeds, and their extremes.

    It is 0 where every step raises it, and infinite where none does.
    """

    optimizer: str
    scaling_rule: str
    batch_size: int
    peak_lr: Interval
    base_lr: Interval  # the same, as [space] counts rates

    def __str__(self) -> str:
        if not isfinite(self.base_lr.value):
            return "none: no step raises the loss"
        return f"{self.base_lr}" if self.base_lr.value else "none: every step raises the loss"


@dataclass(frozen=True, kw_only=True)
class LearningRateRange:
    """The bounds at every batch size of a study, with each optimizer and scaling rule of its space."""

    study: str
    highest: float  # base_lr of the space
    seeds: int
    rows: tuple[RateBound, ...]

    @property
    def bound(self) -> float | None:
        """`base_lr` above which no batch size has a stable step, in two digits, rounded up; None if it is not known."""
        largest = max(row.base_lr.value for row in self.rows)
        if not 0 < largest < float("inf"):
            return None
        unit = 10.0 ** (floor(log10(largest)) - 1)
        return float(f"{-(-largest // unit) * unit:.2g}")

    @property
    def hint(self) -> str:
        """Which bound belongs in the study file."""
        if self.bound is None:
            return "no bound that holds at every batch size"
        if self.highest <= self.bound:
            return (
                f"base_lr: nothing to cut, the space ends at {self.highest:g} and the largest bound is {self.bound:g}"
            )
        return f"base_lr: high = {self.bound:g} in place of {self.highest:g}; above it no batch size has a stable step"

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each optimizer, scaling rule and batch size; `low` and `high` are the extremes of the seeds."""
        import pandas as pd

        return pd.DataFrame(
            {name: getattr(row, name) for name in _CELL}
            | {f"{rate}{end}": value for rate in _RATES for end, value in zip(_ENDS, getattr(row, rate), strict=True)}
            for row in self.rows
        )

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; a bound that is infinite is None."""
        found: dict[str, Any] = plain({
            "study": self.study, "seeds": self.seeds, "bound": self.bound, "highest": self.highest, "hint": self.hint,
            "rows": [asdict(row) for row in self.rows],
        })  # fmt: skip
        return found
