"""What the runs at one given level say about the best tuned level there."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchlaw.stats.cells import Cells
from batchlaw.stats.surface import Bools, Floats
from batchlaw.stats.unimodal import bounds

Status = Literal["identified", "left_censored", "right_censored", "undecided", "diverged", "missing"]

WIDEST_OCTAVES = 3.0  # of the set of an identified optimum (assumption, fixed before the runs that it judges)
_INSIDE = 0.02  # of a spacing: how far a set ends from a cell all of whose runs diverged
OPEN = (-np.inf, np.inf)
NO_EDGES = ((-np.inf, -np.inf), (np.inf, np.inf))


@dataclass(frozen=True)
class Optimum:
    """The best tuned level at one given level, log₂."""

    status: Status
    best: float  # the best level tried, if the set contains it, else the nearest end
    low: float  # the confidence set, within the levels tried
    high: float
    closed: bool = False  # the runs bound it on both sides
    # Downwards and upwards from the best cell: the last level tried before one that diverges, and that one.
    edges: tuple[tuple[float, float], tuple[float, float]] = NO_EDGES


@dataclass(frozen=True, eq=False)
class Level:
    """The cells of one given level, in the order of their tuned levels."""

    places: Floats  # (n,) log₂ of the tuned levels
    means: Floats  # (n,) higher is better
    variances: Floats  # (n,) of the means, without what all cells have in common
    dead: Bools  # (n,) no run was stable
    degrees_of_freedom: float  # of the variances

    @classmethod
    def of(cls, cells: Cells, given: float) -> "Level":
        """The cells of a given level that were run; there may be none."""
        row = np.flatnonzero(cells.given[cells.level] == given)
        return cls(
            cells.place[row], cells.means[row], cells.own_variances[row], cells.dead[row],
            cells.degrees_of_freedom,
        )  # fmt: skip

    @property
    def live(self) -> bool:
        """Whether some run did not diverge."""
        return not self.dead.all()

    def own_set(self, alpha: float) -> tuple[float, float]:
        """The confidence set of the optimum from the level's own runs, log₂; infinite where it is open."""
        if not self.live:
            return OPEN
        low, high = bounds(self.places, -self.means, self.variances, self.degrees_of_freedom, alpha)
        return float(low), float(high)

    def optimum(self, ends: Floats, tuned: Floats) -> Optimum:
        """The optimum whose confidence set has these ends (2,), log₂; `tuned` are the levels that could be tried."""
        if not self.live:
            lowest, highest = np.log2(tuned[[0, -1]])
            return Optimum("diverged" if len(self.dead) else "missing", (lowest + highest) / 2, lowest, highest)
        first, last = self.places[[0, -1]]
        top = int(np.where(self.dead, -np.inf, self.means).argmax())
        stable = _stable_around(self.dead, top)
        found = self._without_dead(ends, stable)
        open_low, open_high = found[0] < first, found[1] > last
        low, high = np.clip(found, first, last)
        wide = high - low > WIDEST_OCTAVES + 1e-9
        status: Status = "left_censored" if open_low else "right_censored" if open_high else "identified"
        if (open_low and open_high) or (wide and status == "identified"):
            status = "undecided"
        return Optimum(
            status,
            best=float(np.clip(self.places[top], low, high)),
            low=float(low),
            high=float(high),
            closed=not (open_low or open_high),
            edges=_edges(self.places, stable),
        )

    def _without_dead(self, ends: Floats, stable: tuple[int, int]) -> tuple[float, float]:
        """A set (2,) without levels all of whose runs diverged, but with a stable one, half a spacing wide at least.

        Args:
            ends: of the set, log₂.
            stable: the first and the last cell that can be reached from the best one without passing a dead one.
        """
        first, last = self.places[list(stable)]
        spacing = float(np.diff(self.places).min()) if len(self.places) > 1 else 1.0
        floor = self.places[stable[0] - 1] + _INSIDE * spacing if stable[0] > 0 else -np.inf
        roof = self.places[stable[1] + 1] - _INSIDE * spacing if stable[1] < len(self.places) - 1 else np.inf
        low, high = max(ends[0], floor), min(ends[1], roof)
        if low > high:  # among diverged runs: nothing is known
            return float(floor), float(roof)
        if roof < np.inf:
            low = min(low, last)
        if floor > -np.inf:
            high = max(high, first)
        if high - low < spacing / 2:
            if floor == -np.inf and low >= first:
                floor = first  # what ends inside the levels tried does not go beyond them
            if roof == np.inf and high <= last:
                roof = last
            low = float(np.clip((low + high - spacing / 2) / 2, floor, roof - spacing / 2))
            high = low + spacing / 2
        return float(low), float(high)


def _stable_around(dead: Bools, top: int) -> tuple[int, int]:
    """The first and the last of the cells around one that can be reached without passing a dead one."""
    ends = np.flatnonzero(dead)
    below, above = ends[ends < top], ends[ends > top]
    return (int(below[-1]) + 1 if len(below) else 0), (int(above[0]) - 1 if len(above) else len(dead) - 1)


def _edges(places: Floats, stable: tuple[int, int]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Downwards and upwards: the place of the last stable cell before a dead one, and of that one."""
    first, last = stable
    down = (float(places[first]), float(places[first - 1])) if first > 0 else NO_EDGES[0]
    up = (float(places[last]), float(places[last + 1])) if last < len(places) - 1 else NO_EDGES[1]
    return down, up
