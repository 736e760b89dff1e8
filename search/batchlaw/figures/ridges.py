"""Figures of one surface: the map with the ridge of its optima, the slope, the score curves and the collapse."""

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from batchlaw.figures.axes import batch_axis, color_axis, is_wide, log_axis, score_axis
from batchlaw.figures.ends import tuned_range
from batchlaw.figures.labels import Labels
from batchlaw.figures.sets import diverged_cells, draw_cells, draw_empty, draw_sets, draw_slope
from batchlaw.figures.style import BLUE, GRAY, VERMILLION, finish, words
from batchlaw.stats.surface import Floats, Surface

if TYPE_CHECKING:
    from batchlaw.claims.evidence import Evidence

_MARKS = {
    "identified": ("circle", "best"),
    "left_censored": ("triangle-down", "best at or below the bar's end"),
    "right_censored": ("triangle-up", "best at or above the bar's end"),
}
_HEIGHT = 460


def figures(evidence: "Evidence", labels: Labels) -> dict[str, go.Figure]:
    """Every figure by name; of an adaptive design, which has no full grid, the ridge alone."""
    if evidence.forward.grid is None:
        return {"ridge": ridge_figure(evidence)}
    drawn = {
        "map": score_map(evidence, labels),
        "ridge": ridge_figure(evidence),
        "curves": curves(evidence, labels),
    }
    if evidence.collapse:
        drawn["collapse"] = collapse_figure(evidence, labels)
    return drawn


def _shown(evidence: "Evidence", labels: Labels) -> Floats:
    means = evidence.forward.surface.means
    return means if labels.maximize else -means


def score_map(evidence: "Evidence", labels: Labels) -> go.Figure:
    """Mean scores over the given and the tuned factor, with the best tuned level of each given one.

    A cell without a score is left blank and marked by a cross. On a staggered grid the cells of a learning rate reach
    half of their spacing up and down, over the batch sizes of other learning rates.
    """
    side, shown = evidence.forward, _shown(evidence, labels)
    surface, given, tuned = side.surface, side.given_name, side.tuned_name
    sizes = np.tile(surface.tuned, (len(surface.given), 1))
    if _is_staggered(evidence):
        nearest = _nearest_cells(surface)
        shown, sizes = (np.take_along_axis(values, nearest, axis=1) for values in (shown, sizes))
    ends = [float(np.nanmin(shown)), float(np.nanmax(shown))]
    wide = not labels.maximize and is_wide(ends)
    # The axes number the levels, so that all cells have the same size whatever the levels are.
    x, y = np.arange(len(surface.given)), np.arange(len(surface.tuned))
    figure = go.Figure(
        go.Heatmap(
            x=x, y=y, z=(np.log10(shown) if wide else shown).T, customdata=np.dstack([shown.T, sizes.T]),
            coloraxis="coloraxis",
            hovertemplate=f"{tuned} %{{customdata[1]:g}}: %{{customdata[0]:.4f}}<extra></extra>",
        )
    )  # fmt: skip
    lost, empty = diverged_cells(surface), surface.counts == 0
    for cells, name, marker in (
        (empty, "no score", {"symbol": "square-open", "size": 8, "color": GRAY}),
        (lost, "every seed diverged", {"symbol": "x-thin", "size": 8, "line": {"color": VERMILLION, "width": 1.5}}),
    ):
        rows, columns = np.nonzero(cells)
        if len(rows):
            figure.add_scatter(x=rows, y=columns, mode="markers", name=name, hoverinfo="skip", marker=marker)
    ridge, levels = evidence.forward.ridge, np.log2(surface.tuned)
    for status, (symbol, label) in _MARKS.items():
        rows = np.flatnonzero([found == status for found in ridge.status])
        if not len(rows):
            continue
        at, low, high = (np.interp(end[rows], levels, y) for end in (ridge.best, ridge.low, ridge.high))
        # A set that is open ends at the edge of the map.
        low = np.where(status == "left_censored", y[0] - 0.5, low)
        high = np.where(status == "right_censored", y[-1] + 0.5, high)
        for color, thickness in (("white", 5), ("black", 1.5)):  # to be seen on bright and on dark cells
            figure.add_scatter(
                x=rows, y=at, mode="markers", name=label, showlegend=color == "black",
                marker={"symbol": symbol, "size": 11, "color": "white", "line": {"color": "black", "width": 1.5}},
                error_y={
                    "array": high - at, "arrayminus": at - low, "color": color, "thickness": thickness, "width": 5,
                },
            )  # fmt: skip
    return finish(
        figure,
        f"Each {given}'s best {tuned}",
        f"the colour is {words(labels.score)}; marks and bars are the best tried and 95 % sets of the best",
        xaxis={"title": {"text": given}, "tickvals": x, "ticktext": [f"{level:.3g}" for level in surface.given]},
        yaxis={"title": {"text": tuned}, "tickvals": y, "ticktext": [f"{level:.4g}" for level in surface.tuned]},
        coloraxis=color_axis(ends, labels.direction, wide=wide),
        margin={"t": 30},
        height=_HEIGHT + 10,
    )


def _axis(name: str, levels: Floats) -> dict[str, Any]:
    return batch_axis(levels) if name == "batch size" else log_axis(name)


def _is_staggered(evidence: "Evidence") -> bool:
    """Whether each learning rate has batch sizes of its own, so that nothing is said of the best rate of one."""
    return evidence.given == "lr" and evidence.reverse is None


def _nearest_cells(surface: Surface) -> NDArray[np.intp]:
    """For each cell the column of the cell with a score that lies nearest to it at the same given level.

    It is the cell itself where none lies within half of the level's spacing. Returns (n_given, n_tuned).
    """
    octaves, columns = np.log2(surface.tuned), np.tile(np.arange(len(surface.tuned)), (len(surface.given), 1))
    for row, there in enumerate(surface.counts > 0):
        places = np.flatnonzero(there)
        if len(places) < 2:
            continue
        away = np.abs(octaves[:, None] - octaves[places])
        near = away.min(axis=1) <= np.median(np.diff(octaves[places])) / 2 + 0.01
        columns[row, near] = places[away.argmin(axis=1)][near]
    return columns


def ridge_figure(evidence: "Evidence") -> go.Figure:
    """The set of the best tuned level at each given one on log axes, with the slopes that they allow."""
    side, best = evidence.forward, f"best {evidence.forward.tuned_name}"
    ridge, figure = side.ridge, go.Figure()
    draw_empty(figure, ridge)
    draw_slope(figure, ridge, side.alpha, BLUE)
    known, x = ridge.identified, np.log2(ridge.given[[0, -1]])
    for slope, name, dash in ((1.0, "slope 1", "dot"), (0.5, "slope ½", "dash")) if known.any() else ():
        center_x, center_y = np.log2(ridge.given[known]).mean(), ridge.best[known].mean()
        figure.add_scatter(
            x=2**x, y=2 ** (center_y + slope * (x - center_x)), mode="lines", name=name,
            line={"dash": dash, "color": GRAY, "width": 1},
        )  # fmt: skip
    if side.grid is not None:
        draw_cells(figure, side.grid)
    draw_sets(figure, ridge, color=VERMILLION, name=best, what=best)
    bounds = [float(np.log10(end)) for end in tuned_range(ridge)]
    subtitle = "bars: 95 % sets of the best, arrows: sets that are open; points: the best of those tried"
    if side.slope is None:
        subtitle += f". No slope: {side.lack}"
    elif side.slope.bounded:
        why = "few sets are narrow" if ridge.copies else "the curves differ in shape"
        subtitle += f". No line, since {why}: the fan holds all lines that meet every set"
    return finish(
        figure,
        f"{best.capitalize()} against {side.given_name}",
        subtitle,
        xaxis=_axis(side.given_name, ridge.given),
        yaxis=_axis(side.tuned_name, ridge.tuned) | {"title": {"text": best}, "range": bounds},
        height=_HEIGHT,
    )


def curves(evidence: "Evidence", labels: Labels) -> go.Figure:
    """The score against the tuned factor, with a curve for each given level and bars of one standard error."""
    surface, given, tuned = evidence.forward.surface, evidence.forward.given_name, evidence.forward.tuned_name
    shown, figure = _shown(evidence, labels), go.Figure()
    squares = np.nansum((surface.scores - surface.means[:, :, None]) ** 2, axis=2)
    counts = np.maximum(surface.counts, 1)
    error = np.sqrt(squares / np.maximum(counts - 1, 1) / counts)  # of a mean; 0 for a single run
    colors = sample_colorscale("Viridis", np.linspace(0, 0.9, len(surface.given)))
    for row, color in enumerate(colors):
        figure.add_scatter(
            x=surface.tuned, y=shown[row], mode="lines+markers", name=f"{surface.given[row]:.3g}",
            line={"color": color}, error_y={"array": error[row], "thickness": 1}, connectgaps=_is_staggered(evidence),
        )  # fmt: skip
    return finish(
        figure,
        f"Score against {tuned}",
        f"a curve for each {given}, ± one standard error",
        xaxis=_axis(tuned, surface.tuned),
        yaxis=score_axis(labels.score, shown[surface.counts > 0].tolist(), labels.direction),
        legend={"title": {"text": given}},
        height=_HEIGHT,
    )


def collapse_figure(evidence: "Evidence", labels: Labels) -> go.Figure:
    """The score against ε/B^α with the α that explains it best."""
    found, surface = evidence.collapse, evidence.forward.surface
    assert found is not None
    shown, figure = _shown(evidence, labels), go.Figure()
    stable = surface.usable
    colors = sample_colorscale("Plasma", np.linspace(0, 0.9, len(surface.tuned)))
    for column, color in enumerate(colors):
        rows = stable[:, column]
        figure.add_scatter(
            x=surface.given[rows] / surface.tuned[column] ** found.alpha, y=shown[rows, column], mode="markers",
            name=f"{surface.tuned[column]:g}", marker={"color": color, "size": 8},
        )  # fmt: skip
    verdict = "misfits" if found.lack_of_fit_p < 0.05 else "fits"
    return finish(
        figure,
        f"One curve in ε/B<sup>{found.alpha:.2f}</sup> {verdict}",
        f"lack of fit p = {found.lack_of_fit_p:.2g}; the colour is the batch size",
        xaxis=log_axis(f"learning rate / batch size<sup>{found.alpha:.2f}</sup>"),
        yaxis=score_axis(labels.score, shown[surface.counts > 0].tolist(), labels.direction),
        legend={"title": {"text": "batch size"}},
        height=_HEIGHT,
    )
