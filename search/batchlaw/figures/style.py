"""The style of every figure: one small template, colours for the colour-blind, numbers with five digits."""

import textwrap
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

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
HEIGHT = 400  # px, so that two figures and a heading fit on a printed page
WIDTH = 680  # px, of a figure on paper
_LEGEND_LENGTH = 36  # characters of an entry of a legend; three of them fit beside each other
_LINE_LENGTH = 55  # characters of a subtitle that fit on a phone 390 px wide (measured in a browser)
_TITLE_LENGTH = 34  # characters of an axis title that fit beside a figure (measured in a browser)
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
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        if axis.title.text and "<" not in axis.title.text:
            axis.title.text = "<br>".join(broken(axis.title.text, _TITLE_LENGTH))
    margin = (figure.layout.margin.t or 0) + 40 + 18 * len(lines)
    return figure.update_layout(title={"text": title + small}, margin={"t": margin})


def broken(text: str, length: int) -> list[str]:
    """A text as one or two lines; what does not fit is left out."""
    return textwrap.wrap(text, length, max_lines=2, placeholder="…")


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
