"""The marks of a ridge: the set of each optimum, the cells that diverged, and the slopes that the sets allow."""

import numpy as np
import plotly.graph_objects as go

from batchlaw.figures.ends import open_ends, tuned_range
from batchlaw.figures.style import BLACK, GRAY, VERMILLION, digits
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Bools, Floats, Surface

_PLACES = 40  # points of a band
_NOTHING = {"diverged": (VERMILLION, "every run diverged"), "missing": (GRAY, "no score")}


def draw_sets(
    figure: go.Figure, ridge: Ridge, *, color: str, name: str, what: str, undecided: str = GRAY, beside: float = 1.0
) -> None:
    """Draw the set of each optimum as a bar, an arrow where it is open, and the best level tried.

    Args:
        figure: with the given factor on x and the tuned one on y, both logarithmic.
        ridge: its optima.
        color: of sets that locate an optimum.
        name: of the optima, for the legend; empty keeps them out of it.
        what: the tuned factor, for the labels.
        undecided: the colour of sets that do not.
        beside: a factor that moves them, where several ridges have the same given levels.
    """
    low, high, best = 2**ridge.low, 2**ridge.high, 2**ridge.best
    bottom, top = tuned_range(ridge)
    status = np.array(ridge.status)
    down, up = open_ends(ridge)
    low, high = np.where(down, bottom, low), np.where(up, top, high)
    known, places = status == "identified", ridge.given * beside
    for rows, shade, label in (
        (known, color, name and f"{name}: 95 % set"),
        (~known & ~np.isin(status, list(_NOTHING)), undecided, name and "open or wide set"),
    ):
        if not rows.any():
            continue
        ends = [end for row in np.flatnonzero(rows) for end in (low[row], high[row], None)]
        given = [x for place in places[rows].tolist() for x in (place, place, None)]
        figure.add_scatter(
            x=given, y=[None if end is None else digits([end])[0] for end in ends], mode="lines", name=label,
            showlegend=bool(label), opacity=0.45, line={"color": shade, "width": 9}, hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(
            x=places[rows].tolist(), y=digits(best[rows]), mode="markers", showlegend=False,
            marker={"color": shade, "size": 8, "line": {"color": "white", "width": 1}},
            customdata=[
                f"{what} {_told(row_low, row_high, row_down, row_up)}"
                for row_low, row_high, row_down, row_up in zip(
                    low[rows], high[rows], down[rows], up[rows], strict=True
                )
            ],
            hovertemplate="%{customdata}<br>best tried: %{y:.4g}<extra></extra>",
        )  # fmt: skip
    for rows, symbol, end in ((down, "triangle-down", bottom), (up, "triangle-up", top)):
        if rows.any():
            figure.add_scatter(
                x=places[rows].tolist(), y=[end] * int(rows.sum()), mode="markers", showlegend=False,
                hoverinfo="skip", cliponaxis=False, marker={"symbol": symbol, "color": undecided, "size": 13},
            )  # fmt: skip


def _told(low: float, high: float, down: bool, up: bool) -> str:
    if down or up:
        return "not known" if down and up else f"≤ {high:.4g}" if down else f"≥ {low:.4g}"
    return f"from {low:.4g} to {high:.4g}"


def diverged_cells(surface: Surface) -> Bools:
    """The cells in which every run diverged or was no better than guessing, (n_given, n_tuned)."""
    return np.asarray((surface.counts > 0) & (surface.unstable | np.isnan(surface.scores)).all(axis=2))


def draw_cells(figure: go.Figure, surface: Surface) -> None:
    """Mark the cells in which every run diverged, and those without a score."""
    for cells, name, marker in (
        (
            diverged_cells(surface),
            "every seed diverged",
            {"symbol": "x-thin", "size": 7, "line": {"color": VERMILLION, "width": 1.5}},
        ),
        (surface.counts == 0, "no score", {"symbol": "square-open", "size": 7, "color": GRAY}),
    ):
        given, tuned = np.nonzero(cells)
        if len(given):
            figure.add_scatter(
                x=surface.given[given].tolist(), y=surface.tuned[tuned].tolist(), mode="markers", name=name,
                hoverinfo="skip", marker=marker,
            )  # fmt: skip


def draw_empty(figure: go.Figure, ridge: Ridge) -> None:
    """Shade the given levels at which every run diverged or has no score."""
    if len(ridge.given) < 2:
        return
    half = float(np.exp2(np.diff(np.log2(ridge.given)).min() / 2.4))
    for level, status in zip(ridge.given.tolist(), ridge.status, strict=True):
        if status in _NOTHING:
            color, text = _NOTHING[status]
            figure.add_vrect(
                x0=level / half, x1=level * half, fillcolor=color, opacity=0.12, line_width=0, layer="below",
            )  # fmt: skip
            figure.add_annotation(
                x=float(np.log10(level)), y=0.5, yref="paper", text=text, textangle=-90, showarrow=False,
                font={"color": BLACK, "size": 12}, bgcolor="rgba(255,255,255,.8)",
            )  # fmt: skip


def draw_slope(figure: go.Figure, ridge: Ridge, alpha: float, color: str) -> None:
    """Draw the line of optima with what is known of it; of a slope that is only bounded the fan of lines, and no line.

    Args:
        figure: with the given factor on x and the tuned one on y.
        ridge: its optima.
        alpha: 1 minus the confidence.
        color: of the line and the fan.
    """
    slope = ridge.slope
    if slope is None:
        return
    live = ridge.given[~np.isin(ridge.status, list(_NOTHING))]
    x = np.log2(np.geomspace(live[0], live[-1], _PLACES))
    band = np.clip(ridge.band(x, alpha), *np.log2(tuned_range(ridge)))
    ends = f"{slope.ci_low:.2f} to {slope.ci_high:.2f}"
    draw_band(figure, 2**x, 2**band, color, f"slopes that the sets allow: {ends}" if slope.bounded else "")
    if not slope.bounded:
        label = f"slope {slope.slope:.2f} [{slope.ci_low:.2f}, {slope.ci_high:.2f}]"
        line = 2 ** ridge.lines(x).mean(axis=0)
        figure.add_scatter(x=digits(2**x), y=digits(line), mode="lines", name=label, line={"color": color, "width": 2})


def draw_band(figure: go.Figure, x: Floats, ends: Floats, color: str, name: str) -> None:
    """Fill what lies between two curves; `ends` are (n, 2)."""
    figure.add_scatter(
        x=digits([*x, *x[::-1]]), y=digits([*ends[:, 1], *ends[::-1, 0]]), fill="toself", fillcolor=color, opacity=0.15,
        line={"width": 0}, mode="lines", hoverinfo="skip", name=name, showlegend=bool(name),
    )  # fmt: skip
