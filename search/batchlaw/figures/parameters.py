"""The scores over each searched parameter of the user's own."""

import plotly.graph_objects as go

from batchlaw.figures.axes import add_beyond, log_axis, score_axis
from batchlaw.figures.bests import best_per_knob
from batchlaw.figures.labels import places_line, settings_line
from batchlaw.figures.style import BLUE, VERMILLION, digits, finish, words
from batchlaw.results.records import TrialRecord
from batchlaw.results.standings import Standings
from batchlaw.spec import FloatRange, IntRange, StudySpec

_MOST = 500  # trials, so that a figure stays below 60 KB


def parameter_figures(spec: StudySpec, records: list[TrialRecord]) -> dict[str, go.Figure | None]:
    """A figure for each parameter: of a range the score of every trial, of choices the best score of each."""
    drawn = {}
    for name in spec.searched:
        if name in spec.parameters:
            is_range = isinstance(spec.parameters[name].dimension, FloatRange | IntRange)
            figure = score_over(spec, records, name) if is_range else best_per_knob(spec, records, name)
            drawn[("score-over-" if is_range else "best-per-") + name.replace("_", "-")] = figure
    return drawn


def score_over(spec: StudySpec, records: list[TrialRecord], name: str) -> go.Figure | None:
    """The scores of complete trials over a parameter; trials without it are left out."""
    complete = [record for record in Standings(spec, records).order if name in record.known_config.parameters]
    if len(complete) < 2:
        return None
    shown = complete[:_MOST]
    x, scores = [r.known_config.parameters[name] for r in shown], [r.value or 0.0 for r in shown]
    figure = go.Figure()
    figure.add_scatter(
        x=digits(map(float, x)), y=digits(scores), mode="markers", marker={"color": BLUE, "size": 7}, name="trials",
        customdata=[record.number for record in shown], text=[_described(record, spec) for record in shown],
        hovertemplate=f"trial %{{customdata}}: %{{y}}<br>{name} %{{x}}<br>%{{text}}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=digits(map(float, x[:1])), y=digits(scores[:1]), mode="markers", name=f"best: trial {shown[0].number}",
        hoverinfo="skip", marker={"symbol": "circle-open", "size": 16, "color": VERMILLION, "line": {"width": 2.5}},
    )  # fmt: skip
    axis = score_axis(spec.arm.metric, scores, spec.direction)
    add_beyond(figure, axis, digits(map(float, x)), scores)
    best = "" if len(shown) == len(complete) else f" of the best {_MOST}"
    return finish(
        figure,
        f"Score over {name}",
        f"{words(spec.arm.metric)}{best} of {len(complete)} complete trials; the other parameters vary as well",
        xaxis=log_axis(name) if spec.parameters[name].log else {"title": {"text": name}},
        yaxis=axis,
    )


def _described(record: TrialRecord, spec: StudySpec) -> str:
    config = record.known_config
    return "<br>".join(filter(None, [places_line(config), settings_line(config, spec)]))
