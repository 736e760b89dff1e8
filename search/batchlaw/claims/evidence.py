"""What a surface of scores over learning rate and batch size shows about its ridge.

Slow parts are computed when they are first used, since a verdict uses fewer of them than a report.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from batchlaw.claims.hypotheses import Given
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.cliff import cliff_ratio
from batchlaw.stats.collapse import Collapse, collapse
from batchlaw.stats.optimum import Ridge, ridge, ridge_of
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats, Surface
from batchlaw.stats.two_lines import two_lines


@dataclass(frozen=True, eq=False)
class Direction:
    """The optimum of one factor at each level of the other, and its slope."""

    grid: Surface | None  # None of an adaptive design, which does not fill the grid
    ridge: Ridge
    alpha: float
    n_runs: int

    @property
    def surface(self) -> Surface:
        """The grid, of a factorial design."""
        assert self.grid is not None
        return self.grid

    @cached_property
    def rises_then_falls(self) -> tuple[bool, ...]:
        """Whether each level rises and then falls by the two-lines test, a second opinion on the gate."""
        tuned = np.repeat(np.log2(self.surface.tuned), self.surface.n_replicates)
        lines = [two_lines(tuned, scores.ravel()) for scores in self.surface.scores]
        return tuple(line is not None and line.rises_then_falls(self.alpha) for line in lines)

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
    """What one surface shows: the batch size is tuned at each level of the given factor."""

    given: Given
    forward: Direction  # B_opt at each level of the given factor
    reverse: Direction | None  # ε_opt(B), where the learning rate is given

    @cached_property
    def collapse(self) -> Collapse | None:
        """The combination ε/B^α that explains the scores best, where the learning rate is given."""
        return collapse(self.forward.surface, level=self.forward.alpha) if self.reverse else None

    @cached_property
    def cliff_ratio(self) -> float | None:
        """The best batch size over the smallest stable one; of a factorial design."""
        return None if self.forward.grid is None else cliff_ratio(self.forward.surface, self.forward.ridge)

    @property
    def rho_squared(self) -> float | None:
        """The product of both slopes: 1 where the ridge is one line, whichever way it is read."""
        forward, reverse = self.forward.slope, self.reverse and self.reverse.slope
        return forward.slope * reverse.slope if forward and reverse else None

    def as_dict(self) -> dict[str, Any]:
        """The main results, for JSON."""
        record: dict[str, Any] = {
            "n_identified": int(self.forward.ridge.identified.sum()),
            f"per_{self.given}": _levels(self.forward, self.given, "batch_size_opt"),
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
    sides = (surface, surface.transposed()) if given == "lr" else (surface,)
    found = [
        Direction(side, ridge(side, generator, alpha=alpha), alpha, side.scores.size)
        for side, generator in zip(sides, generators, strict=False)
    ]
    return Evidence(given, found[0], found[1] if given == "lr" else None)


def gather_adaptive(runs: Runs, tuned: Floats, *, seed: int = 0, alpha: float = 0.05) -> Evidence:
    """Analyse the runs of an adaptive design, which searched the tuned levels for the best at each learning rate."""
    found = ridge_of(Cells.of(runs), np.unique(runs.given), tuned, np.random.default_rng(seed), alpha=alpha)
    return Evidence("lr", Direction(None, found, alpha, len(runs.scores)), None)


def _interval(slope: Slope | None) -> dict[str, float | None]:
    if slope is None:
        return {"slope": None, "ci_low": None, "ci_high": None}
    return {"slope": slope.slope, "ci_low": slope.ci_low, "ci_high": slope.ci_high}


def _levels(side: Direction, given: str, optimum: str) -> list[dict[str, Any]]:
    rows = side.ridge.rows(given, optimum)
    if side.grid is None:
        return rows
    return [row | {"rises_then_falls": peaked} for row, peaked in zip(rows, side.rises_then_falls, strict=True)]
