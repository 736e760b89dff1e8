"""The smooth surface through single runs, with the runs and the best learning rates that it leaves."""

import numpy as np
import plotly.graph_objects as go

from batchlaw.figures.axes import FINE_LOG, batch_axis
from batchlaw.figures.sets import draw_sets
from batchlaw.figures.style import BLACK, GRAY, PURPLE, VERMILLION, digits, finish
from batchlaw.laws.law import Law
from batchlaw.stats.surface import Bools, Floats

_SIZES, _RATES = 61, 81  # points of the map
_SHOWN = 0.9  # share of the runs whose loss the colours tell apart; what is worse is as dark
_BEYOND = 1.15  # factor from the last runs to the edge of the map
_BESIDE_END = 0.01  # so that the marks at the ends of the colour bar are within it
_ROUND = 3  # digits of a colour, since figures are stored


def surface_figure(law: Law) -> go.Figure | None:
    """The score that is lost at each batch size and rate, the runs, and the sets of the best rates; None without one.

    The colours are of the score lost against the best rate at each batch size, so that the valley is as bright all
    along. They are on a logarithmic scale, that begins at the deviation of a run: what differs by less is one colour.
    """
    surface, ridge = law.smooth, law.ridge
    if surface is None or ridge is None:
        return None
    runs = surface.heights
    x = np.linspace(runs.y.min(), runs.y.max(), _SIZES)
    y = np.linspace(runs.x.min(), runs.x.max(), _RATES)
    places = np.stack([each.ravel() for each in np.meshgrid(y, x, indexing="ij")], axis=1)
    scores, _ = surface.costly(places)
    lost = scores.reshape(len(y), len(x))
    near = surface.known(places).reshape(lost.shape)
    lost = np.where(near, lost, -np.inf).max(axis=0) - lost
    most = max(float(np.quantile(lost[near], _SHOWN)), 4 * surface.noise)
    z = np.log10(np.clip(lost, surface.noise, most))
    marks = np.geomspace(surface.noise, most, 4)
    told = [f"≤{marks[0]:.2g}", *(f"{mark:.2g}" for mark in marks[1:-1]), f"≥{marks[-1]:.2g}"]
    figure = go.Figure(
        go.Heatmap(
            x=digits(2**x), y=digits(2**y), z=_blanked(z, near), colorscale="Viridis_r",
            customdata=_blanked(lost, near),
            hovertemplate="batch size %{x:.3g}, rate %{y:.3g}: %{customdata} lost<extra></extra>",
            zmin=float(np.log10(marks[0])) - _BESIDE_END, zmax=float(np.log10(marks[-1])) + _BESIDE_END,
            colorbar={
                "orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "len": 1,
                "thickness": 10, "title": {"text": "", "side": "right"}, "tickfont": {"size": 11}, "outlinewidth": 0,
                "tickvals": digits(np.log10(marks)), "ticktext": told,
            },
        )
    )  # fmt: skip
    for rows, name, marker in (
        (~runs.diverged, "run", {"symbol": "circle", "size": 4, "color": "rgba(0,0,0,.45)"}),
        (
            runs.diverged,
            "diverged",
            {"symbol": "x-thin", "size": 7, "line": {"color": PURPLE, "width": 1.5}},
        ),
    ):
        if rows.any():
            figure.add_scatter(
                x=digits(2 ** runs.y[rows]), y=digits(2 ** runs.x[rows]), mode="markers", name=name, marker=marker,
                hoverinfo="skip",
            )  # fmt: skip
    draw_sets(figure, ridge, color=VERMILLION, name="best rate", what="best rate", undecided=GRAY)
    if law.fitted is not None:
        at = np.geomspace(*law.fitted.seen, _SIZES)
        by_law = digits(law.fitted.predict(size)[0] for size in at)
        figure.add_scatter(
            x=digits(at), y=by_law, mode="lines", name="law", line={"color": BLACK, "width": 2, "dash": "dash"}
        )
    ends = [float(np.log10(2 ** axis.min() / _BEYOND)) for axis in (runs.y, runs.x)]
    tops = [float(np.log10(2 ** axis.max() * _BEYOND)) for axis in (runs.y, runs.x)]
    where = f" ({law.name})" if law.name else ""
    subtitle = "colour: score lost against the best rate of the batch size; bars: 95 % sets of the best rate"
    if not near.all():
        subtitle += "; blank: no runs near"
    if surface.guide:
        subtitle += "; a guide and no test"
    return finish(
        figure,
        f"Where is the valley?{where}",
        subtitle,
        xaxis=batch_axis(2**runs.y) | {"range": [ends[0], tops[0]]},
        yaxis=FINE_LOG | {"title": {"text": "learning rate"}, "range": [ends[1], tops[1]]},
        margin={"t": 30},
        height=500,
    )


def _blanked(values: Floats, shown: Bools) -> list[list[float | None]]:
    """Rounded values, with nothing where they are not shown."""
    return [
        [value if there else None for value, there in zip(digits(row, _ROUND), mask.tolist(), strict=True)]
        for row, mask in zip(values, shown, strict=True)
    ]
