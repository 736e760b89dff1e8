"""A search space as the unit cube: numbers on the scale of their search, categoricals by the index of the choice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from batchlaw.stats.surface import Floats


@dataclass(frozen=True)
class Side:
    """One parameter, whose values lie in [0, 1] on the scale of the search."""

    name: str
    distribution: BaseDistribution
    low: float  # on the scale of the search
    high: float
    ends: tuple[float, float]  # the same as Optuna's internal values; exp(log(x)) would differ in the last bit
    step: float | None  # of the values, on their own scale; None if they are continuous
    log: bool  # the scale of the search is logarithmic

    @classmethod
    def of(cls, name: str, distribution: BaseDistribution) -> "Side":
        """The side of a distribution that has more than one value."""
        if isinstance(distribution, CategoricalDistribution):
            last = len(distribution.choices) - 1.0
            return cls(name, distribution, 0.0, last, (0.0, last), 1.0, log=False)
        number = cast(FloatDistribution | IntDistribution, distribution)
        ends = (float(number.low), float(number.high))
        low, high = np.log(ends) if number.log else ends
        return cls(name, number, float(low), float(high), ends, number.step, number.log)

    @property
    def categorical(self) -> bool:
        """Whether the values have no order."""
        return isinstance(self.distribution, CategoricalDistribution)

    def internal(self, unit: Floats) -> Floats:
        """Optuna's internal values nearest to places (n,), which may lie outside [0, 1]; (n,)."""
        scaled = self.low + unit * (self.high - self.low)
        values = np.exp(scaled) if self.log else scaled
        low, high = self.ends
        if self.step is not None:
            values = low + np.round((values - low) / self.step) * self.step
        return np.asarray(np.clip(values, low, high))

    def unit(self, internal: Floats) -> Floats:
        """The places in [0, 1] of internal values (n,), (n,)."""
        scaled = np.log(internal) if self.log else internal
        return np.asarray((scaled - self.low) / (self.high - self.low))

    def at_random(self, n: int, generator: np.random.Generator) -> Floats:
        """Random places, uniform on the scale of the search, (n,); they are rounded to the steps of the parameter."""
        margin = 0.0
        if self.step is not None and not self.log:
            margin = 0.5 * self.step / (self.high - self.low)
        return self.unit(self.internal(generator.uniform(-margin, 1 + margin, size=n)))


@dataclass(frozen=True)
class Cube:
    """All parameters of a space that have more than one value."""

    sides: tuple[Side, ...]

    @classmethod
    def of(cls, space: Mapping[str, BaseDistribution]) -> "Cube":
        """The cube of a search space."""
        return cls(tuple(Side.of(name, of) for name, of in space.items() if not of.single()))

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which sides are categorical, (n_sides,)."""
        return np.array([side.categorical for side in self.sides], dtype=bool)

    @property
    def discrete(self) -> bool:
        """Whether a random draw can repeat a configuration."""
        return all(side.step is not None for side in self.sides)

    def points(self, configurations: Iterable[Mapping[str, Any]]) -> Floats:
        """The points of configurations, (n, n_sides)."""
        listed = list(configurations)
        values = [[side.distribution.to_internal_repr(c[side.name]) for c in listed] for side in self.sides]
        return np.stack(
            [side.unit(np.array(found, dtype=float)) for side, found in zip(self.sides, values, strict=True)], axis=1
        )

    def configuration(self, point: Floats) -> dict[str, Any]:
        """The configuration at a point (n_sides,)."""
        return {
            side.name: side.distribution.to_external_repr(float(side.internal(place[None])[0]))
            for side, place in zip(self.sides, point, strict=True)
        }

    def at_random(self, n: int, generator: np.random.Generator) -> Floats:
        """Random points, (n, n_sides)."""
        return np.stack([side.at_random(n, generator) for side in self.sides], axis=1)

    def neighbours(self, points: Floats, spread: float, generator: np.random.Generator) -> Floats:
        """A random neighbour of each point (n, n_sides), (n, n_sides).

        One side or more is changed: a number by a normal step with the standard deviation `spread`, or wide enough to
        reach its next value, a categorical to a random choice.
        """
        n, d = points.shape
        changed = generator.random((n, d)) < 0.5 / d
        changed[np.arange(n), generator.integers(d, size=n)] = True
        moved = np.empty_like(points)
        for column, side in enumerate(self.sides):
            if side.categorical:
                moved[:, column] = side.at_random(n, generator)
                continue
            least = 0.7 * side.step / (side.high - side.low) if side.step is not None and not side.log else 0.0
            places = points[:, column] + generator.normal(size=n) * max(spread, least)
            moved[:, column] = side.unit(side.internal(places))
        return np.where(changed, moved, points)

    def coordinates(self, points: Floats) -> Floats:
        """The coordinates of points (n, n_sides) for a linear model, (n, n_coordinates).

        A number has one coordinate, a categorical one for each choice.
        """
        columns = []
        for place, side in zip(points.T, self.sides, strict=True):
            choices = np.linspace(0, 1, int(side.high) + 1) if side.categorical else None
            columns.append(place[:, None] if choices is None else np.isclose(place[:, None], choices))
        return np.concatenate(columns, axis=1).astype(float)
