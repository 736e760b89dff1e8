"""What a surface of scores over learning rate and batch size shows about its ridge.

Slow parts are computed when they are first used, since a verdict uses fewer of them than a report.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from batchlaw.claims.hypotheses import GIVEN_LABELS, Given, tuned_at
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.cliff import cliff_ratio
from batchlaw.stats.collapse import Collapse, collapse
from batchlaw.stats.optimum import Ridge, ridge_of
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Floats, Surface
from batchlaw.stats.two_lines import two_lines


@dataclass(frozen=True, eq=False)
class Direction:
    """The optimum of one factor at each level of the other, and its slope."""

    grid: Surface | None  # None of an adaptive design, which does not fill the grid
    runs: Runs
    given: Floats  # (n_given,) levels, ascending
    tuned: Floats  # (n_tuned,) levels that could be tried, ascending
    generator: np.random.Generator  # of draws from the sets
    alpha: float
    given_name: str = "level"  # of the factors, for people, in the singular
    tuned_name: str = "level"

    @cached_property
    def cells(self) -> Cells:
        """The means of the cells that were run."""
        return Cells.of(self.runs)

    @cached_property
    def ridge(self) -> Ridge:
        """The confidence set of the optimum at each given level, and the slope."""
        return ridge_of(self.cells, self.given, self.tuned, self.generator, alpha=self.alpha)

    @property
    def n_runs(self) -> int:
        """The number of runs with a score."""
        return len(self.runs.scores)

    @property
    def surface(self) -> Surface:
        """The grid, of a factorial design."""
        assert self.grid is not None
        return self.grid

    @cached_property
    def rises_then_falls(self) -> tuple[bool, ...]:
        """Whether each level rises and then falls by the two-lines test, a second opinion on the sets."""
        tuned = np.repeat(np.log2(self.surface.tuned), self.surface.n_replicates)
        lines = [two_lines(tuned, scores.ravel()) for scores in self.surface.scores]
        return tuple(line is not None and line.rises_then_falls(self.alpha) for line in lines)

    @property
    def lost(self) -> Bools | None:
        """Cells without a score that may have been the best of their given level, (n_given, n_tuned).

        None if there is none. A given or tuned level without any score counts as not tried.
        """
        if self.grid is None or self.grid.lost is None:
            return None
        there = self.grid.counts > 0
        lost: Bools = self.grid.lost & there.any(axis=0) & there.any(axis=1, keepdims=True)
        return lost if lost.any() else None

    @cached_property
    def with_lost_as_best(self) -> "Direction":
        """The same, had the runs of the lost cells been as good as the best of their given level."""
        surface, lost = self.surface, self.lost
        if lost is None:
            return self
        scores = surface.scores.copy()
        best = np.where(np.isnan(surface.means), -np.inf, surface.means).argmax(axis=1)
        for row, column in np.argwhere(lost):
            scores[row, column] = surface.scores[row, best[row]]
        names, generator = (self.given_name, self.tuned_name), np.random.default_rng(0)
        return direction(replace(surface, scores=scores, lost=None), names, generator, self.alpha)

    @property
    def how(self) -> str | None:
        """How the slope was found, for people, where it is not by replicates."""
        return None

    @property
    def lack(self) -> str | None:
        """What is missing for a slope, or None."""
        return self.ridge.lack

    @property
    def slope(self) -> Slope | None:
        """The slope of the ridge; see `batchlaw.stats.optimum.ridge_of`."""
        return self.ridge.slope


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one surface shows: the batch size, or else the weight decay, is tuned at each level of the given factor."""

    given: Given
    forward: Direction  # the best tuned level at each level of the given factor
    reverse: Direction | None  # ε_opt(B), where the learning rate is given

    @property
    def with_lost_as_best(self) -> "Evidence | None":
        """The evidence, had runs without a score been the best of their level; None if no score is missing so."""
        sides = [side for side in (self.forward, self.reverse) if side]
        if all(side.lost is None for side in sides):
            return None
        return Evidence(self.given, *[side.with_lost_as_best for side in sides], *[None] * (2 - len(sides)))

    @cached_property
    def collapse(self) -> Collapse | None:
        """The combination ε/B^α that explains the scores best, where the learning rate is given."""
        if self.reverse is None or self.forward.grid is None:
            return None
        return collapse(self.forward.grid, level=self.forward.alpha)

    @cached_property
    def cliff_ratio(self) -> float | None:
        """The best batch size over the smallest stable one; of a factorial design."""
        if self.forward.grid is None or tuned_at(self.given) != "batch_size":
            return None
        return cliff_ratio(self.forward.surface, self.forward.ridge)

    @property
    def rho_squared(self) -> float | None:
        """The product of both slopes: 1 where the ridge is one line, whichever way it is read.

        None where a slope is not known, or only bounded.
        """
        slopes = [side.slope for side in (self.forward, self.reverse) if side and side.slope and not side.slope.bounded]
        return slopes[0].slope * slopes[1].slope if len(slopes) == 2 else None

    def as_dict(self) -> dict[str, Any]:
        """The main results, for JSON."""
        record: dict[str, Any] = {
            "n_identified": int(self.forward.ridge.identified.sum()),
            f"per_{self.given}": _levels(self.forward, self.given, f"{tuned_at(self.given)}_opt"),
            "cliff_ratio": self.cliff_ratio,
        }
        if self.reverse:
            record |= {
                "per_batch_size": _levels(self.reverse, "batch_size", "lr_opt"),
                "reverse": _interval(self.reverse.slope),
                "rho_squared": self.rho_squared,
                "collapse": asdict(self.collapse) if self.collapse else None,
            }
        return record


def gather(surface: Surface, given: Given = "lr", *, seed: int = 0, alpha: float = 0.05) -> Evidence:
    """Analyse a surface; where the learning rate is given, in both directions."""
    generators = np.random.default_rng(seed).spawn(2)
    names = (GIVEN_LABELS[given], tuned_at(given).replace("_", " "))
    forward = direction(surface, names, generators[0], alpha)
    if given != "lr":
        return Evidence(given, forward, None)
    return Evidence(given, forward, direction(surface.transposed(), names[::-1], generators[1], alpha))


def direction(surface: Surface, names: tuple[str, str], generator: np.random.Generator, alpha: float) -> Direction:
    """The best tuned level at each given level of a surface; `names` are those of the given and the tuned factor."""
    return Direction(surface, Runs.of(surface), surface.given, surface.tuned, generator, alpha, *names)


def gather_adaptive(runs: Runs, tuned: Floats, *, seed: int = 0, alpha: float = 0.05) -> Evidence:
    """Analyse the runs of an adaptive design, which searched the tuned levels for the best at each learning rate."""
    given, generator = np.unique(runs.given), np.random.default_rng(seed)
    return Evidence("lr", Direction(None, runs, given, tuned, generator, alpha, GIVEN_LABELS["lr"], "batch size"), None)


def _interval(slope: Slope | None) -> dict[str, float | None]:
    if slope is None:
        return {"slope": None, "ci_low": None, "ci_high": None}
    return {"slope": slope.slope, "ci_low": slope.ci_low, "ci_high": slope.ci_high}


def _levels(side: Direction, given: str, optimum: str) -> list[dict[str, Any]]:
    rows = side.ridge.rows(given, optimum)
    if side.grid is None:
        return rows
    return [row | {"rises_then_falls": peaked} for row, peaked in zip(rows, side.rises_then_falls, strict=True)]
