"""The figure of critical batch sizes: steps to a target against batch size, with the hyperbola through them."""

import numpy as np
import plotly.graph_objects as go

from batchlaw.figures.axes import batch_axis, log_axis
from batchlaw.figures.style import BLACK, TEMPLATE, digits, finish, shortened
from batchlaw.laws.critical import Critical

_PLACES = 60  # points of a curve
_HEIGHT, _ENTRY, _FEW = 480, 20, 4  # pixels, and for each entry of the legend above a few
_SYMBOLS = {"bend of the law": "square", "gradient noise scale": "cross", "branches, hyperbola": "star"}


def critical_figure(found: Critical) -> go.Figure:
    """A series of points and a curve each; a line marks E_min/S_min, a bar below it its interval."""
    figure = go.Figure()
    colors = TEMPLATE.layout.colorway
    lowest = min([float(each.steps.min()) for each in found.series], default=1.0)
    ways = [value for each in found.measured for value in (each.batch_size.low, each.batch_size.high) if value]
    sizes = np.concatenate([*(each.batch_size for each in found.series), ways])
    shown, told = 0, set[str]()

    def below(place: int) -> float:
        return float(lowest / 2 / 1.3**place)

    legend = shortened([each.name or "steps to the target" for each in found.series])
    for number, each in enumerate(found.series):
        color, label = colors[number % len(colors)], each.name or "steps to the target"
        errors = np.where(np.isfinite(each.error), each.error, 0.0)
        bars = {
            "type": "data", "symmetric": False, "array": digits(each.steps * np.expm1(errors)),
            "arrayminus": digits(-each.steps * np.expm1(-errors)), "thickness": 1, "width": 0,
        }  # fmt: skip
        symbols = ["circle" if reached else "triangle-up" for reached in each.reached]
        figure.add_scatter(
            x=digits(each.batch_size), y=digits(each.steps), mode="markers", name=legend[number], error_y=bars,
            marker={"color": color, "size": 7, "symbol": symbols}, legendgroup=label,
            hovertemplate=f"{label}: %{{y:.4g}} steps at batch size %{{x:g}}<extra></extra>",
        )  # fmt: skip
        places = np.geomspace(each.batch_size.min(), each.batch_size.max(), _PLACES)
        if each.fitted is None or (curve := each.fitted.steps(places)) is None:
            continue
        line = {"color": color, "width": 1.5}
        figure.add_scatter(
            x=digits(places), y=digits(curve), mode="lines", line=line, showlegend=False, legendgroup=label,
            hoverinfo="skip",
        )  # fmt: skip
        critical, shown = each.critical_batch_size, shown + 1
        low, high = critical.low or sizes.min(), critical.high or sizes.max()
        figure.add_scatter(
            x=digits([low, critical.value or low, high]), y=digits([below(shown)] * 3),
            mode="lines+markers", line=line | {"width": 3}, showlegend=False, legendgroup=label,
            marker={"color": color, "size": [0, 9, 0], "symbol": "diamond"},
            hovertemplate=f"{label}: critical batch size {critical}<extra></extra>",
        )  # fmt: skip
    for way, where, critical, note in found.measured:
        if critical.value is None or critical.low is None:
            continue
        shown, label = shown + 1, ", ".join(filter(None, (way, where)))
        high = critical.high or critical.value
        figure.add_scatter(
            x=digits([critical.low, critical.value, high]), y=digits([below(shown)] * 3), mode="lines+markers",
            line={"color": BLACK, "width": 2}, name=way, showlegend=way not in told, legendgroup=way,
            marker={"color": BLACK, "size": [0, 8, 0], "symbol": _SYMBOLS.get(way, "circle")},
            hovertemplate=f"{label}: {critical} {note}<extra></extra>",
        )  # fmt: skip
        told.add(way)
    return finish(
        figure, "Steps to the target by batch size",
        f"lines: S_min (1 + B_crit/B); below: critical batch sizes with {1 - found.alpha:.0%} intervals; triangles: "
        f"not reached; {'; '.join(found.bases)}",
        xaxis=batch_axis(sizes), yaxis=log_axis("steps"), height=_HEIGHT + _ENTRY * max(len(found.series) - _FEW, 0),
    )  # fmt: skip
