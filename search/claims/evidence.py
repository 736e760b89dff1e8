"""Everything a surface of scores over learning rate and batch size has to say about its ridge."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from search.stats.cliff import cliff_ratio
from search.stats.collapse import Collapse, collapse
from search.stats.gaussian_process import smooth_ridge
from search.stats.optimum import Ridge, ridge
from search.stats.slope import Slope, censored_slope, gated_least_squares, shortfall
from search.stats.surface import Surface
from search.stats.two_lines import two_lines


@dataclass(frozen=True, eq=False)
class Direction:
    """The optimum of one factor at each level of the other, and its slope."""

    surface: Surface
    ridge: Ridge
    rises_then_falls: tuple[bool, ...]  # at each level, by the two-lines test: a second opinion on the gate
    lack: str | None  # what is missing for a slope
    slope: Slope | None  # interval-censored maximum likelihood
    least_squares: Slope | None  # through the identified optima alone
    smooth_slope: float | None  # through the same levels by a Gaussian process


@dataclass(frozen=True, eq=False)
class Evidence:
    """Of one learning rate × batch size surface."""

    batch_size_at_lr: Direction  # B_opt(ε): H8, H9
    lr_at_batch_size: Direction  # ε_opt(B): H6, H7
    collapse: Collapse | None
    cliff_ratio: float | None

    @property
    def rho_squared(self) -> float | None:
        """The product of both slopes: 1 where the ridge is one line, whichever way it is read."""
        forward, reverse = self.batch_size_at_lr.slope, self.lr_at_batch_size.slope
        return forward.slope * reverse.slope if forward and reverse else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        reverse = self.lr_at_batch_size.slope
        return {
            "n_identified": int(self.batch_size_at_lr.ridge.identified.sum()),
            "per_lr": _levels(self.batch_size_at_lr, "lr", "batch_size_opt"),
            "per_batch_size": _levels(self.lr_at_batch_size, "batch_size", "lr_opt"),
            "reverse": _interval(reverse),
            "rho_squared": self.rho_squared,
            "collapse": asdict(self.collapse) if self.collapse else None,
            "cliff_ratio": self.cliff_ratio,
            "sensitivity": {
                "least_squares": _interval(self.batch_size_at_lr.least_squares),
                "gaussian_process_slope": self.batch_size_at_lr.smooth_slope,
            },
        }


def gather(surface: Surface, *, seed: int = 0, alpha: float = 0.05) -> Evidence:
    """Analyse a surface given the learning rate and tuned in the batch size, and the same the other way round."""
    forward, reverse = np.random.default_rng(seed).spawn(2)
    found = _direction(surface, forward, alpha)
    return Evidence(
        batch_size_at_lr=found,
        lr_at_batch_size=_direction(surface.transposed(), reverse, alpha),
        collapse=collapse(surface, level=alpha),
        cliff_ratio=cliff_ratio(surface, found.ridge),
    )


def _direction(surface: Surface, generator: np.random.Generator, alpha: float) -> Direction:
    found = ridge(surface, generator, alpha=alpha)
    tuned = np.repeat(np.log2(surface.tuned), surface.n_replicates)
    lines = [two_lines(tuned, scores.ravel()) for scores in surface.scores]
    peaked = tuple(line is not None and line.rises_then_falls(alpha) for line in lines)
    lack = shortfall(found)
    if lack:
        return Direction(surface, found, peaked, lack, None, None, None)
    smooth = stats.linregress(np.log2(surface.given[found.identified]), smooth_ridge(surface)[found.identified])
    return Direction(
        surface,
        found,
        peaked,
        None,
        censored_slope(found, alpha),
        gated_least_squares(found, alpha),
        float(smooth.slope),
    )


def _interval(slope: Slope | None) -> dict[str, float | None]:
    if slope is None:
        return {"slope": None, "ci_low": None, "ci_high": None}
    return {"slope": slope.slope, "ci_low": slope.ci_low, "ci_high": slope.ci_high}


def _levels(side: Direction, given: str, optimum: str) -> list[dict[str, Any]]:
    """One row a level; an interval is open (null) on the side that is censored, and has no end where unidentified."""
    rows, ridge = [], side.ridge
    columns = (ridge.given, ridge.status, ridge.best, ridge.low, ridge.high, side.rises_then_falls)
    for level, status, best, low, high, peaked in zip(*columns, strict=True):
        rows.append(
            {
                given: float(level),
                "status": status,
                optimum: float(2**best),
                "ci_low": float(2**low) if status in ("identified", "right_censored") else None,
                "ci_high": float(2**high) if status in ("identified", "left_censored") else None,
                "rises_then_falls": peaked,
            }
        )
    return rows
