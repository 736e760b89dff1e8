"""The best score of each value of a hyperparameter, with its interval."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from batchlaw.export.provenance import interval_of
from batchlaw.figures.axes import add_beyond, batch_axis, score_axis
from batchlaw.figures.labels import places_line, settings_line
from batchlaw.figures.style import BLUE, GRAY, broken, digits, finish
from batchlaw.recipe.result import ENDED, Outcome
from batchlaw.results.columns import text_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.records import TrialRecord
from batchlaw.results.standings import Standings
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS

_LABEL = 20  # characters of a value beside the figure, which leave room on a phone
_MOST = 200  # batch sizes in the figure; a space without powers of two may have more
_KINDS = (  # of `tied_with_best`
    (True, "cannot be told from the best", "circle"),
    (False, "worse than the best", "circle-open"),
    (None, "error unknown", "diamond-open"),
)
_LABELS = {knob.name: knob.label for knob in KNOBS}


def best_of(spec: StudySpec, records: list[TrialRecord], knob: str) -> list[Configuration]:
    """The best configuration of each value of a hyperparameter, in the order of the values."""
    standings = Standings(spec, records)
    return standings.configurations(standings.per(knob))


def best_per_batch_size(spec: StudySpec, records: list[TrialRecord]) -> go.Figure | None:
    """The best score of each batch size."""
    best = best_of(spec, records, "batch_size")
    if len(best) < 2:
        return None
    best = best[:: -(-len(best) // _MOST)]
    figure, axis = go.Figure(), _score_axis(spec, best)
    for tied, name, symbol in _KINDS:
        part = [configuration for configuration in best if configuration.tied_with_best is tied]
        if part:
            figure.add_scatter(
                x=[c.config.batch_size for c in part], y=digits(c.score for c in part), error_y=errors_of(part),
                mode="markers", name=name, text=[_described(c, spec) for c in part],
                marker={"symbol": symbol, "size": 9, "color": BLUE},
                hovertemplate="batch size %{x}: %{y}<br>%{text}<extra></extra>",
            )  # fmt: skip
    add_beyond(figure, axis, [c.config.batch_size for c in best], [c.score for c in best])
    return finish(
        figure,
        "Best score per batch size",
        _meaning(best),
        xaxis=batch_axis(c.config.batch_size for c in best),
        yaxis=axis,
    )


def best_per_knob(spec: StudySpec, records: list[TrialRecord], knob: str) -> go.Figure | None:
    """The best score of each value of a hyperparameter, such as each optimizer, with the best of them on top.

    Beside each stands how many of its trials trained to the end: of few, the best says little.
    """
    best = best_of(spec, records, knob)
    if len(best) < 2:
        return None
    shares = _shares(records, knob)
    best.sort(key=lambda c: c.score, reverse=spec.direction == "minimize")  # the last is drawn on top
    labels = {
        c.config.value_of(knob): "<br>".join(
            [*broken(text_of(c.config, knob), _LABEL), shares[c.config.value_of(knob)]]
        )
        for c in best
    }
    figure, axis = go.Figure(), _score_axis(spec, best)
    for tied, name, symbol in _KINDS:
        part = [configuration for configuration in best if configuration.tied_with_best is tied]
        if part:
            figure.add_scatter(
                x=digits(c.score for c in part), y=[labels[c.config.value_of(knob)] for c in part],
                error_x=errors_of(part), mode="markers", name=name, text=[_described(c, spec) for c in part],
                marker={"symbol": symbol, "size": 9, "color": BLUE},
                hovertemplate="%{y} complete<br>best %{x}<br>%{text}<extra></extra>",
            )  # fmt: skip
    add_beyond(figure, axis, [labels[c.config.value_of(knob)] for c in best], [c.score for c in best], sideways=True)
    return finish(
        figure,
        f"Best score per {_LABELS.get(knob, knob)}",
        f"of those trials that are complete; {_meaning(best)}",
        xaxis=axis,
        yaxis={"categoryorder": "array", "categoryarray": list(labels.values())},
        height=190 + 42 * len(best),
    )


def _shares(records: list[TrialRecord], knob: str) -> dict[Any, str]:
    """`6 of 21` for each value: the complete and the ended trials with it."""
    outcomes = defaultdict[Any, list[Outcome]](list)
    for record in records:
        if record.outcome in ENDED and record.config:
            outcomes[record.config.value_of(knob)].append(record.outcome)
    return {value: f"{ended.count(Outcome.COMPLETE)} of {len(ended)}" for value, ended in outcomes.items()}


def errors_of(configurations: Sequence[Configuration]) -> dict[str, Any]:
    """Error bars of the 95 % intervals."""
    ends = [(configuration.score, interval_of(configuration)[1]) for configuration in configurations]
    widths = [0.0 if high is None else high - value for value, high in ends]
    return {"array": digits(widths), "thickness": 1.3, "color": GRAY}


def _score_axis(spec: StudySpec, best: Sequence[Configuration]) -> dict[str, Any]:
    return score_axis(spec.arm.metric, [c.score for c in best], spec.direction, errors_of(best)["array"])


def _meaning(best: Sequence[Configuration]) -> str:
    """A sentence on what the error bars are."""
    if best[0].score_error is None:
        return "one seed gives no interval"
    source = "over seeds" if best[0].fresh or best[0].standard_error_of == "seeds" else "of the validation sample"
    return f"95 % intervals {source}; the best of many is flattered by its selection"


def _described(configuration: Configuration, spec: StudySpec) -> str:
    config = configuration.config
    head = ", ".join(filter(None, [f"trial {configuration.trial}", places_line(config)]))
    return f"{head}<br>{settings_line(config, spec)}"
