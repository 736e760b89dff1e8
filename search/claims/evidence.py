"""Everything a surface of scores over learning rate and batch size has to say about its ridge."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from search.claims.hypotheses import Given
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
    """Of one surface, the batch size tuned at each level of the given factor."""

    given: Given
    forward: Direction  # B_opt at each level of the given factor
    reverse: Direction | None  # ε_opt(B), where the learning rate is given
    collapse: Collapse | None
    cliff_ratio: float | None

    @property
    def rho_squared(self) -> float | None:
        """The product of both slopes: 1 where the ridge is one line, whichever way it is read."""
        forward, reverse = self.forward.slope, self.reverse and self.reverse.slope
        return forward.slope * reverse.slope if forward and reverse else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        record: dict[str, Any] = {
            "n_identified": int(self.forward.ridge.identified.sum()),
            f"per_{self.given}": _levels(self.forward, self.given, "batch_size_opt"),
            "cliff_ratio": self.cliff_ratio,
            "sensitivity": {
                "least_squares": _interval(self.forward.least_squares),
                "gaussian_process_slope": self.forward.smooth_slope,
            },
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
    """Analyse a surface; one given the learning rate the other way round as well."""
    forward, reverse = np.random.default_rng(seed).spawn(2)
    found = _direction(surface, forward, alpha)
    both = given == "lr"
    return Evidence(
        given=given,
        forward=found,
        reverse=_direction(surface.transposed(), reverse, alpha) if both else None,
        collapse=collapse(surface, level=alpha) if both else None,
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
