"""The ridge: a confidence set for the best tuned level at each given level, and the slope of the whole."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from batchlaw.stats.alignment import Alignment, align
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.levels import OPEN, Level, Status
from batchlaw.stats.lines import slopes_of_lines, values_of_lines
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Floats, Surface

# What a ridge needs (assumptions, fixed before the runs that they judge).
FEWEST_CLOSED, CLOSED_OCTAVES = 3, 2.0  # levels whose own set is closed, and their distance, for a slope
FEWEST_IDENTIFIED, IDENTIFIED_OCTAVES = 4, 3.0  # levels, and their distance, for a curve through optima
FEWEST_TUNED_LEVELS, FEWEST_TUNED_OCTAVES = 5, 4.0  # so that an optimum can move and stay inside the grid
_DRAWS = 1000
_NO_LINE = "the levels' sets contradict one another: no line meets all of them"


@dataclass(frozen=True, eq=False)
class Ridge:
    """The optimum at each given level, on the log₂ scale of the tuned factor.

    The status of a level is one of

    - `identified`: the set of the optimum is closed, lies inside the levels tried, and is narrow enough;
    - `left_censored`: the optimum lies at or below `high`;
    - `right_censored`: it lies at or above `low`;
    - `undecided`: the runs set no bound, or one on each side that are far apart;
    - `diverged`: every run diverged;
    - `missing`: no run has a score.
    """

    given: Floats  # (n_given,) levels
    tuned: Floats  # (n_tuned,) levels
    status: tuple[Status, ...]  # n_given
    best: Floats  # (n_given,) log₂ of the best level tried that the set contains
    standard_error: Floats  # (n_given,) octaves
    low: Floats  # (n_given,) log₂, the confidence set, within the levels tried
    high: Floats  # (n_given,)
    exact: Bools  # (n_given,) `best` is an estimate; else only the set is known
    resampled: Floats  # (n_draws, n_given) log₂ of the optimum, drawn from what is known of it
    degrees_of_freedom: int  # of the standard errors
    slope: Slope | None = None
    lack: str | None = None  # what is missing for a slope
    copies: bool = True  # False: the curves are no copies of one, so `slope` is bounded by the sets alone
    closed: Bools | None = None  # (n_given,) the set has both ends; None: where it is identified
    joint: Floats | None = None  # (n_given, 2) log₂, sets that hold together; infinite where open
    # (n_given, 2, 2) log₂: downwards and upwards from the best cell, the last level tried before one that diverges,
    # and that one; infinite where none does
    edges: Floats | None = None

    @property
    def identified(self) -> Bools:
        """Which levels have an identified optimum, (n_given,)."""
        return np.array([status == "identified" for status in self.status])

    def lines(self, x: Floats) -> Floats:
        """Lines drawn from what the alignment of the curves tells, at log₂ given levels x (n,): (n_draws, n)."""
        places, drawn = np.log2(self.given[self.exact]), self.resampled[:, self.exact]
        share = (x - places[0]) / (places[-1] - places[0])
        return np.asarray(drawn[:, :1] + (drawn[:, -1:] - drawn[:, :1]) * share)

    def band(self, x: Floats, alpha: float) -> Floats:
        """The log₂ ends between which the line of optima lies at log₂ given levels x (n,), (n, 2).

        They are those of the alignment; of a slope that is only bounded those of all lines that meet every set. They
        are infinite where there is no slope.
        """
        if self.slope is None or (self.slope.bounded and self.joint is None):
            return np.tile([-np.inf, np.inf], (len(x), 1))
        if self.slope.bounded and self.joint is not None:
            return np.array([values_of_lines(np.log2(self.given), self.joint, at) for at in x])
        return np.asarray(np.quantile(self.lines(x), [alpha / 2, 1 - alpha / 2], axis=0).T)

    @property
    def octaves(self) -> float:
        """Distance from the lowest to the highest identified given level."""
        passed = np.log2(self.given[self.identified])
        return float(np.ptp(passed)) if len(passed) else 0.0

    @property
    def lack_of_law(self) -> str | None:
        """What is missing for a law, as a sentence; None if there is a slope, or a curve through the optima."""
        if self.slope:
            return None
        # A curve may bend where no line meets all sets.
        return self.lack_of_curve if self.lack == _NO_LINE else self.lack or self.lack_of_curve

    @property
    def lack_of_curve(self) -> str | None:
        """What is missing for a curve through the optima, as a sentence; None if nothing is."""
        n, needed = int(self.identified.sum()), "a curve through them needs"
        if n < FEWEST_IDENTIFIED:
            return f"{n} of {len(self.given)} levels have an identified optimum; {needed} {FEWEST_IDENTIFIED}"
        if round(self.octaves, 1) < IDENTIFIED_OCTAVES:
            return f"the identified levels span {self.octaves:.1f} octaves; {needed} {IDENTIFIED_OCTAVES:g}"
        return None

    def rows(self, given: str, optimum: str) -> list[dict[str, Any]]:
        """One row for each given level, with the optimum and its set on the tuned factor's own scale.

        The end of a set is None on a side that the runs do not bound.

        Args:
            given: the name of the given factor in a row.
            optimum: the name of the optimum in a row.
        """
        closed = self.identified if self.closed is None else self.closed
        return [
            {
                given: float(level),
                "status": status,
                optimum: float(2**best),
                "ci_low": float(2**low) if both or status == "right_censored" else None,
                "ci_high": float(2**high) if both or status == "left_censored" else None,
            }
            for level, status, best, low, high, both in zip(
                self.given, self.status, self.best, self.low, self.high, closed, strict=True
            )
        ]


def ridge(surface: Surface, generator: np.random.Generator, *, alpha: float = 0.05) -> Ridge:
    """Find the set of the best tuned level at each given level, and the slope; see `ridge_of`."""
    return ridge_of(Cells.of(Runs.of(surface)), surface.given, surface.tuned, generator, alpha=alpha)


def ridge_of(
    cells: Cells, given: Floats, tuned: Floats, generator: np.random.Generator, *, alpha: float = 0.05
) -> Ridge:
    """Find the set of the best tuned level at each given level, and the slope.

    A level's own set follows from its runs alone (`unimodal.bounds`). If the sets of three levels over two octaves are
    closed, the curves of all levels are aligned (`alignment.align`), which narrows the sets and gives the slope. If the
    curves are no copies of one another, or so flat that fewer than three sets are narrower than three octaves, the
    slope is only bounded: by every line that meets the sets of all levels.

    Args:
        cells: that were run.
        given: (n_given,) levels, ascending.
        tuned: (n_tuned,) levels, ascending.
        generator: of draws from the sets.
        alpha: 1 minus the confidence of each set.
    """
    x = np.log2(given)
    levels = [Level.of(cells, each) for each in given]
    live = np.array([level.live for level in levels])
    own, strict = (
        np.array([level.own_set(each) if cells.replicated else OPEN for level in levels])
        for each in (alpha, alpha / max(int(live.sum()), 1))
    )
    lack, allowed = _lack(cells, tuned, x, np.isfinite(own).all(axis=1)), slopes_of_lines(x, strict)
    sets, slope, copies = own, None, True
    drawn, aligned = np.zeros((_DRAWS, len(given))), np.zeros(len(given), dtype=bool)
    if lack is None and allowed[0] >= allowed[1]:
        lack = _NO_LINE
    elif lack is None:
        found = align(cells.of_levels(given[live]), x[live], allowed, alpha)
        copies = found.copies
        slope = Slope.between(*(found.interval if copies else allowed), alpha, bounded=not copies)
        if copies:
            away = x - x[live].mean()
            shift = float(special.stdtrit(max(cells.n_seeds - 1, 1), 1 - alpha / 2)) * cells.common_shift
            sets, aligned = _meet(own, _aligned_sets(found, away, shift)), live
            drawn = _draws(found, slope, away, generator)
    optima = [level.optimum(ends, tuned) for level, ends in zip(levels, sets, strict=True)]
    if slope is not None and copies:
        narrow = x[[each.status == "identified" for each in optima]]
        located = len(narrow) >= FEWEST_CLOSED and round(float(np.ptp(narrow)), 1) >= CLOSED_OCTAVES
        if not located:  # the alignment is one of flanks far from the best, whose shift need not be that of the best
            slope = Slope.between(*allowed, alpha, bounded=True)
    best, low, high = np.array([(each.best, each.low, each.high) for each in optima]).T
    error = np.where(aligned, drawn.std(axis=0), (high - low) / 4)
    resampled = np.where(aligned, drawn, best + generator.normal(size=drawn.shape) * error)
    return Ridge(
        given=given, tuned=tuned, status=tuple(each.status for each in optima), best=best, standard_error=error,
        low=low, high=high, exact=aligned, resampled=resampled,
        degrees_of_freedom=max(int(cells.degrees_of_freedom), 1),
        slope=slope, lack=lack, copies=copies, closed=np.array([each.closed for each in optima]),
        joint=strict, edges=np.array([each.edges for each in optima]),
    )  # fmt: skip


def _lack(cells: Cells, tuned: Floats, x: Floats, closed: Bools) -> str | None:
    if not cells.replicated:
        return "one run a cell says nothing of the noise; a slope needs several seeds"
    octaves = float(np.ptp(np.log2(tuned)))
    if len(tuned) < FEWEST_TUNED_LEVELS or round(octaves, 1) < FEWEST_TUNED_OCTAVES:
        return (
            f"the tuned factor has {len(tuned)} levels over {octaves:.1f} octaves; "
            f"a slope needs {FEWEST_TUNED_LEVELS} over {FEWEST_TUNED_OCTAVES:g}"
        )
    n, octaves = int(closed.sum()), float(np.ptp(x[closed])) if closed.any() else 0.0
    if n < FEWEST_CLOSED:
        return (
            f"{n} of {len(closed)} levels have an optimum that is bounded on both sides; a slope needs {FEWEST_CLOSED}"
        )
    if round(octaves, 1) < CLOSED_OCTAVES:
        return (
            f"the levels with an optimum bounded on both sides span {octaves:.1f} octaves; "
            f"a slope needs {CLOSED_OCTAVES:g}"
        )
    return None


def _aligned_sets(found: Alignment, x: Floats, shift: float) -> Floats:
    """The sets of all levels from the turning points of the common curve, log₂, (n_given, 2)."""
    slopes, low, high = np.array(found.turns).T
    return np.stack([
        (low[:, None] + slopes[:, None] * x).min(axis=0) - shift,
        (high[:, None] + slopes[:, None] * x).max(axis=0) + shift,
    ], axis=1)  # fmt: skip


def _meet(own: Floats, aligned: Floats) -> Floats:
    """What both sets of a level have in common; its own where that is nothing."""
    both = np.stack([np.maximum(own[:, 0], aligned[:, 0]), np.minimum(own[:, 1], aligned[:, 1])], axis=1)
    return np.where((both[:, 0] < both[:, 1])[:, None], both, own)


def _draws(found: Alignment, slope: Slope, x: Floats, generator: np.random.Generator) -> Floats:
    """Optima of all levels that belong together, log₂, (n_draws, n_given)."""
    slopes, low, high = np.array(found.turns).T
    drawn = np.clip(generator.normal(slope.slope, slope.standard_error, _DRAWS), slope.ci_low, slope.ci_high)
    ends = [np.interp(drawn, slopes, np.clip(end, -1e3, 1e3)) for end in (low, high)]
    turn = (ends[0] + ends[1]) / 2 + generator.normal(size=_DRAWS) * (ends[1] - ends[0]) / 4
    return np.asarray(turn[:, None] + drawn[:, None] * x)
