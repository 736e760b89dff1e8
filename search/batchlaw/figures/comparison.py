"""Studies with the same metric in one figure."""

import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go

from batchlaw.figures.axes import add_beyond, batch_axis, score_axis
from batchlaw.figures.bests import best_of, errors_of
from batchlaw.figures.labels import places_line
from batchlaw.figures.style import BLUE, digits, finish, words
from batchlaw.results.configuration import Configuration
from batchlaw.results.ranking import ranking
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec

_ASIDE = 0.1  # octaves by which studies are drawn beside each other
_NAME_LENGTH = 16  # characters of a study's name on a line
_Bests = list[tuple[StudySpec, list[Configuration]]]  # each study with its best configuration at each batch size


def comparison(studies: Sequence[tuple[StudySpec, list[TrialRecord]]]) -> dict[str, go.Figure]:
    """The best scores of studies, overall and at each batch size, for each metric that several of them have."""
    drawn = {}
    for metric in dict.fromkeys(spec.arm.metric for spec, _ in studies):
        alike = [(spec, records) for spec, records in studies if spec.arm.metric == metric]
        bests = [(spec, ranking(records, spec, 1)) for spec, records in alike]
        if sum(map(bool, (best for _, best in bests))) > 1:
            drawn[f"best-{metric}"] = _best([(spec, best[0]) for spec, best in bests if best])
        per_size = [(spec, best_of(spec, records, "batch_size")) for spec, records in alike]
        if sum(map(bool, (best for _, best in per_size))) > 1:
            drawn[f"best-{metric}-per-batch-size"] = _per_batch_size([each for each in per_size if each[1]])
    return drawn


def _best(studies: list[tuple[StudySpec, Configuration]]) -> go.Figure:
    """The best score of each study with its 95 % interval, in order of score."""
    metric, direction = studies[0][0].arm.metric, studies[0][0].direction
    best = {_lines(spec.name): winner for spec, winner in studies}
    ordered = sorted(best, key=lambda name: best[name].score, reverse=direction == "minimize")  # the last is on top
    winners = [best[name] for name in ordered]
    figure = go.Figure(
        go.Scatter(
            x=digits(c.score for c in winners), y=ordered, error_x=errors_of(winners), mode="markers",
            marker={"color": BLUE, "size": 9}, customdata=[[c.trial] for c in winners],
            text=[places_line(c.config) for c in winners],
            hovertemplate="%{y}: %{x}<br>trial %{customdata[0]}<br>%{text}<extra></extra>",
        )
    )  # fmt: skip
    scores = [c.score for c in winners]
    axis = score_axis(metric, scores, direction, errors_of(winners)["array"])
    add_beyond(figure, axis, ordered, scores, sideways=True)
    return finish(
        figure,
        "Best score per study",
        "with 95 % intervals; the best of many is flattered by its selection",
        xaxis=axis,
        yaxis={"categoryorder": "array", "categoryarray": ordered},
        height=170 + 36 * len(ordered),
    )


def _lines(name: str) -> str:
    """A long name on several lines, so that a phone has room for the scores."""
    return "<br>".join(textwrap.wrap(name, _NAME_LENGTH))


def _per_batch_size(studies: _Bests) -> go.Figure:
    metric, direction = studies[0][0].arm.metric, studies[0][0].direction
    figure = go.Figure()
    for number, (spec, best) in enumerate(studies):
        aside = 2 ** (_ASIDE * (number - (len(studies) - 1) / 2))  # side by side, so that no interval covers another
        figure.add_scatter(
            x=digits(c.config.batch_size * aside for c in best), y=digits(c.score for c in best), mode="lines+markers",
            error_y=errors_of(best) | {"color": None}, name=spec.name, line={"width": 1.2}, marker={"size": 8},
            customdata=[[c.config.batch_size, c.trial] for c in best],
            text=[places_line(c.config) for c in best],
            hovertemplate="batch size %{customdata[0]}: %{y}<br>trial %{customdata[1]}, %{text}",
        )  # fmt: skip
    every = [c for _, best in studies for c in best]
    axis = score_axis(metric, [c.score for c in every], direction, errors_of(every)["array"])
    add_beyond(figure, axis, [c.config.batch_size for c in every], [c.score for c in every])
    return finish(
        figure,
        "Best score per batch size",
        f"of each study, by {words(metric)}, with 95 % intervals",
        xaxis=batch_axis(c.config.batch_size for c in every),
        yaxis=axis,
        height=460,
    )
