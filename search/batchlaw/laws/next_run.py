"""Which small set of further runs would narrow a plan most."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from batchlaw.laws.axes import Axis, centred
from batchlaw.stats.forecast import Forecast

_AFFORDABLE = 0.1  # of the run asked for
_WORTH = 0.97  # of the deviation of the forecast: what narrows it less is not told


def next_run(
    fitted: Forecast, axes: Sequence[Axis], at: Mapping[str, float], batch_size: float, tried: tuple[float, float]
) -> str | None:
    """A sentence; None where no set narrows the plan.

    Sets of three batch sizes at horizons and sizes seen, and at half the least and twice the largest of them, are
    weighed, if they cost at most a tenth of the run asked for (cost as the product of the axes: assumption).

    Args:
        fitted: the law of the best rate.
        axes: what the groups have.
        at: the run asked for.
        batch_size: of its rate.
        tried: the smallest and the largest batch size.
    """
    place, size = centred([at[axis.name] for axis in axes], axes), float(np.log2(batch_size))
    levels = [sorted({*axis.values, axis.seen[0] / 2, axis.seen[1] * 2}) for axis in axes]
    cost_of_asked = float(np.prod([at[axis.name] for axis in axes]))
    sizes = np.log2(np.geomspace(*tried, 3))
    options = []
    for values in product(*levels):
        cost = float(np.prod(values)) / cost_of_asked
        if cost <= _AFFORDABLE:
            options.append((fitted.narrowed(place, size, centred(values, axes), sizes), cost, values))
    if not options:
        return None
    after, cost, values = min(options)
    now = float(fitted.rate(place, np.array([size])).deviation[0])
    if after > _WORTH * now:
        return None
    where = " and ".join(f"{axis.name} {value:.3g}" for axis, value in zip(axes, values, strict=True))
    told = ", ".join(f"{2**each:.0f}" for each in sizes)
    return (
        f"a sweep of the rate at batch sizes {told} with {where}, each run for {cost:.2g} of the cost of the run asked "
        f"for, would narrow the rate's interval by {1 - after / now:.0%}"
    )
