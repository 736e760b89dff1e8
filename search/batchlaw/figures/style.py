"""The style of every figure: one small template, colours for the colour-blind, numbers with five digits."""

import textwrap
from collections.abc import Iterable, Sequence
from itertools import takewhile
from math import ceil, floor, log2, log10
from typing import Any

import numpy as np
import plotly.graph_objects as go

from batchlaw.recipe.result import Outcome

# Okabe & Ito (2008), "Color universal design".
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
)  # fmt: skip
GRAY = "#8a8a8a"
OUTCOME_COLORS = {
    Outcome.COMPLETE: BLUE,
    Outcome.PRUNED: ORANGE,
    Outcome.DIVERGED: VERMILLION,
    Outcome.OUT_OF_MEMORY: PURPLE,
    Outcome.FAILED: BLACK,
    Outcome.LOST: GRAY,
}
FINE_LOG = {"type": "log", "nticks": 4, "tickformat": "~g"}  # has marks between the powers of ten
HEIGHT = 400  # px, so that two figures and a heading fit on a printed page
WIDTH = 680  # px, of a figure on paper
_LEGEND_LENGTH = 36  # characters of an entry of a legend; three of them fit beside each other
_LINE_LENGTH = 55  # characters of a subtitle that fit on a phone 390 px wide (measured in a browser)
_TICK_LENGTH = 12  # batch sizes that fit as marks on an axis on a phone
_AXIS = {
    "automargin": True,
    "gridcolor": "#e8e8e8",
    "linecolor": GRAY,
    "showline": True,
    "ticks": "outside",
    "tickcolor": GRAY,
    "title": {"standoff": 8},
    "zeroline": False,
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 13, "color": "#222"},
        "title": {
            "x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top",
            "pad": {"l": 8, "t": 20}, "font": {"size": 15},
        },
        "margin": {"l": 8, "r": 12, "t": 40, "b": 8},
        "colorway": [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, BLACK],
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {
            "orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom",
            "title": {"side": "top", "font": {"size": 13}},
        },
        "hoverlabel": {"bgcolor": "#fff", "font": {"color": "#222"}, "align": "left"},
    }
)  # fmt: skip


def finish(figure: go.Figure, title: str, subtitle: str, **layout: Any) -> go.Figure:
    """Apply the style; a title of up to 45 characters fits on a phone, a subtitle is broken into lines."""
    lines = textwrap.wrap(subtitle, _LINE_LENGTH)
    # Not layout.title.subtitle, which plotly.js 4.1 draws at varying distances from the title.
    small = "".join(f'<br><span style="font-size:12px;color:#555">{line}</span>' for line in lines)
    figure.update_layout({"template": TEMPLATE, "height": HEIGHT, **layout})
    margin = (figure.layout.margin.t or 0) + 40 + 18 * len(lines)
    return figure.update_layout(title={"text": title + small}, margin={"t": margin})


def digits(values: Iterable[float], n: int = 5) -> list[float]:
    """Values rounded to significant digits, since figures are stored in a database and should be small."""
    return [float(f"{value:.{n}g}") for value in values]


def words(name: str) -> str:
    """The name of a metric or parameter with spaces for underscores."""
    return name.replace("_", " ")


def shortened(names: Sequence[str]) -> list[str]:
    """Names for a legend: of long ones the part around the first place where they differ."""
    longest = max(map(len, names), default=0)
    if longest <= _LEGEND_LENGTH:
        return list(names)
    same = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))
    start = max(min(same - _LEGEND_LENGTH // 2, longest - _LEGEND_LENGTH), 0)
    parts = [name[start : start + _LEGEND_LENGTH] for name in names]
    return [
        "…" * (start > 0) + part + "…" * (start + len(part) < len(name))
        for name, part in zip(names, parts, strict=True)
    ]


def log_axis(title: str) -> dict[str, Any]:
    """A logarithmic axis with a mark at each power of ten."""
    return {"type": "log", "title": {"text": title}, "tickformat": "~g", "dtick": 1}


def batch_axis(batch_sizes: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis with a mark at each power of two, or at every second or third if there are many."""
    known = list(batch_sizes)
    low, high = floor(log2(min(known))), ceil(log2(max(known)))
    marks = [2**exponent for exponent in range(low, high + 1, 1 + (high - low) // _TICK_LENGTH)]
    return {"type": "log", "title": {"text": "batch size"}, "tickvals": marks, "ticktext": [str(m) for m in marks]}


def is_wide(scores: Sequence[float]) -> bool:
    """Whether the largest loss is more than 10 times the smallest, so that a linear scale would hide the best."""
    return min(scores) > 0 and max(scores) / min(scores) > 10


def score_axis(metric: str, scores: Sequence[float], direction: str) -> dict[str, Any]:
    """The axis of a metric; logarithmic for losses over more than a decade."""
    title = {"title": {"text": words(metric)}}
    return title | FINE_LOG if direction == "minimize" and is_wide(scores) else title


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
