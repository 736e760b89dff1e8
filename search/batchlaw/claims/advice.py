"""Which further runs would settle an inconclusive verdict, read off the runs that there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchlaw.claims.evidence import Direction
from batchlaw.claims.reasons import octaves, plural
from batchlaw.stats.levels import Level
from batchlaw.stats.optimum import (
    CLOSED_OCTAVES,
    FEWEST_CLOSED,
    FEWEST_TUNED_LEVELS,
    FEWEST_TUNED_OCTAVES,
)
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Floats

# Assumptions, measured as a whole by `tests/benchmarks/claim_advice.py`.
_TOLD = 3.5  # standard errors at which two cells are told apart, roughly; see `unimodal.bounds`
_FIRST_SEEDS = 5  # where there was one
_MOST_SEEDS = 4.0  # times as many, in one round
_FEWEST_OCTAVES, _MOST_OCTAVES = 2, 4  # of an extension in one round
_CLOSED_SHARE = 0.6  # of the levels, that should have an optimum bounded on both sides
_NARROW, _NEAR = 0.4, 0.5  # half an interval over the margin, and the distance of a border over that half
_FINEST = 0.3  # octaves between levels: a finer grid is not advised
_WIDE = 2.5  # spacings: a set that is wider is limited by the noise, as the narrowest are two wide


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Runs that would settle a verdict. A part that is 0 or None leaves the design as it is."""

    below: int = 0  # octaves of the tuned factor below the levels tried
    above: int = 0  # octaves above them
    given: int = 0  # octaves of the given factor beside the levels tried, half of them at either end
    seeds: int | None = None  # of every cell, in all
    runs: int | None = None  # of an adaptive design, in all
    spacing: float | None = None  # octaves between the tuned levels
    missing: bool = False  # the runs that have no score
    hopeless: str | None = None  # why no runs of this kind would

    def sentence(self, side: Direction) -> str:
        """The advice in words, for the direction that it was made for."""
        if self.hopeless:
            return self.hopeless
        lowest, highest = 2.0 ** np.array([side.cells.place.min(), side.cells.place.max()])  # with a score
        tuned, parts = plural(side.tuned_name), ["the runs whose scores are missing"] if self.missing else []
        if self.below:
            parts.append(f"{tuned} down to {lowest / 2**self.below:.3g}, {octaves(self.below)} below those tried")
        if self.above:
            parts.append(f"{tuned} up to {highest * 2**self.above:.6g}, {octaves(self.above)} above those tried")
        if self.given:
            parts.append(f"{plural(side.given_name)} over {octaves(self.given)} more, at both ends")
        if self.spacing:
            apart = {0.5: "half an octave", 0.25: "a quarter of an octave"}.get(self.spacing)
            parts.append(f"{tuned} {apart or octaves(self.spacing)} apart")
        if self.seeds:
            parts.append(f"{self.seeds} seeds in place of {side.surface.n_replicates}")
        if self.runs:
            parts.append(f"{self.runs} runs in place of {side.n_runs}")
        return ", and ".join(parts)


def of_optima(side: Direction, share: float = _CLOSED_SHARE, *, slope: float = 1.0) -> Advice:
    """What would bound the optima of a share of the given levels on both sides.

    Args:
        side: the direction.
        share: of the given levels.
        slope: that the hypothesis expects, octaves an octave.
    """
    if not side.cells.replicated:
        return Advice(seeds=_FIRST_SEEDS)
    found, places = _Open.of(side), np.unique(side.cells.place)
    span = float(np.ptp(places))
    few = len(places) < FEWEST_TUNED_LEVELS or round(span, 1) < FEWEST_TUNED_OCTAVES
    below, above = found.extension(slope)
    if few and not below + above:
        below = above = _FEWEST_OCTAVES // 2
    wanted = max(FEWEST_CLOSED, int(np.ceil(share * len(found.x))))
    noisy = np.sort(found.factors[np.isfinite(found.factors)])
    factor = float(noisy[min(wanted, len(noisy)) - 1]) if len(noisy) else 1.0
    closed = found.x[found.factors <= 1]
    short = len(found.x) < FEWEST_CLOSED or (len(closed) >= FEWEST_CLOSED and np.ptp(closed) < CLOSED_OCTAVES)
    given, spacing = _FEWEST_OCTAVES if short else 0, None
    if factor <= 1 and not below + above + given:
        # Every optimum is bounded, by sets that are too wide: by the noise, or by the spacing.
        spacing = None if found.noisy else _finer(found.spacing)
        factor = 1.0 if spacing else 2.0
    return _more(side, factor, _with_room(side, Advice(below=below, above=above, given=given, spacing=spacing), slope))


def of_slope(side: Direction, slope: Slope, borders: Sequence[float], margin: float) -> Advice:
    """What would move the whole interval of a slope to one side of every border.

    Args:
        side: the direction.
        slope: of it.
        borders: of the verdicts, ascending.
        margin: of the hypothesis.
    """
    half = (slope.ci_high - slope.ci_low) / 2
    crossed = [border for border in borders if slope.ci_low <= border <= slope.ci_high]
    away = min(abs(slope.slope - border) for border in crossed or borders)
    if half <= _NARROW * margin and away < _NEAR * half:
        border = min(crossed or borders, key=lambda each: abs(slope.slope - each))
        return Advice(
            hopeless=f"nothing of this kind: the slope lies at the border of the band, {border:g}, however narrow its "
            "interval"
        )
    times = half / max(away, margin / 3) * 1.1
    found = _Open.of(side)
    below, above = found.extension(slope.slope)
    factor = min(max(times**2, 1.5), _MOST_SEEDS) if found.noisy else 1.0
    spacing = None if found.noisy else _finer(found.spacing)
    left = times / (np.sqrt(factor) if found.noisy else 2 if spacing else 1)  # what more given levels must do
    span = float(np.ptp(np.log2(side.ridge.given)))
    given = int(np.clip(np.ceil(span * (left - 1)), _FEWEST_OCTAVES, _MOST_OCTAVES)) if left > 1 else 0
    advice = Advice(below=below, above=above, given=given, spacing=spacing)
    return _more(side, factor, _with_room(side, advice, slope.slope))


def _more(side: Direction, factor: float, advice: Advice) -> Advice:
    """The advice with so many times the runs of a cell."""
    if factor <= 1:
        return advice
    factor = min(factor, _MOST_SEEDS)
    if side.grid is None:
        return replace(advice, runs=int(np.ceil(factor * side.n_runs)))
    return replace(advice, seeds=int(np.ceil(factor * side.grid.n_replicates)))


def _finer(spacing: float) -> float | None:
    """Half the spacing, where that is not too fine; half an octave at most."""
    return None if spacing < 2 * _FINEST * 0.8 else min(round(spacing / 2, 2), 0.5)


def _with_room(side: Direction, advice: Advice, slope: float) -> Advice:
    """With tuned levels for the optima at further given levels."""
    if not advice.given:
        return advice
    live = np.array([status not in ("diverged", "missing") for status in side.ridge.status])
    best, reach = side.ridge.best[live], slope * advice.given / 2
    ends, places = (best[0] - reach, best[-1] + reach), side.cells.place
    below, above = (
        int(np.clip(np.ceil(room), 0, _MOST_OCTAVES))
        for room in (places.min() + 2 - min(ends), max(ends) + 2 - places.max())
    )
    return replace(advice, below=max(below, advice.below), above=max(above, advice.above))


@dataclass(frozen=True, eq=False)
class _Open:
    """The levels that have runs, and what each lacks to be bounded on both sides."""

    x: Floats  # (n,) log₂ of the given levels
    tops: Floats  # (n,) log₂ of the best cell
    factors: Floats  # (n,) times the runs with which the noise would leave it bounded; inf if an edge is in the way
    at_low: Bools  # (n,) nothing bounds it below, and more runs would not: it is best at the lowest level or near it
    at_high: Bools  # (n,)
    spacing: float  # octaves between tuned levels
    noisy: bool  # the noise limits the sets, not the spacing

    @classmethod
    def of(cls, side: Direction) -> "_Open":
        levels = [(float(np.log2(each)), Level.of(side.cells, each)) for each in side.ridge.given]
        levels = [(x, level) for x, level in levels if level.live]
        rows = [_needs(level, side.alpha) for _, level in levels]
        spacing = float(
            np.median(np.concatenate([[1.0]] if not levels else [np.diff(level.places) for _, level in levels]))
        )
        factors = np.array([row[:2] for row in rows]).reshape(-1, 2)
        edge = np.isinf(factors)
        widths = np.array([row[3] for row in rows]) / spacing
        noisy = np.median(np.where(np.isfinite(widths), widths, np.inf)) > _WIDE and bool(
            ((factors.max(axis=1) > 1) & ~edge.any(axis=1)).any() or (np.isfinite(widths) & (widths > _WIDE)).any()
        )
        return cls(
            np.array([x for x, _ in levels]), np.array([row[2] for row in rows]), factors.max(axis=1),
            edge[:, 0], edge[:, 1], spacing, noisy,
        )  # fmt: skip

    def extension(self, slope: float) -> tuple[int, int]:
        """The octaves to add below and above the tuned levels, where optima lie at those edges."""
        inner = ~(self.at_low | self.at_high)
        if inner.sum() >= FEWEST_CLOSED and np.ptp(self.x[inner]) > 0:
            slope = float(np.polyfit(self.x[inner], self.tops[inner], 1)[0])
        found = []
        for edge in (self.at_low, self.at_high):
            span = float(np.ptp(self.x[edge])) if edge.any() else 0.0
            wanted = int(np.clip(np.ceil(abs(slope) * span + 1), _FEWEST_OCTAVES, _MOST_OCTAVES))
            found.append(wanted if edge.sum() >= 0.2 * len(edge) else 0)
        return found[0], found[1]


def _needs(level: Level, alpha: float) -> tuple[float, float, float, float]:
    """The times of runs with which a level would be bounded below and above, its best place, and its set's width."""
    low, high = level.own_set(alpha)
    top = int(np.where(level.dead, -np.inf, level.means).argmax())
    factors = []
    for bound, side in ((low, slice(None, top)), (high, slice(top + 1, None))):
        if np.isfinite(bound):
            factors.append(1.0)
            continue
        beyond = np.arange(len(level.means))[side]
        if not len(beyond):
            factors.append(np.inf)
            continue
        variance = level.covariance[top, top] + np.diag(level.covariance)[beyond] - 2 * level.covariance[top, beyond]
        t = float(((level.means[top] - level.means[beyond]) / np.sqrt(np.maximum(variance, 1e-300))).max())
        factor = max((_TOLD / max(t, 1e-9)) ** 2, 1.1)
        factors.append(factor if factor <= 2 * _MOST_SEEDS else np.inf)
    return factors[0], factors[1], float(level.places[top]), high - low
