"""Figures in which every trial is a point."""

from math import ceil, log10
from typing import Any

import numpy as np
import plotly.graph_objects as go

from batchlaw.figures.axes import add_beyond, batch_axis, color_axis, count_axis, is_wide, log_axis, score_axis
from batchlaw.figures.labels import settings_line
from batchlaw.figures.style import BLUE, GRAY, ORANGE, OUTCOME_COLORS, VERMILLION, digits, finish, words
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.scaling import family_factor
from batchlaw.results.order import best_first
from batchlaw.results.records import TrialRecord
from batchlaw.results.standings import Standings
from batchlaw.spec import StudySpec, extremes

_MOST_ON_MAP = 500  # trials, so that the figure stays below 60 KB
_MOST_IN_HISTORY = 2000
_SYMBOLS = {  # in the order of drawing
    Outcome.PRUNED: "triangle-down-open",
    Outcome.COMPLETE: "circle",
    Outcome.DIVERGED: "x-thin-open",
    Outcome.OUT_OF_MEMORY: "square-x-open",
}
_COLORED = (Outcome.COMPLETE, Outcome.PRUNED)
# Quantile of scores at which the colours end; a scale over all scores would give the good ones one colour.
_WORST_SHOWN = 0.2


def score_map(spec: StudySpec, records: list[TrialRecord]) -> go.Figure | None:
    """The trials over learning rate and batch size; the colour is the score, the symbol the outcome.

    Where optimizers are compared, learning rates are divided by the factors of their families (`recipe.scaling`), which
    makes them comparable on one axis.
    """
    known = [
        record
        for record in records
        if record.config and record.outcome in _SYMBOLS
        and (record.outcome not in _COLORED or score_of(record) is not None)
    ]  # fmt: skip
    if not known or spec.space.batch_size is None or spec.space.base_lr is None:
        return None
    shown = _sample(known, spec)
    scores = [score_of(record) or 0.0 for record in shown if record.outcome in _COLORED]
    wide = spec.direction == "minimize" and bool(scores) and is_wide(scores)
    figure = go.Figure()
    for outcome in _SYMBOLS:
        part = [record for record in shown if record.outcome == outcome]
        if part:
            _add_points(figure, spec, part, wide=wide)
    if (named := Standings(spec, records).best) is not None:
        figure.add_scatter(
            x=digits([_rate(named, spec)]), y=[named.known_config.batch_size],
            mode="markers", name=f"best: trial {named.number}", hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 18, "color": VERMILLION, "line": {"width": 2.5}},
        )  # fmt: skip
    some = f"; {len(shown)} of {len(known)} trials, the best among them" if len(shown) < len(known) else ""
    told = f"the colour is {words(spec.arm.metric)}{some}" if scores else "no trial has a score"
    return finish(
        figure,
        "Score over learning rate and batch size",
        told + "; family factors make the rates of optimizers comparable" * _compares_families(spec),
        xaxis=log_axis("peak learning rate" + " ÷ family factor" * _compares_families(spec)),
        yaxis=batch_axis(record.known_config.batch_size for record in shown),
        coloraxis=_colors(spec, scores, wide=wide) if scores else None,
        margin={"t": 30},
        height=460,
    )


def _add_points(figure: go.Figure, spec: StudySpec, part: list[TrialRecord], *, wide: bool) -> None:
    """Add the trials of one outcome; complete and pruned ones are coloured by score, or by its logarithm if `wide`."""
    outcome = part[0].outcome
    values = [score_of(record) or 0.0 for record in part]
    marker: dict[str, Any] = {"symbol": _SYMBOLS[outcome], "size": 8, "color": OUTCOME_COLORS[outcome]}
    marker["line"] = {"width": 0.5, "color": "#fff"} if outcome == Outcome.COMPLETE else {"width": 1.5}
    colored = outcome in _COLORED
    if colored:  # a mark for the legend, which cannot show a colour scale
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=outcome, legendgroup=outcome, marker=marker | {"color": GRAY}
        )
        marker |= {"color": digits(map(log10, values) if wide else values), "coloraxis": "coloraxis"}
    figure.add_scatter(
        x=digits(_rate(record, spec) for record in part), y=[record.known_config.batch_size for record in part],
        mode="markers", name=outcome, legendgroup=outcome, showlegend=not colored, marker=marker,
        text=[_described(record, spec) for record in part],
        customdata=[
            [record.number, value if colored else str(outcome)]
            for record, value in zip(part, digits(values), strict=True)
        ],
        hovertemplate="trial %{customdata[0]}: %{customdata[1]}<br>batch size %{y}<br>%{text}<extra></extra>",
    )  # fmt: skip


def score_of(record: TrialRecord) -> float | None:
    """The value of a trial; without one, the last value that it reported."""
    if record.value is not None or not record.intermediate_values:
        return record.value
    return record.intermediate_values[max(record.intermediate_values)]


def _sample(records: list[TrialRecord], spec: StudySpec) -> list[TrialRecord]:
    """At most so many records as the map holds: the best, and every n-th of the others."""
    if len(records) <= _MOST_ON_MAP:
        return records
    best = best_first(records, spec.direction)[: _MOST_ON_MAP // 2]
    numbers = {record.number for record in best}
    others = [record for record in records if record.number not in numbers]
    return best + others[:: ceil(len(others) / (_MOST_ON_MAP - len(best)))]


def _compares_families(spec: StudySpec) -> bool:
    return spec.space.family_factors and len(extremes(spec.space.optimizer)) > 1


def _rate(record: TrialRecord, spec: StudySpec) -> float:
    config = record.known_config
    factor = family_factor(config.optimizer, config.momentum) if _compares_families(spec) else 1.0
    return config.peak_lr / factor


def _described(record: TrialRecord, spec: StudySpec) -> str:
    return f"peak lr {record.known_config.peak_lr:.3g}<br>{settings_line(record.known_config, spec)}"


def _colors(spec: StudySpec, scores: list[float], *, wide: bool) -> dict[str, Any]:
    """The colour axis, from the best score to one that most trials reach."""
    worst = float(np.quantile(scores, _WORST_SHOWN if spec.direction == "maximize" else 1 - _WORST_SHOWN))
    ends = sorted([worst, max(scores) if spec.direction == "maximize" else min(scores)])
    axis = color_axis(ends, spec.direction, wide=wide)
    low, high = digits(map(log10, ends) if wide else ends)
    return axis | ({"cmin": low, "cmax": high} if low < high else {})


def history(spec: StudySpec, records: list[TrialRecord]) -> go.Figure | None:
    """The scores of a search's complete trials by number, and the best so far; None for a designed study."""
    complete = sorted(best_first(records, spec.direction), key=lambda record: record.number)
    if spec.search is None or len(complete) < 2:
        return None
    numbers, values = [r.number for r in complete], [r.value or 0.0 for r in complete]
    up = spec.direction == "maximize"
    best = np.maximum.accumulate(values) if up else np.minimum.accumulate(values)
    turns = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best) - 1]
    every = ceil(len(values) / _MOST_IN_HISTORY)
    figure = go.Figure()
    figure.add_scatter(
        x=numbers[::every], y=digits(values[::every]), mode="markers", name="complete trials",
        marker={"color": BLUE, "size": 6, "opacity": 0.6}, hovertemplate="trial %{x}: %{y}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[numbers[turn] for turn in turns], y=digits(best[turns]), mode="lines", name="best so far",
        line={"color": ORANGE, "shape": "hv", "width": 2.5}, hovertemplate="best %{y}<extra></extra>",
    )  # fmt: skip
    axis = score_axis(spec.arm.metric, values, spec.direction)
    add_beyond(figure, axis, numbers[::every], values[::every])
    return finish(
        figure,
        "How the search got better",
        f"the best {words(spec.arm.metric)} so far",
        xaxis=count_axis("trial", numbers[-1]),
        yaxis=axis,
    )
