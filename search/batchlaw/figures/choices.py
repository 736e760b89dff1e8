"""Which batch size: the score lost at each, where its best rate is taken."""

import plotly.graph_objects as go

from batchlaw.figures.axes import batch_axis
from batchlaw.figures.style import BLUE, GRAY, GREEN, digits, finish, words
from batchlaw.laws.table_recommendation import Choice, TableRecommendation
from batchlaw.results.plain import number


def choices_figure(found: TableRecommendation) -> go.Figure | None:
    """The score lost at each batch size with its interval, or the best score tried; None with fewer than two sizes."""
    measured = any(each.lost is not None for each in found.choices)
    shown = [each for each in found.choices if each.batch_size and (each.lost if measured else each.score) is not None]
    if len(shown) < 2:
        return None
    figure = go.Figure()
    for tied, name, color in (
        (True, "cannot be told from the best", BLUE),
        (False, "worse" if measured else "tried", GRAY),
    ):
        own = [each for each in shown if bool(each.tied) == tied]
        if own:
            figure.add_scatter(
                x=digits(each.batch_size or 0.0 for each in own), y=digits(map(_height, own)), mode="markers",
                name=name, marker={"size": 9, "color": color}, text=[_rate(each) for each in own],
                error_y=_bars(own) if measured else None,
                hovertemplate="batch size %{x:g}, %{text}: %{y:.4g}<extra></extra>",
            )  # fmt: skip
    chosen = found.chosen
    figure.add_scatter(
        x=digits([chosen.batch_size or 0.0]), y=digits([_height(chosen)]), mode="markers", name="take this",
        marker={"symbol": "circle-open", "size": 18, "color": GREEN, "line": {"width": 3}}, hoverinfo="skip",
    )  # fmt: skip
    where = f" ({found.name})" if found.name else ""
    metric = words(found.score)
    subtitle = (
        "each at its best rate tried; intervals hold for all together"
        if measured
        else "the best of those tried; no test"
    )
    if found.guide:
        subtitle += "; a guide and no test"
    return finish(
        figure, f"Which batch size?{where}", subtitle, xaxis=batch_axis(each.batch_size or 0.0 for each in shown),
        yaxis={"title": {"text": f"{metric} lost" if measured else metric}},
    )  # fmt: skip


def _height(each: Choice) -> float:
    return each.lost if each.lost is not None else each.score or 0.0


def _rate(each: Choice) -> str:
    return "" if each.lr is None else f"rate {number(each.lr)}"


def _bars(own: list[Choice]) -> dict[str, object]:
    high = digits((each.lost_high or 0.0) - _height(each) for each in own)
    low = digits(_height(each) - (each.lost_low or 0.0) for each in own)
    return {"array": high, "arrayminus": low, "thickness": 1, "width": 0}
