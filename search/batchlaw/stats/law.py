"""The law by which the best learning rate moves with the batch size: its curve, its exponent and where it bends."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import special

from batchlaw.stats.censored import Fit, Observations, fit
from batchlaw.stats.curves import LINE, Curve
from batchlaw.stats.lines import values_of_lines
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats

_PROFILE_STEP = 0.05  # octaves
_NEWTON_STEPS = 20
_NEAR_AN_EDGE = 1.01  # octaves
FEWEST_LEFT = 3  # identified levels that a fit needs after one is left out


@dataclass(frozen=True)
class CriticalBatchSize:
    """The batch size at which a curve bends, in examples, with its profile interval."""

    value: float
    ci_low: float | None  # None if the data allow any smaller value
    ci_high: float | None  # None if the data allow any larger value

    @property
    def known(self) -> bool:
        """Whether the data bound it on both sides."""
        return self.ci_low is not None and self.ci_high is not None


@dataclass(frozen=True, eq=False)
class FittedLaw:
    """The best learning rate ε_opt as a function of the batch size B, from one ridge."""

    ridge: Ridge  # B is given, ε is tuned
    fit: Fit  # the preferred one of the next two
    line: Fit
    bent: Fit | None  # None with too few identified optima for a curve
    exponent: Slope  # octaves per octave: the ridge's, or the line's where the ridge has none
    critical_batch_size: CriticalBatchSize | None  # of the bent curve
    errors: dict[str, float]  # by curve: root mean square error of predicting a level that was left out, octaves
    alpha: float  # 1 minus the confidence of all intervals

    @property
    def seen(self) -> tuple[float, float]:
        """The smallest and the largest batch size with an optimum that is bounded on both sides."""
        data = Observations.of(self.ridge)
        closed = np.isfinite(data.low) & np.isfinite(data.high)
        given = self.ridge.given[data.rows[closed if closed.any() else slice(None)]]
        return float(given[0]), float(given[-1])

    def mean(self, x: Floats) -> Floats:
        """The log₂ of the best learning rate at log₂ batch sizes x (n,), (n,); it may be one that diverges."""
        return self.ridge.lines(x).mean(axis=0) if self._aligned else self.fit.mean(x)

    def _interval(self, x: Floats) -> tuple[float, float]:
        """The log₂ of the ends of the interval of an optimum at x (1,)."""
        if self.ridge.slope and not self.fit.curve.bends:
            band = self.ridge.band(x, self.alpha)[0]
            sets = self._sets(x) if self._aligned else band
            low, high = np.where(np.isfinite(sets), sets, band).tolist()
            return low, high
        lows, highs = self.fit.interval(x, self.alpha)
        return float(lows[0]), float(highs[0])

    def _sets(self, x: Floats) -> Floats:
        """The log₂ of the ends that the sets of the nearest batch sizes leave an optimum at x (1,), (2,)."""
        data = Observations.of(self.ridge)
        above = int(np.searchsorted(data.x, x[0]))
        if above < len(data.x) and data.x[above] == x[0]:
            return np.array([data.low[above], data.high[above]])
        if above in (0, len(data.x)):  # beyond those tried the last set moves by every slope of the interval
            last, slope = min(above, len(data.x) - 1), self.exponent
            moves = (x[0] - data.x[last]) * np.array([slope.ci_low, slope.ci_high])
            return np.array([data.low[last] + moves.min(), data.high[last] + moves.max()])
        near = slice(above - 1, above + 1)
        return np.array(values_of_lines(data.x[near], np.stack([data.low[near], data.high[near]], axis=1), float(x[0])))

    @property
    def _aligned(self) -> bool:
        """Whether it is the line along which the curves of all batch sizes are copies of one."""
        slope = self.ridge.slope
        return slope is not None and not slope.bounded and not self.fit.curve.bends

    @property
    def unstable_bend(self) -> bool:
        """Whether the curve bends because of divergence.

        On one side of its bend most optima lie within an octave of the last rate that trains. Where they turn away from
        that edge the curve bends, which says nothing of noise.
        """
        ridge, data = self.ridge, self.fit.observations
        if ridge.edges is None or not self.fit.curve.bends:
            return False
        rows = data.rows[data.exact | ridge.identified[data.rows]]
        last = ridge.edges[rows, 1, 0]
        at_edge = ridge.best[rows] > last - _NEAR_AN_EDGE
        above = np.log2(ridge.given[rows]) > self.fit.parameters[1]
        return any(at_edge[side].mean() > 0.5 for side in (above, ~above) if side.any())

    def reaches(self, batch_size: float) -> bool:
        """Whether it says something of a batch size: of one beyond those that were seen only with an exponent."""
        low, high = self.seen
        return low <= batch_size <= high or self.fit.curve.bends or not self.exponent.undetermined

    def predict(self, batch_size: float) -> tuple[float, float, float]:
        """The best learning rate at a batch size, with the ends of the prediction interval of a single optimum.

        The rate is one that trains, as far as the nearest batch sizes tell. The interval may reach up to the first rate
        that diverges there, since the optimum may lie between that and the last one that trains.
        """
        x = np.array([np.log2(batch_size)])
        down, up = (_edge(self.ridge, self.mean, x, side) for side in (0, 1))
        low, high = np.clip(self._interval(x), down[1], up[1])
        value = np.clip(np.clip(self.mean(x)[0], low, high), down[0], up[0])
        return float(2**value), float(2 ** min(low, value)), float(2 ** max(high, value))

    def last_stable(self, batch_size: float) -> float:
        """The highest rate that trains at a batch size, as far as the nearest ones tell; inf where none diverged."""
        return float(2 ** _edge(self.ridge, self.mean, np.array([np.log2(batch_size)]), 1)[0])


def law_of(ridge: Ridge, bending: Curve, *, alpha: float = 0.05) -> FittedLaw:
    """Fit a line and a curve that bends, and prefer the line unless the other predicts better.

    Each identified batch size is left out in turn and predicted from the others. The bent curve is preferred if its
    squared errors are smaller by more than one standard error of their paired difference, and if the data bound its
    critical batch size on both sides. A curve that bends elsewhere is a line here. With too few identified optima for
    this it is a line.

    Args:
        ridge: ε_opt at each batch size, whose `lack_of_law` is None.
        bending: the curve beside the line.
        alpha: 1 minus the confidence of all intervals.
    """
    line = fit(ridge, LINE)
    if ridge.lack_of_curve:
        return FittedLaw(
            ridge=ridge, fit=line, line=line, bent=None, exponent=ridge.slope or slope_of(line, alpha),
            critical_batch_size=None, errors={}, alpha=alpha,
        )  # fmt: skip
    bent = fit(ridge, bending)
    missed = {found.curve.name: _missed(found, ridge) for found in (line, bent)}
    gain = missed[LINE.name] ** 2 - missed[bending.name] ** 2
    critical = _critical_batch_size(bent, alpha)
    clear = len(gain) > 1 and gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    return FittedLaw(
        ridge=ridge,
        fit=bent if clear and critical.known else line,
        line=line,
        bent=bent,
        exponent=ridge.slope or slope_of(line, alpha),
        critical_batch_size=critical,
        errors={name: float(np.sqrt((errors**2).mean())) if len(errors) else np.nan for name, errors in missed.items()},
        alpha=alpha,
    )


def _edge(ridge: Ridge, mean: Callable[[Floats], Floats], x: Floats, side: int) -> Floats:
    """The log₂ of the last rate at x (1,) that trains and of the first that diverges, (2,); 0 is down and 1 up.

    Between two batch sizes with an edge it is interpolated. Elsewhere the nearest edge moves as the law does, or as the
    edges do on average, whichever leaves fewer rates.

    Args:
        ridge: ε_opt at each batch size.
        mean: of the law, at log₂ batch sizes.
        x: log₂ of a batch size.
        side: which edge.
    """
    sign, edges, places = 2 * side - 1, ridge.edges, np.log2(ridge.given)
    live = ~np.isin(ridge.status, ("diverged", "missing"))
    if edges is None or not live.any():
        return np.full(2, sign * np.inf)
    edges, places = edges[live, side], places[live]
    below, above = np.flatnonzero(places <= x), np.flatnonzero(places >= x)
    near = [rows[at] for rows, at in ((below, -1), (above, 0)) if len(rows)]
    known = np.isfinite(edges[:, 0])
    if len(near) == 2 and known[near].all():
        return np.array([np.interp(x[0], places[near], end) for end in edges[near].T])
    found = np.full(2, np.inf)
    for row in (row for row in near if known[row]):
        moves = [mean(x)[0] - mean(places[[row]])[0]]
        if known.sum() > 1:
            moves.append(np.polyfit(places[known], edges[known, 0], 1)[0] * (x[0] - places[row]))
        found = np.minimum(found, sign * edges[row] + min(sign * move for move in moves))
    return sign * found


def without(ridge: Ridge, row: int) -> Ridge:
    """The ridge without one given level."""
    kept = np.arange(len(ridge.given)) != row
    arrays = ("given", "best", "standard_error", "low", "high", "exact", "closed", "joint", "edges")
    return replace(
        ridge,
        status=tuple(status for status, keep in zip(ridge.status, kept, strict=True) if keep),
        resampled=ridge.resampled[:, kept],
        **{name: values[kept] for name in arrays if (values := getattr(ridge, name)) is not None},
    )


def left_out(ridge: Ridge, curve: Curve, near: Floats, scatter: float) -> Floats:
    """The optimum at each given level as predicted by a curve through the other levels, log₂, (n_given,).

    As in a prediction, it is no rate that diverges as far as the nearest of the other levels tell.

    Args:
        ridge: with four identified levels or more.
        curve: to fit.
        near: its parameters (2,) on all levels, where the search begins.
        scatter: τ on all levels, octaves; it sets the weights of the other levels.
    """
    predicted = []
    for row, x in enumerate(np.log2(ridge.given)):
        others = without(ridge, row)
        rest = Observations.of(others)
        spread = np.sqrt(rest.error**2 + scatter**2)
        parameters = rest.newton(curve, near, rest.y[None], spread)
        mean, at = partial(_mean, curve, parameters), np.array([x])
        down, up = (_edge(others, mean, at, side)[0] for side in (0, 1))
        predicted.append(np.clip(mean(at)[0], down, up))
    return np.array(predicted)


def _mean(curve: Curve, parameters: Floats, x: Floats) -> Floats:
    return np.asarray(curve.mean(parameters, x)[0])


def slope_of(line: Fit, alpha: float) -> Slope:
    """The slope of a fitted line."""
    variance, degrees_of_freedom = line.second()
    return Slope.of(line.parameters[1], variance**0.5, degrees_of_freedom, alpha)


def _missed(found: Fit, ridge: Ridge) -> Floats:
    """The error of predicting each identified optimum from the other levels, octaves, (n_identified,)."""
    if ridge.identified.sum() <= FEWEST_LEFT:
        return np.array([])
    predicted = left_out(ridge, found.curve, found.parameters, found.scatter)
    return np.asarray((predicted - ridge.best)[ridge.identified])


def _critical_batch_size(found: Fit, alpha: float) -> CriticalBatchSize:
    """The critical batch size with its profile interval.

    If a bend far away fits as well, the profile of the likelihood never falls below its limit on that side, and the
    interval is open there; a standard error could not say so. The limit is that of Student's t, multiplied by the ratio
    of the variance over draws of the optima to the variance that the likelihood implies (Kent 1982).
    """
    data, curve, center = found.observations, found.curve, float(found.parameters[1])
    spread = np.sqrt(data.error**2 + found.scatter**2)
    low, high = curve.bounds(data.x)
    bends = np.unique(np.append(np.arange(low, high, _PROFILE_STEP), center))
    shapes = curve.shape(bends, data.x)
    shifts = np.full(len(bends), found.parameters[0])
    shifts += np.average(data.y - shapes - shifts[:, None], axis=1, weights=data.exact + 0.01)
    for _ in range(_NEWTON_STEPS):
        score, weight, _ = data.derivatives(np.tile(data.y, (len(bends), 1)), shifts[:, None] + shapes, spread)
        shifts += np.clip(score.sum(axis=1) / weight.sum(axis=1), -1.0, 1.0)
    profile = data.log_likelihood(shifts[:, None] + shapes, spread)
    variance, degrees_of_freedom = found.second()
    assumed = float(data.covariance(curve, found.parameters, spread)[1, 1])
    reach = float(special.stdtrit(degrees_of_freedom, 1 - alpha / 2))
    limit = profile[bends == center][0] - variance / assumed * reach**2 / 2
    below = bends[bends <= center][::-1], profile[bends <= center][::-1]
    above = bends[bends >= center], profile[bends >= center]
    ends = [_crossing(*side, limit) for side in (below, above)]
    return CriticalBatchSize(2**center, *(None if end is None else 2**end for end in ends))


def _crossing(bends: Floats, profile: Floats, limit: float) -> float | None:
    """The log₂ batch size where a profile, going outwards, first falls below its limit; None if it never does."""
    past = np.flatnonzero(profile < limit)
    if not len(past):
        return None
    before, after = past[0] - 1, past[0]
    share = (profile[before] - limit) / (profile[before] - profile[after])
    return float(bends[before] + share * (bends[after] - bends[before]))
