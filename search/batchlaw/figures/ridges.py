"""Figures of one surface: the map with the ridge of its optima, the slope, the score curves and the collapse."""

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from batchlaw.claims.hypotheses import GIVEN_LABELS
from batchlaw.figures.labels import Labels
from batchlaw.figures.style import (
    BLUE,
    GRAY,
    VERMILLION,
    batch_axis,
    color_axis,
    finish,
    is_wide,
    log_axis,
    score_axis,
    words,
)
from batchlaw.stats.surface import Floats, Surface

if TYPE_CHECKING:
    from batchlaw.claims.evidence import Evidence

_SYMBOLS = {"identified": "circle", "left_censored": "triangle-down", "right_censored": "triangle-up"}
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
    """Mean scores over the given factor and batch size, with the best batch size of each level.

    A cell without a score is left blank and marked by a cross. On a staggered grid the cells of a learning rate reach
    half of their spacing up and down, over the batch sizes of other learning rates.
    """
    surface, shown, given = evidence.forward.surface, _shown(evidence, labels), GIVEN_LABELS[evidence.given]
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
            hovertemplate="batch size %{customdata[1]:g}: %{customdata[0]:.4f}<extra></extra>",
        )
    )  # fmt: skip
    empty_x, empty_y = np.nonzero(np.isnan(shown))
    if len(empty_x):
        figure.add_scatter(
            x=empty_x, y=empty_y, mode="markers", name="no score", hoverinfo="skip",
            marker={"symbol": "x-thin", "size": 9, "line": {"color": GRAY, "width": 1}},
        )  # fmt: skip
    ridge, levels = evidence.forward.ridge, np.log2(surface.tuned)
    for status, symbol in _SYMBOLS.items():
        rows = np.flatnonzero([found == status for found in ridge.status])
        if not len(rows):
            continue
        at, low, high = (np.interp(end[rows], levels, y) for end in (ridge.best, ridge.low, ridge.high))
        exact = status == "identified"
        figure.add_scatter(
            x=rows, y=at, mode="markers", name=status.replace("_", " "),
            marker={"symbol": symbol, "size": 11, "color": "white", "line": {"color": "black", "width": 1.5}},
            error_y={"array": high - at, "arrayminus": at - low, "color": "white", "thickness": 1.5} if exact else None,
        )  # fmt: skip
    return finish(
        figure,
        f"Each {given}'s best batch size",
        f"the colour is {words(labels.score)}; the marks are the optima with 95 % intervals",
        xaxis={"title": {"text": given}, "tickvals": x, "ticktext": [f"{level:.3g}" for level in surface.given]},
        yaxis={"title": {"text": "batch size"}, "tickvals": y, "ticktext": [f"{level:g}" for level in surface.tuned]},
        coloraxis=color_axis(ends, labels.direction, wide=wide),
        margin={"t": 30},
        height=_HEIGHT + 10,
    )


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
    """The best batch size against the given factor on log axes, with the fitted slope, and slopes ½ and 1."""
    side, given = evidence.forward, GIVEN_LABELS[evidence.given]
    ridge, figure = side.ridge, go.Figure()
    x = np.array([ridge.given[0], ridge.given[-1]])
    middle = ridge.identified if ridge.identified.any() else np.ones(len(ridge.given), dtype=bool)
    center_x, center_y = np.log2(ridge.given[middle]).mean(), ridge.best[middle].mean()
    for slope, name, dash in ((1.0, "slope 1", "dot"), (0.5, "slope ½", "dash")):
        figure.add_scatter(
            x=x, y=2 ** (center_y + slope * (np.log2(x) - center_x)), mode="lines", name=name,
            line={"dash": dash, "color": GRAY, "width": 1},
        )  # fmt: skip
    if side.slope:
        found = side.slope
        label = f"fit: {found.slope:.2f} [{found.ci_low:.2f}, {found.ci_high:.2f}]"
        line = 2 ** (center_y + found.slope * (np.log2(x) - center_x))
        figure.add_scatter(x=x, y=line, mode="lines", name=label, line={"color": BLUE})
    best, low, high = 2**ridge.best, 2**ridge.low, 2**ridge.high
    for status, symbol in _SYMBOLS.items():
        rows = np.array([found == status for found in ridge.status])
        if not rows.any():
            continue
        below, above = best - low, high - best
        if status == "left_censored":
            below = np.zeros_like(best)
        elif status == "right_censored":
            above = np.zeros_like(best)
        figure.add_scatter(
            x=ridge.given[rows], y=best[rows], mode="markers", name=status.replace("_", " "),
            marker={"symbol": symbol, "size": 10, "color": VERMILLION if status == "identified" else GRAY},
            error_y={"array": above[rows], "arrayminus": below[rows], "thickness": 1.2},
        )  # fmt: skip
    bounds = [np.log10(ridge.tuned[0] / 1.5), np.log10(ridge.tuned[-1] * 1.5)]
    return finish(
        figure,
        f"Best batch size against {given}",
        "with 95 % intervals; triangles are optima at or beyond an edge",
        xaxis=log_axis(given),
        yaxis=batch_axis(ridge.tuned) | {"title": {"text": "best batch size"}, "range": bounds},
        height=_HEIGHT,
    )


def curves(evidence: "Evidence", labels: Labels) -> go.Figure:
    """The score against the batch size, with a curve for each given level and bars of one standard error."""
    surface = evidence.forward.surface
    shown, figure = _shown(evidence, labels), go.Figure()
    squares = np.nansum((surface.scores - surface.means[:, :, None]) ** 2, axis=2)
    counts = np.maximum(surface.counts, 1)
    error = np.sqrt(squares / np.maximum(counts - 1, 1) / counts)  # of a mean; 0 for a single run
    colors = sample_colorscale("Viridis", np.linspace(0, 0.9, len(surface.given)))
    for row, color in enumerate(colors):
        figure.add_scatter(
            x=surface.tuned, y=shown[row], mode="lines+markers", name=f"{surface.given[row]:.3g}",
            line={"color": color}, error_y={"array": error[row], "thickness": 1}, connectgaps=True,
        )  # fmt: skip
    return finish(
        figure,
        "Score against batch size",
        f"a curve for each {GIVEN_LABELS[evidence.given]}, ± one standard error",
        xaxis=batch_axis(surface.tuned),
        yaxis=score_axis(labels.score, shown[surface.counts > 0].tolist(), labels.direction),
        legend={"title": {"text": GIVEN_LABELS[evidence.given]}},
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
