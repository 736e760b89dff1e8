"""How narrow the forecast of a law is expected to be after groups of runs that nobody has run yet."""

from dataclasses import dataclass

import numpy as np

from batchlaw.stats.departures import Departures
from batchlaw.stats.deviations import Deviations
from batchlaw.stats.kinked_law import prior_of, with_departures
from batchlaw.stats.predicted import Predicted
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

        It is the geometric mean over laws. Whether models differ and whether the law bends stays in doubt.

        Args:
            groups: (n_groups, n_axes) log₂ of horizon and size.
            alpha: one less the confidence of the interval.
        """
        middle = groups.mean(axis=0)
        at, asked = groups - middle, self.asked - middle
        n_axes, n = at.shape[1], len(self.sizes)
        apart = self.sizes - np.median(self.sizes)
        departures = Departures.of(at, of_size=self.of_size)
        deviations = Deviations.typical(n_axes, of_size=self.of_size)
        own = deviations.own(np.zeros(1)) + departures.unseen(asked, deviations.size, deviations.bends)[:, None]
        inverse = np.linalg.inv(deviations.within(apart, np.eye(n) * self.row_error**2))
        prior, spread = prior_of(0.0, n_axes, of_size=self.of_size)
        of_departures = departures.spreads(deviations.size, deviations.bends)
        spreads = np.hstack([np.tile(spread, (len(of_departures), 1)), of_departures])
        widths = []
        for kink in _KINKS:
            parameters = np.append(prior, np.zeros(departures.n_columns))
            parameters[1 + n_axes] += kink
            slopes = np.array(
                [with_departures(parameters[None], np.tile(each, (n, 1)), apart, departures)[1][0] for each in at]
            )
            information = np.einsum("gip,dij,gjq->dpq", slopes, inverse, slopes, optimize=True)
            information += np.eye(len(parameters)) * (spreads**-2)[:, None]
            wanted = with_departures(parameters[None], asked[None], np.zeros(1), departures)[1][0]
            of_law = np.einsum("ip,dpq,iq->di", wanted, np.linalg.inv(information), wanted, optimize=True)
            predicted = Predicted.of(deviations.usual, np.zeros_like(of_law), own + of_law)
            low, high = predicted.interval(alpha)
            widths.append(np.log(high - low))
        return float(np.exp(np.mean(widths)))
