"""When a curve of losses first falls to a target: monotone, and with its noise averaged out."""

import numpy as np
from scipy import optimize

from batchlaw.stats.surface import Floats


def first_reached(seen: Floats, losses: Floats, target: float) -> float:
    """The examples at which a curve first falls to a target.

    The logarithm of the losses up to the lowest is made monotone by isotonic regression, which averages reports that
    rise again by their noise (a running minimum would be biased early), and is interpolated linearly in the logarithm
    of the examples.

    Args:
        seen: (n_reports,) examples at the reports, ascending.
        losses: (n_reports,) above 0; NaN where the run is no longer finite.
        target: a loss above 0.

    Returns:
        Infinity where it never falls to the target; NaN where it was below it at the first report already.
    """
    finite = np.isfinite(losses)
    if not finite.any():
        return np.inf
    end = len(losses) if finite.all() else int((~finite).argmax())
    if end == 0:
        return np.inf
    lowest = int(losses[:end].argmin()) + 1
    logs = optimize.isotonic_regression(np.log(losses[:lowest]), increasing=False).x
    wanted = np.log(target)
    if logs[-1] > wanted:
        return np.inf
    after = int((logs <= wanted).argmax())
    if after == 0:
        return np.nan
    share = (logs[after - 1] - wanted) / (logs[after - 1] - logs[after])
    x = np.log(seen[after - 1 : after + 1])
    return float(np.exp(x[0] + share * (x[1] - x[0])))
