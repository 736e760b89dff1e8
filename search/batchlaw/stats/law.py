"""The law by which the best learning rate moves with the batch size: its curve, its exponent and where it bends."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from batchlaw.stats.censored import Fit, Observations, fit
from batchlaw.stats.curves import LINE, Curve
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats

_PROFILE_STEP = 0.05  # octaves
_NEWTON_STEPS = 20
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
    bent: Fit
    exponent: Slope  # octaves per octave: the ridge's, or the line's where the ridge has none
    critical_batch_size: CriticalBatchSize  # of the bent curve
    errors: dict[str, float]  # by curve: root mean square error of predicting a level that was left out, octaves
    alpha: float  # 1 minus the confidence of all intervals

    @property
    def seen(self) -> tuple[float, float]:
        """The smallest and the largest batch size with an identified optimum."""
        given = self.ridge.given[self.ridge.identified]
        return float(given[0]), float(given[-1])

    def predict(self, batch_size: float) -> tuple[float, float, float]:
        """The best learning rate at a batch size, with the ends of the prediction interval of a single optimum."""
        x = np.array([np.log2(batch_size)])
        low, high = self.fit.interval(x, self.alpha)
        most = self._ceiling(x)
        return tuple(float(2 ** min(end, most)) for end in (self.fit.mean(x)[0], low[0], high[0]))  # type: ignore[return-value]

    def _ceiling(self, x: Floats) -> float:
        """The log₂ of the highest learning rate at x (1,) that does not diverge, from the nearest batch sizes tried."""
        if self.ridge.ceiling is None:
            return np.inf
        stable = self.ridge.tried  # of the other batch sizes no rate is known to be stable
        places, ceiling = np.log2(self.ridge.given[stable]), self.ridge.ceiling[stable]
        below, above = np.flatnonzero(places <= x), np.flatnonzero(places >= x)
        near = [side[at] for side, at in ((below, -1), (above, 0)) if len(side)]
        if len(near) == 2 and np.isfinite(ceiling[near]).all():
            return float(np.interp(x[0], places[near], ceiling[near]))
        # Beyond the batch sizes tried, or beside one at which nothing diverged, it moves as the law does.
        moved = [ceiling[row] + self.fit.mean(x)[0] - self.fit.mean(places[[row]])[0] for row in near]
        return float(min(moved))


def law_of(ridge: Ridge, bending: Curve, *, alpha: float = 0.05) -> FittedLaw:
    """Fit a line and a curve that bends, and prefer the line unless the other predicts better.

    Each identified batch size is left out in turn and predicted from the others. The bent curve is preferred if its
    squared errors are smaller by more than one standard error of their paired difference, and if the data bound its
    critical batch size on both sides. A curve that bends elsewhere is a line here.

    Args:
        ridge: ε_opt at each batch size, with three identified levels or more (its `lack_of_law` is None).
        bending: the curve beside the line.
        alpha: 1 minus the confidence of all intervals.
    """
    fits = {curve.name: fit(ridge, curve) for curve in (LINE, bending)}
    line, bent = fits[LINE.name], fits[bending.name]
    missed = {found.curve.name: _missed(found, ridge) for found in (line, bent)}
    gain = missed[LINE.name] ** 2 - missed[bending.name] ** 2
    critical = _critical_batch_size(bent, alpha)
    clear = len(gain) > 1 and gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    return FittedLaw(
        ridge=ridge,
        fit=bent if clear and critical.known else line,
        line=line,
        bent=bent,
        exponent=ridge.slope or _slope_of(line, alpha),
        critical_batch_size=critical,
        errors={name: float(np.sqrt((errors**2).mean())) if len(errors) else np.nan for name, errors in missed.items()},
        alpha=alpha,
    )


def without(ridge: Ridge, row: int) -> Ridge:
    """The ridge without one given level."""
    kept = np.arange(len(ridge.given)) != row
    arrays = ("given", "best", "standard_error", "low", "high", "exact")
    return replace(
        ridge,
        status=tuple(status for status, keep in zip(ridge.status, kept, strict=True) if keep),
        resampled=ridge.resampled[:, kept],
        ceiling=None if ridge.ceiling is None else ridge.ceiling[kept],
        **{name: getattr(ridge, name)[kept] for name in arrays},
    )


def left_out(ridge: Ridge, curve: Curve, near: Floats, scatter: float) -> Floats:
    """The optimum at each given level as predicted by a curve through the other levels, log₂, (n_given,).

    Args:
        ridge: with four identified levels or more.
        curve: to fit.
        near: its parameters (2,) on all levels, where the search begins.
        scatter: τ on all levels, octaves; it sets the weights of the other levels.
    """
    predicted = []
    for row, x in enumerate(np.log2(ridge.given)):
        rest = Observations.of(without(ridge, row))
        spread = np.sqrt(rest.error**2 + scatter**2)
        parameters = rest.newton(curve, near, rest.y[None], spread)
        predicted.append(curve.mean(parameters, np.array([x]))[0, 0])
    return np.array(predicted)


def _slope_of(line: Fit, alpha: float) -> Slope:
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
    of the variance of the bootstraps to the variance that the likelihood implies (Kent 1982).
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
