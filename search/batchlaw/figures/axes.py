"""The axes of figures: batch sizes, learning rates, quantities, counts and scores."""

from collections.abc import Iterable, Sequence
from math import ceil, floor, log2, log10, sqrt
from typing import Any

import numpy as np
import plotly.graph_objects as go

from batchlaw.figures.style import GRAY, digits, words

FINE_LOG = {"type": "log", "nticks": 4, "tickformat": "~g"}  # has marks between the powers of ten
_TICK_LENGTH = 12  # batch sizes that fit as marks on an axis on a phone
_MOST_MARKS = 5  # of a quantity, on an axis that is a fifth of a screen high
_FEW = 10  # whole numbers, each of which has a mark
_FAR = 5  # times as far from the best as the median is: a score beyond this flattens the others (assumption)


def log_axis(title: str) -> dict[str, Any]:
    """A logarithmic axis with a mark at each power of ten."""
    return {"type": "log", "title": {"text": title}, "tickformat": "~g", "dtick": 1}


def batch_axis(batch_sizes: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis with a mark at each power of two, or at every second or third if there are many."""
    known = list(batch_sizes)
    low, high = floor(log2(min(known))), ceil(log2(max(known)))
    marks = [2**exponent for exponent in range(low, high + 1, 1 + (high - low) // _TICK_LENGTH)]
    return {"type": "log", "title": {"text": "batch size"}, "tickvals": marks, "ticktext": [str(m) for m in marks]}


def quantity_axis(title: str, values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis of a positive quantity, with plain numbers at 1, 2 and 5 times powers of ten.

    It spans a factor of two or more, so that a rounding does not look like a fall.
    """
    low, high = min(values), max(values)
    middle = sqrt(low * high)
    low, high = min(low, middle / sqrt(2)) / 1.15, max(high, middle * sqrt(2)) * 1.15
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    marks: list[float] = []
    for leading in ((1, 2, 5), (1, 3), (1,)):
        marks = [first * 10.0**power for power in decades for first in leading if low <= first * 10.0**power <= high]
        if len(marks) <= _MOST_MARKS:
            break
    marks = marks[:: ceil(len(marks) / _MOST_MARKS)]
    return {
        "type": "log", "title": {"text": title}, "range": digits([log10(low), log10(high)]), "tickvals": digits(marks),
        "ticktext": list(map(_plain, marks)),
    }  # fmt: skip


def _plain(mark: float) -> str:
    """A number without a prefix, in which m could be milli, mega or minutes: 0.0005, 20, 10,000; 2e+06 beyond."""
    if 1 <= mark < 1e6:
        return f"{mark:,.0f}"
    return f"{mark:.0e}" if mark >= 1e6 or mark < 1e-5 else f"{mark:.5f}".rstrip("0")


def count_axis(title: str, most: float) -> dict[str, Any]:
    """An axis of whole numbers from 0 on."""
    return {"title": {"text": title}, "rangemode": "tozero", "tickformat": ",d"} | ({"dtick": 1} if most < _FEW else {})


def is_wide(scores: Sequence[float]) -> bool:
    """Whether the largest loss is more than 10 times the smallest, so that a linear scale would hide the best."""
    return min(scores) > 0 and max(scores) / min(scores) > 10


def score_axis(
    metric: str, scores: Sequence[float], direction: str, errors: Sequence[float] | None = None
) -> dict[str, Any]:
    """The axis of a metric, logarithmic for losses over more than a decade; it ends where only failures lie beyond.

    These would flatten what the others show. `add_beyond` marks them at the axis' end.

    Args:
        metric: to name.
        scores: to show.
        direction: "maximize" or "minimize".
        errors: the lengths of their error bars.
    """
    axis: dict[str, Any] = {"title": {"text": words(metric)}}
    wide = direction == "minimize" and is_wide(scores)
    if wide:
        axis |= FINE_LOG
    places = np.log10(scores) if wide else np.asarray(scores, float)
    best = places.max() if direction == "maximize" else places.min()
    bars = np.zeros(len(places)) if errors is None or wide else np.asarray(errors, float)
    reach = max(_FAR * abs(best - np.median(places)), 2 * bars[places == best].max())
    near = abs(places - best) <= reach
    if not reach or near.all():
        return axis
    low, high = float((places - bars)[near].min()), float((places + bars)[near].max())
    margin = 0.1 * (high - low)
    return axis | {"range": digits([low - margin, high + margin])}


def add_beyond(
    figure: go.Figure, axis: dict[str, Any], places: Sequence[Any], scores: Sequence[float], *, sideways: bool = False
) -> None:
    """Triangles at the end of the axis of scores for those that lie beyond it, with their values to hover over.

    Args:
        figure: gets one more series, where there are such scores.
        axis: of `score_axis`.
        places: on the other axis.
        scores: one for each place.
        sideways: scores are along x.
    """
    if "range" not in axis:
        return
    low, high = ([10**end for end in axis["range"]]) if axis.get("type") == "log" else axis["range"]
    beyond = [(place, score) for place, score in zip(places, scores, strict=True) if not low <= score <= high]
    if not beyond:
        return
    below = beyond[0][1] < low
    along = {"x": [place for place, _ in beyond], "y": digits([low if below else high] * len(beyond))}
    if sideways:
        along = {"x": along["y"], "y": along["x"]}
    symbol = {(False, True): "down", (False, False): "up", (True, True): "left", (True, False): "right"}
    figure.add_scatter(
        **along, mode="markers", name=f"{len(beyond)} beyond the axis", customdata=digits(s for _, s in beyond),
        marker={"symbol": f"triangle-{symbol[sideways, below]}", "size": 10, "color": GRAY}, cliponaxis=False,
        hovertemplate="%{customdata}, beyond the axis<extra></extra>",
    )  # fmt: skip


def color_axis(scores: Sequence[float], direction: str, *, wide: bool) -> dict[str, Any]:
    """A colour bar above the plot, bright for good scores; `wide` if the colours are of logarithms.

    Its title is empty and at the side: plotly.js 4.1 moves the figure's title for a colour bar with a title on top.
    """
    bar: dict[str, Any] = {
        "orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "len": 1, "thickness": 10,
        "tickfont": {"size": 11}, "outlinewidth": 0,
        "title": {"text": "", "side": "right"},
    }  # fmt: skip
    if wide:
        marks = np.linspace(log10(min(scores)), log10(max(scores)), 5)
        bar |= {"tickvals": digits(marks), "ticktext": [f"{10**mark:.2g}" for mark in marks]}
    return {"colorscale": "Viridis" if direction == "maximize" else "Viridis_r", "colorbar": bar}
