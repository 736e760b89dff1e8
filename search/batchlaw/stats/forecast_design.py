"""How narrow the forecast of a law is expected to be after groups of runs that nobody has run yet."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.forecast import deviations_beforehand, law_with_models, prior_of
from batchlaw.stats.surface import Floats

_KINKS = (-2.0, 0.0, 2.0)  # octaves from the middle of the batch sizes: where the rate may bend (assumption)
ROW_ERROR = 0.1  # octaves


@dataclass(frozen=True, eq=False)
class ForecastDesign:
    """Batch sizes that every group will run, and the one group that is asked for.

    The information of a group is that of the law's derivatives (`stats.forecast`) at laws that are plausible
    beforehand, with the deviations between groups that are usual. So the width is an expectation, and no promise.
    """

    sizes: Floats  # (n_sizes,) log₂ of the batch sizes
    asked: Floats  # (n_axes,) log₂ of horizon and size of the run asked for
    of_size: bool  # whether the last axis is the size of a model
    row_error: float = ROW_ERROR  # standard error of a row's best rate, octaves

    def octaves(self, groups: Floats, alpha: float) -> float:
        """The expected width of the prediction interval of the best rate at the middle one of the batch sizes.

        Over laws and deviations it is a geometric mean, which is near the middle: a tenth of all tasks, with groups far
        off any law, would rule the arithmetic one.

        Args:
            groups: (n_groups, n_axes) log₂ of horizon and size.
            alpha: one less the confidence of the interval.
        """
        middle = groups.mean(axis=0)
        at, asked = groups - middle, self.asked - middle
        n_axes, n = at.shape[1], len(self.sizes)
        typical = float(np.median(self.sizes))
        apart = self.sizes - typical
        models = np.unique(np.round(at[:, -1], 6)) if self.of_size else np.empty(0)
        weights, deviations = deviations_beforehand(of_size=self.of_size)
        offset, row, slope, size = deviations.T[:, :, None]  # (n_deviations, 1) each
        own = offset**2 + row**2 + size**2  # (n_deviations, 1)
        known = (offset**2)[:, None] + (slope**2)[:, None] * np.outer(apart, apart)
        known = known + (row**2 + self.row_error**2)[:, None] * np.eye(n)
        inverse = np.linalg.inv(known)  # (n_deviations, n_sizes, n_sizes)
        widths = []
        for kink in _KINKS:
            prior, spread = prior_of(0.0, typical, n_axes, of_size=self.of_size)
            prior[1 + n_axes] += kink
            parameters = np.append(prior, np.zeros(len(models)))
            spreads = np.hstack([np.tile(spread, (len(size), 1)), np.tile(size, (1, len(models)))])

            slopes = np.array(
                [law_with_models(parameters, np.tile(each, (n, 1)), self.sizes, models)[1] for each in at]
            )
            information = np.einsum("gip,dij,gjq->dpq", slopes, inverse, slopes, optimize=True)
            information += np.eye(len(parameters)) * (spreads**-2)[:, None]
            _, wanted = law_with_models(parameters, asked[None], np.array([typical]), models)
            of_law = np.einsum("ip,dpq,iq->di", wanted, np.linalg.inv(information), wanted)
            widths.append(weights @ np.log(own + of_law)[:, 0] / 2)
        return float(np.exp(np.mean(widths)) * 2 * special.ndtri(1 - alpha / 2))
