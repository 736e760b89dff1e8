"""The law by which the best learning rate moves with the batch size: which curve, how sure, and where it bends."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from batchlaw.stats.censored import Fit, Observations, fit
from batchlaw.stats.curves import LINE, Curve
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats

_PROFILE_STEP = 0.05  # octaves, between the places of a profile
_NEWTON_STEPS = 20
FEWEST_LEFT = 3  # identified levels that a fit needs when one is left out


@dataclass(frozen=True)
class CriticalBatchSize:
    """The critical batch size of a curve that bends; an end is None where the data allow any value beyond."""

    value: float
    ci_low: float | None
    ci_high: float | None

    @property
    def known(self) -> bool:
        """Whether the data bound it from both sides."""
        return self.ci_low is not None and self.ci_high is not None


@dataclass(frozen=True, eq=False)
class Law:
    """ε_opt(B) of one ridge, with every curve that was tried."""

    ridge: Ridge  # ε_opt given B, in log₂
    fit: Fit  # the preferred curve
    line: Fit
    bent: Fit
    exponent: Slope  # of the line
    critical_batch_size: CriticalBatchSize  # of the curve that bends
    errors: dict[str, float]  # of each curve: root mean square of the leave-one-out prediction, octaves
    alpha: float

    @property
    def seen(self) -> tuple[float, float]:
        """The batch sizes between which optima were identified."""
        given = self.ridge.given[self.ridge.identified]
        return float(given[0]), float(given[-1])

    def predict(self, batch_size: float) -> tuple[float, float, float]:
        """The best learning rate at a batch size, and the interval in which a single optimum there would lie."""
        x = np.array([np.log2(batch_size)])
        low, high = self.fit.interval(x, self.alpha)
        return float(2 ** self.fit.mean(x)[0]), float(2 ** low[0]), float(2 ** high[0])


def law_of(ridge: Ridge, bending: Curve, *, alpha: float = 0.05) -> Law:
    """Fit a line and a curve that bends; the line stands unless the other predicts better.

    "Better" is decided by leaving out one identified batch size after the other: the squared errors of prediction must
    be smaller by more than one standard error of their paired difference, and the bend must be bounded by the data
    from both sides, since a curve that bends elsewhere is a line here.

    Args:
        ridge: ε_opt at each batch size, with enough identified levels for a slope (`slope.shortfall`).
        bending: the curve beside the line.
        alpha: one less the confidence of every interval.
    """
    fits = {curve.name: fit(ridge, curve) for curve in (LINE, bending)}
    line, bent = fits[LINE.name], fits[bending.name]
    missed = {found.curve.name: _missed(found, ridge) for found in (line, bent)}
    gain = missed[LINE.name] ** 2 - missed[bending.name] ** 2
    critical = _critical_batch_size(bent, alpha)
    clear = len(gain) > 1 and gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    variance, degrees_of_freedom = line.second()
    reach = float(special.stdtrit(degrees_of_freedom, 1 - alpha / 2)) * variance**0.5
    slope = float(line.parameters[1])
    return Law(
        ridge=ridge,
        fit=bent if clear and critical.known else line,
        line=line,
        bent=bent,
        exponent=Slope(slope, slope - reach, slope + reach, variance**0.5, degrees_of_freedom),
        critical_batch_size=critical,
        errors={name: float(np.sqrt((errors**2).mean())) if len(errors) else np.nan for name, errors in missed.items()},
        alpha=alpha,
    )


def without(ridge: Ridge, row: int) -> Ridge:
    """The ridge with one given level left out."""
    kept = np.arange(len(ridge.given)) != row
    arrays = ("given", "best", "standard_error", "low", "high", "exact")
    return replace(
        ridge,
        status=tuple(status for status, keep in zip(ridge.status, kept, strict=True) if keep),
        resampled=ridge.resampled[:, kept],
        **{name: getattr(ridge, name)[kept] for name in arrays},
    )


def left_out(ridge: Ridge, curve: Curve, near: Floats, scatter: float) -> Floats:
    """What a curve fitted to the other levels predicts for each given one, log₂ (n_given,).

    Args:
        ridge: with three identified levels or more beside any one.
        curve: to fit.
        near: its parameters (2,) on all levels, from which the search begins.
        scatter: τ on all levels, by which the others are weighed, octaves.
    """
    predicted = []
    for row, x in enumerate(np.log2(ridge.given)):
        rest = Observations.of(without(ridge, row))
        spread = np.sqrt(rest.error**2 + scatter**2)
        parameters = rest.newton(curve, near, rest.y[None], spread)
        predicted.append(curve.mean(parameters, np.array([x]))[0, 0])
    return np.array(predicted)


def _missed(found: Fit, ridge: Ridge) -> Floats:
    """The error of the prediction of each identified optimum from the other levels, octaves."""
    if ridge.identified.sum() <= FEWEST_LEFT:
        return np.array([])
    predicted = left_out(ridge, found.curve, found.parameters, found.scatter)
    return np.asarray((predicted - ridge.best)[ridge.identified])


def _critical_batch_size(found: Fit, alpha: float) -> CriticalBatchSize:
    """The critical batch size with its profile interval.

    The profile of the likelihood is open where a bend far away fits as well, which a standard error cannot say. Its
    limit is that of Student's t, and is stretched by the ratio of the variance that the bootstraps show to the one that
    the likelihood takes for granted (Kent 1982).
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
    """Where a profile first falls below its limit, going outwards; None if it never does."""
    past = np.flatnonzero(profile < limit)
    if not len(past):
        return None
    before, after = past[0] - 1, past[0]
    share = (profile[before] - limit) / (profile[before] - profile[after])
    return float(bends[before] + share * (bends[after] - bends[before]))
