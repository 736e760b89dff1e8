"""Which further runs would settle an inconclusive verdict, read off the runs that there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchlaw.claims.evidence import Direction
from batchlaw.claims.reasons import closed, octaves, plural
from batchlaw.stats.levels import WIDEST_OCTAVES, Level
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
_SAFE = 1.2  # times that an interval should be narrower than it must
_BESIDE = 2.0  # octaves of tuned levels beside an optimum
_STEEP = 7.0  # standard errors between the best cell and a neighbour: there the spacing is the limit, not the noise
_FINEST = 0.4  # octaves between levels: a finer grid is not advised
_COARSE = WIDEST_OCTAVES / 2 - 1e-6  # a set is two spacings wide at least, and then too wide to identify an optimum
_WIDE = 2.5  # spacings: a set that is wider is limited by the noise, as the narrowest are two wide


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Runs that would settle a verdict. A part that is 0 or None leaves the design as it is."""

    below: int = 0  # octaves of the tuned factor below the levels tried
    above: int = 0  # octaves above them
    given_below: int = 0  # octaves of the given factor below the levels tried
    given_above: int = 0
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
        given, ends = (
            plural(side.given_name),
            side.ridge.given[[0, -1]] * 2.0 ** np.array([-self.given_below, self.given_above]),
        )
        if self.given_below:
            parts.append(f"{given} down to {ends[0]:.3g}, {octaves(self.given_below)} below those tried")
        if self.given_above:
            parts.append(f"{given} up to {ends[1]:.6g}, {octaves(self.given_above)} above those tried")
        if self.spacing:
            apart = {0.5: "half an octave", 0.25: "a quarter of an octave"}.get(self.spacing)
            parts.append(f"{tuned} {apart or octaves(self.spacing)} apart")
        if self.seeds:
            each = "seeds" if side.surface.paired else "runs of each cell"
            parts.append(f"{self.seeds} {each} in place of {side.surface.n_replicates}")
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
        return _more(side, 2.0, Advice()) if side.grid is None else Advice(seeds=_FIRST_SEEDS)
    found, places = _Open.of(side), np.unique(side.cells.place)
    span = float(np.ptp(places))
    few = len(places) < FEWEST_TUNED_LEVELS or round(span, 1) < FEWEST_TUNED_OCTAVES
    below, above = found.extension(slope)
    if few and not below + above:
        below = above = _FEWEST_OCTAVES // 2
    wanted = max(FEWEST_CLOSED, int(np.ceil(share * len(found.x))))
    noisy = np.sort(found.factors[np.isfinite(found.factors)])
    factor = float(noisy[min(wanted, len(noisy)) - 1]) if len(noisy) else 1.0
    factor *= _SAFE if factor > 1 else 1.0
    bounded = found.x[found.factors <= 1]
    short = len(found.x) < FEWEST_CLOSED or (len(bounded) >= FEWEST_CLOSED and np.ptp(bounded) < CLOSED_OCTAVES)
    given, spacing = _FEWEST_OCTAVES if short else 0, None
    if found.spacing > _COARSE:
        spacing, factor = _finer(found.spacing), 1.0
    elif factor <= 1 and not below + above + given and not found.noisy:
        spacing = _finer(found.spacing)  # every optimum is bounded, but not narrowly
    advice = _with_given(side, Advice(below=below, above=above, spacing=spacing), given, slope)
    return _more(side, max(factor, 2.0) if advice == Advice() else factor, advice)


def of_lack(side: Direction, slope: float) -> Advice:
    """What would give a slope where there is none; `slope` is what the hypothesis expects."""
    x, places = np.log2(side.ridge.given)[closed(side)], np.unique(side.cells.place)
    enough = len(places) >= FEWEST_TUNED_LEVELS and round(float(np.ptp(places)), 1) >= FEWEST_TUNED_OCTAVES
    if enough and len(x) >= FEWEST_CLOSED and round(float(np.ptp(x)), 1) >= CLOSED_OCTAVES:
        given = plural(side.given_name)
        return Advice(
            hopeless=f"nothing of this kind: the optima lie on no one line; fewer {given} at a time may have one"
        )
    return of_optima(side, slope=slope)


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
    # By how much the interval must narrow, and what each part of the advice does to it, in turn, until that is enough.
    times = _SAFE * half / max(away, margin / 3)
    found, spacing, factor, given = _Open.of(side), None, 1.0, 0
    below, above = found.extension(slope.slope)
    inner = found.x[~(found.at_low | found.at_high)]
    if below + above and len(inner) > 1:
        times /= np.ptp(found.x) / max(float(np.ptp(inner)), 1.0)
    if times > 1 and found.noisy:
        factor = min(max(times**2, 1.5), _MOST_SEEDS)
        times /= np.sqrt(factor)
    elif times > 1 and (spacing := _finer(found.spacing)):
        times /= 2
    if times > 1:
        span = float(np.ptp(found.x))
        given = int(np.clip(np.ceil(span * (times - 1)), _FEWEST_OCTAVES, _MOST_OCTAVES))
    advice = _with_given(side, Advice(below=below, above=above, spacing=spacing), given, slope.slope)
    return _more(side, max(factor, 2.0) if advice == Advice() else factor, advice)


def _more(side: Direction, factor: float, advice: Advice) -> Advice:
    """The advice with so many times the runs of a cell."""
    if factor <= 1:
        return advice
    factor = min(factor, _MOST_SEEDS)
    if side.grid is None:
        return replace(advice, runs=int(np.ceil(factor * side.n_runs)))
    return replace(advice, seeds=int(np.ceil(factor * side.grid.n_replicates)))


def _finer(spacing: float) -> float | None:
    """A smaller spacing, octaves: one, a half or a quarter; None if the levels are as near as that."""
    if spacing > _COARSE:
        return 1.0
    return None if spacing < _FINEST else min(round(spacing / 2, 2), 0.5)


def _with_given(side: Direction, advice: Advice, given: int, slope: float) -> Advice:
    """The advice with octaves of further given levels, and the tuned levels that their optima need.

    They are shared out between the ends, unless the optima of one end would lie where there are no levels.
    """
    lowest, highest = float(side.cells.place.min()), float(side.cells.place.max())
    room = {"below": _room(side.tuned_name, lowest), "above": float(_MOST_OCTAVES)}
    advice = replace(advice, below=int(min(advice.below, room["below"])))
    if not given:
        return advice
    live = np.array([status not in ("diverged", "missing") for status in side.ridge.status])
    best = side.ridge.best[live][[0, -1]]
    ends: dict[str, float] = {}  # octaves that the tuned levels lack at each end; negative: there are more
    for end, start, sign in (("given_below", best[0], -1), ("given_above", best[1], 1)):
        optimum = start + sign * slope * given / 2
        lacking = {"below": lowest + _BESIDE - optimum, "above": optimum + _BESIDE - highest}
        fits = all(lacking[edge] <= room[edge] for edge in room)
        if fits and (sign > 0 or given <= 2 * _room(side.given_name, float(np.log2(side.ridge.given[0])))):
            ends[end] = optimum
    if not ends:
        ends["given_above"] = float(best[1] + slope * given)
    each = int(np.ceil(given / len(ends)))
    needed = (lowest + _BESIDE - min(ends.values()), max(ends.values()) + _BESIDE - highest)
    below, above = (int(np.clip(np.ceil(lack), 0, room[edge])) for edge, lack in zip(room, needed, strict=True))
    return replace(
        advice, below=max(below, advice.below), above=max(above, advice.above),
        given_below=each if "given_below" in ends else 0, given_above=each if "given_above" in ends else 0,
    )  # fmt: skip


def _room(name: str, lowest: float) -> float:
    """The octaves below the lowest level, log₂, at which there can be levels: no batch has less than one example."""
    return max(min(float(np.floor(lowest)), _MOST_OCTAVES), 0.0) if name == "batch size" else float(_MOST_OCTAVES)


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
        inner, steep = ~edge.any(axis=1), np.array([row[4] for row in rows])
        noisy = bool(
            spacing < _COARSE and inner.any() and np.median(widths[inner]) > _WIDE and np.quantile(steep, 0.25) < _STEEP
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


def _needs(level: Level, alpha: float) -> tuple[float, float, float, float, float]:
    """What a level needs to be bounded, and how well it is.

    Returns:
        The times of runs with which it would be bounded below and above; its best place; the width of its set; and how
        many standard errors lie between the best cell and the neighbour that is further from it.
    """
    low, high = level.own_set(alpha)
    top = int(np.where(level.dead, -np.inf, level.means).argmax())
    means, variance = level.means, np.maximum(level.variances + level.variances[top], np.finfo(float).tiny)
    apart = (means[top] - means) / np.sqrt(variance)  # standard errors
    factors = []
    for bound, beyond in ((low, apart[:top]), (high, apart[top + 1 :])):
        factor = 1.0 if np.isfinite(bound) else np.inf
        if len(beyond) and not np.isfinite(bound):
            factor = max((_TOLD / max(float(beyond.max()), 1e-9)) ** 2, 1.1)
        factors.append(factor if factor <= 2 * _MOST_SEEDS else np.inf)
    beside = [float(apart[at]) for at in (top - 1, top + 1) if 0 <= at < len(apart)]
    return factors[0], factors[1], float(level.places[top]), high - low, max(beside, default=0.0)
