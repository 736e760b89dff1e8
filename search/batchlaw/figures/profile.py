"""A profile of step times as figures and as a page."""

from itertools import cycle

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from batchlaw.figures.axes import batch_axis, quantity_axis
from batchlaw.figures.pages import drawings, page
from batchlaw.figures.style import TEMPLATE, digits, finish
from batchlaw.results.step_time import Profile

_MARKS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon")
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
    for panel, (name, title) in enumerate(_PANELS.items(), start=1):
        figure.update_yaxes(quantity_axis(title, [getattr(row, name) for row in profile.rows]), row=panel, col=1)
    figure.update_xaxes(batch_axis(row.batch_size for row in profile.rows) | {"title": None})
    figure.update_xaxes(title={"text": "batch size"}, row=2, col=1)
    return finish(figure, "What a step costs", profile.where(), height=640)


def sharing_figure(profile: Profile) -> go.Figure | None:
    """Seconds a step and efficiency against the whole batch, a line for each number of devices; filled: deserved.

    None where one device was measured only. The optimizers differ in their marks.
    """
    sharings = profile.sharings()
    if not sharings:
        return None
    panels = {"seconds_a_step": "seconds a step", "efficiency": "efficiency"}
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.04)
    marks = dict(zip(profile.optimizers, cycle(_MARKS), strict=False))
    for devices, color in zip(profile.devices, cycle(TEMPLATE.layout.colorway), strict=False):
        for optimizer, mark in marks.items():
            own = [each for each in sharings if each.devices == devices and each.optimizer == optimizer]
            name = "1 device" if devices == 1 else f"{devices} devices"
            name = name if len(marks) == 1 else f"{name}, {optimizer}"
            for panel, (value, title) in enumerate(panels.items(), start=1):
                figure.add_scatter(
                    x=[each.batch_size for each in own], y=digits(getattr(each, value) for each in own),
                    mode="lines+markers", row=panel, col=1, name=name, legendgroup=name, showlegend=panel == 1,
                    line={"color": color, "width": 1.2},
                    marker={"symbol": [mark if each.deserved else f"{mark}-open" for each in own], "size": 8},
                    hovertemplate=f"{name}, batch size %{{x}}: %{{y}} {title}<extra></extra>",
                )  # fmt: skip
    seconds = [each.seconds_a_step for each in sharings]
    figure.update_yaxes(quantity_axis(panels["seconds_a_step"], seconds), row=1, col=1)
    efficiency = {"title": {"text": panels["efficiency"]}, "tickformat": ".0%", "rangemode": "tozero"}
    figure.update_yaxes(efficiency, row=2, col=1)
    figure.update_xaxes(batch_axis(each.batch_size for each in sharings) | {"title": None})
    figure.update_xaxes(title={"text": "batch size, of all devices"}, row=2, col=1)
    subtitle = f"{profile.where()}; filled: the number of devices that the batch size deserves"
    return finish(figure, "What sharing a batch gains", subtitle, height=640)


def profile_page(profile: Profile) -> str:
    """An HTML page with the figures and the table."""
    figures = {"profile": profile_figure(profile)}
    if (sharing := sharing_figure(profile)) is not None:
        figures["sharing"] = sharing
    drawn = drawings(figures, "figure")
    return page("profile.html", title=f"{profile.study}: seconds a step", profile=profile, figures=drawn)
