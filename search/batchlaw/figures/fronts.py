"""Score against seconds, where a search looks for both."""

import plotly.graph_objects as go

from batchlaw.figures.axes import add_beyond, quantity_axis, score_axis
from batchlaw.figures.labels import settings_line
from batchlaw.figures.style import BLUE, VERMILLION, digits, finish, words
from batchlaw.results.front import front_of
from batchlaw.results.records import TrialRecord
from batchlaw.results.standings import Standings
from batchlaw.spec import StudySpec

_MOST = 500  # trials, so that the figure stays small; those of the front are all there


def front_of_search(spec: StudySpec, records: list[TrialRecord]) -> go.Figure | None:
    """The complete trials by their seconds, with the front; None of a study that searches one metric."""
    if spec.search is None or spec.search.against is None:
        return None
    standings = Standings(spec, records)
    front = front_of(standings)
    if not front:
        return None
    timed = [each for each in standings.configurations(standings.order) if each.seconds_a_run is not None]
    known = {each.trial for each in front}
    shown = [*front, *(each for each in timed if each.trial not in known)][:_MOST]
    figure = go.Figure()
    for part, name, symbol, color in (
        (shown[len(front) :], "complete trials", "circle-open", BLUE),
        (front, "fastest for their score", "circle", VERMILLION),
    ):
        figure.add_scatter(
            x=digits(each.seconds_a_run or 0.0 for each in part), y=digits(each.score for each in part),
            mode="markers", name=name, marker={"symbol": symbol, "color": color, "size": 8},
            error_y={"array": digits(each.score_error or 0.0 for each in part), "thickness": 1, "width": 2}
            if part is front
            else None,
            text=[f"trial {each.trial}<br>{settings_line(each.config, spec)}" for each in part],
            hovertemplate="%{text}<br>%{x:.3g} s: %{y:.4f}<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=digits(each.seconds_a_run or 0.0 for each in front), y=digits(each.score for each in front),
        mode="lines", showlegend=False, line={"color": VERMILLION, "width": 1, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    axis = score_axis(spec.arm.metric, [each.score for each in shown], spec.direction)
    add_beyond(figure, axis, digits(each.seconds_a_run or 0.0 for each in shown), [each.score for each in shown])
    return finish(
        figure,
        "How good in how many seconds?",
        f"{words(spec.arm.metric)} and seconds of a run, with one standard error on the front",
        xaxis=quantity_axis("seconds of a run", [each.seconds_a_run or 1e-3 for each in shown]),
        yaxis=axis,
    )
