"""A number with its interval, as public results give it."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Interval:
    """An estimate or a prediction, between the ends of its interval; all three have the unit of the value.

    >>> lr = Interval(0.03125, 0.0284, 0.0344)
    >>> lr
    Interval(0.03125 [0.0284, 0.0344])
    >>> value, low, high = lr
    >>> low
    0.0284
    """

    value: float
    low: float
    high: float

    def __iter__(self) -> Iterator[float]:
        yield from (self.value, self.low, self.high)

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def __repr__(self) -> str:
        return f"Interval({self})"
