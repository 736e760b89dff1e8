"""A profile of step times as a figure and as a page."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from batchlaw.figures.pages import drawings, page
from batchlaw.figures.style import FINE_LOG, TEMPLATE, batch_axis, digits, finish
from batchlaw.results.step_time import Profile

_PANELS = {"seconds_a_step": "seconds a step", "examples_a_second": "examples a second"}


def profile_figure(profile: Profile) -> go.Figure:
    """Seconds a step and examples a second on log axes, a line for each optimizer; a diamond marks its knee."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.04)
    for optimizer, color in zip(profile.optimizers, TEMPLATE.layout.colorway, strict=False):
        rows, knee = profile.rows_of(optimizer), profile.knee(optimizer).batch_size
        sizes = [row.batch_size for row in rows]
        for panel, (name, title) in enumerate(_PANELS.items(), start=1):
            figure.add_scatter(
                x=sizes, y=digits(getattr(row, name) for row in rows), mode="lines+markers", row=panel, col=1,
                name=optimizer, legendgroup=optimizer, showlegend=panel == 1, line={"color": color, "width": 1.2},
                marker={
                    "symbol": ["diamond-open" if size == knee else "circle" for size in sizes],
                    "size": [14 if size == knee else 6 for size in sizes],
                },
                hovertemplate=f"{optimizer}, batch size %{{x}}: %{{y}} {title}<extra></extra>",
            )  # fmt: skip
            figure.update_yaxes(FINE_LOG | {"title": {"text": title}, "tickformat": "~s"}, row=panel, col=1)
    figure.update_xaxes(batch_axis(row.batch_size for row in profile.rows) | {"title": None})
    figure.update_xaxes(title={"text": "batch size"}, row=2, col=1)
    return finish(figure, "What a step costs", profile.where(), height=640)


def profile_page(profile: Profile) -> str:
    """An HTML page with the figure and its table."""
    figure = drawings({"profile": profile_figure(profile)}, "figure")["profile"]
    return page("profile.html", title=f"{profile.study}: seconds a step", profile=profile, figure=figure)
