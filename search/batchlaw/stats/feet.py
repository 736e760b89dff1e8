"""How the feet of the curves' flanks move from row to row, whether or not the curves change their shape.

A flank that grows steeper or flatter from row to row mimics a shift, which no fit of one curve can tell from a shift of
the optimum. The foot of the flank does not take part in it. It is the place that lies as far inwards of a low height,
in widths of the flank, as the turning point does on average.
"""

from dataclasses import dataclass

import numpy as np

from batchlaw.stats.rows import Rows
from batchlaw.stats.surface import Floats

# Constants, set by simulation (`tests/benchmarks/claim_calibration.py`) and fixed before the runs that they judge.
_LOWER, _HIGHER = 0.2, (0.8, 0.65, 0.5, 0.4)  # heights of a flank, of the rows' usual range
_FEWEST, _OCTAVES = 5, 3.0  # rows whose flank reaches both heights
_FURTHEST_INWARDS = 2.0  # widths of a flank from its lower height to its foot, at most
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Foot:
    """How the foot of one flank moves."""

    slope: float
    error: float  # standard


def feet(rows: Rows, slope: float, turn: float | None) -> list[Foot]:
    """The slopes of the feet of the flanks that enough rows reach.

    Args:
        rows: of the surface.
        slope: of the alignment.
        turn: the turning point of the common curve at this slope, if it is bounded.
    """
    found = []
    for side in (-1, 1):
        flank = _flank(rows, side)
        if flank is None:
            continue
        x, lower, widths = flank
        inwards = _LOWER / (_HIGHER[0] - _LOWER)
        if turn is not None:
            inwards = abs(float((lower - turn - slope * x).mean())) / max(abs(float(widths.mean())), _TINY)
        found.append(Foot(*_line(x, lower - min(inwards, _FURTHEST_INWARDS) * widths)))
    return found


def _flank(rows: Rows, side: int) -> tuple[Floats, Floats, Floats] | None:
    """The rows x whose flank on a side reaches two heights, the place of the lower and the way to the higher.

    Places are log₂ of the tuned level. None if few rows do.
    """
    flanks, tops = [], []
    for own in rows.cells_of_each:
        best = int(rows.heights[own].argmin())
        outwards = own[best:] if side > 0 else own[best::-1]
        flanks.append((rows.x[own[0]], np.maximum.accumulate(rows.heights[outwards]), rows.y[outwards]))
        tops.append(rows.heights[own].max())
    top = float(np.median(tops))
    for share in _HIGHER:
        reach = [flank for flank in flanks if flank[1][-1] >= share * top]
        x = np.array([flank[0] for flank in reach])
        if len(x) >= _FEWEST and np.ptp(x) >= _OCTAVES:
            lower, higher = (
                np.array([np.interp(height * top, heights, places) for _, heights, places in reach])
                for height in (_LOWER, share)
            )
            return x, lower, higher - lower
    return None


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """The least-squares slope through points (n,), and its standard error."""
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    left = y - y.mean() - slope * away
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (away @ away)))
