"""The figure of a plan: the best rates of all groups of runs, and what is forecast for the run asked for."""

import numpy as np
import plotly.graph_objects as go

from batchlaw.figures.axes import FINE_LOG, batch_axis, log_axis
from batchlaw.figures.style import BLACK, digits, finish
from batchlaw.laws.plan import Plan
from batchlaw.results.plain import number

_PLACES = 60  # points of a curve
_SCALE = "Viridis"


def plan_figure(plan: Plan) -> go.Figure:
    """The best rate against batch size: a point and its error for each row of runs, and the forecast with its band."""
    figure = go.Figure()
    low, high = np.log2(plan.tried)
    sizes = np.linspace(low, high, _PLACES)
    groups = sorted(plan.fitted.groups, key=lambda group: float(group.at.sum()))
    colors = _colors(len(groups))
    for place, (group, color) in enumerate(zip(groups, colors, strict=True)):
        name = plan.name_of(group)
        optima = group.optima
        errors = np.sqrt(np.diag(optima.covariance))
        best = 2**optima.best
        bars = {
            "type": "data", "symmetric": False, "array": digits(best * (2**errors - 1)),
            "arrayminus": digits(best * (1 - 2**-errors)), "thickness": 1, "width": 0, "color": color,
        }  # fmt: skip
        figure.add_scatter(
            x=digits(2**optima.batch_size), y=digits(best), mode="markers", error_y=bars,
            hovertemplate=f"{name}: rate %{{y:.3g}} at batch size %{{x:.3g}}<extra></extra>",
            showlegend=place == len(groups) // 2, name="best rates of the runs (dark: short and small)",
            marker={"color": color, "size": 6},
        )  # fmt: skip
        inside = sizes[(sizes >= optima.batch_size.min()) & (sizes <= optima.batch_size.max())]
        figure.add_scatter(
            x=digits(2**inside), y=digits(2 ** plan.fitted.rate(group.at, inside).mean), mode="lines", showlegend=False,
            hoverinfo="skip", line={"color": color, "width": 1},
        )  # fmt: skip
    found = plan.rates(2**sizes)
    low, high = found.interval(plan.alpha)
    figure.add_scatter(
        x=digits(2 ** np.concatenate([sizes, sizes[::-1]])), y=digits(2 ** np.concatenate([low, high[::-1]])),
        fill="toself", fillcolor="rgba(0,0,0,.10)", line={"width": 0}, hoverinfo="skip", mode="lines", showlegend=False,
    )  # fmt: skip
    asked = ", ".join(f"{name} {number(value)}" for name, value in plan.at.items())
    figure.add_scatter(
        x=digits(2**sizes), y=digits(2**found.mean), mode="lines", name=f"forecast: {asked}",
        line={"color": BLACK, "width": 2},
    )  # fmt: skip
    best_size, lr = plan.batch_size, plan.lr
    if best_size is not None and lr is not None:
        figure.add_scatter(
            x=[best_size.value], y=[lr.value], mode="markers",
            name=f"plan: batch {best_size.value:.0f}, rate {lr.value:.3g}",
            marker={"color": BLACK, "size": 11, "symbol": "star"},
            error_x={
                "type": "data", "symmetric": False, "array": [best_size.high - best_size.value],
                "arrayminus": [best_size.value - best_size.low], "thickness": 1, "color": BLACK,
            },
        )  # fmt: skip
    shown = (2 ** np.concatenate([group.optima.batch_size for group in groups])).tolist()
    shown += [] if best_size is None else [best_size.low, best_size.high]
    return finish(
        figure, "Which rate for the run asked for?",
        f"points: best rates of the runs and their errors; lines: the law; shaded: {1 - plan.alpha:.0%} of forecasts",
        xaxis=batch_axis(shown),
        yaxis=log_axis("learning rate") | FINE_LOG,
        height=520,
    )  # fmt: skip


def _colors(n: int) -> list[str]:
    from plotly.colors import sample_colorscale

    return list(sample_colorscale(_SCALE, np.linspace(0.05, 0.9, n).tolist()))
