"""Figures of laws: the best learning rate against batch size, the regret of rules, and score against time."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import plotly.graph_objects as go

from batchlaw.errors import BatchlawError
from batchlaw.figures.axes import FINE_LOG, add_beyond, batch_axis, log_axis, quantity_axis, score_axis
from batchlaw.figures.ends import tuned_range
from batchlaw.figures.sets import draw_band, draw_cells, draw_empty, draw_sets
from batchlaw.figures.style import BLACK, GRAY, GREEN, HEIGHT, TEMPLATE, digits, finish, words
from batchlaw.laws.law import Law
from batchlaw.laws.recommendation import Recommendation, recommend
from batchlaw.laws.transfer import Transfer, transfers_of
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec

_FAR = 4.0  # a rule whose regret is this many times the next one's is cut off at the edge of the figure
_ENTRY = 20  # pixels of an entry of the legend
_BESIDE = 1.1  # factor between the bars of two strata at one batch size
_PLACES = 40  # points of a curve between the smallest and the largest batch size


def law_figures(spec: StudySpec, records: list[TrialRecord], laws: Sequence[Law]) -> dict[str, go.Figure]:
    """The law, the regret of rules (of a designed study), and score against time; what has no data is left out.

    A study may have more strata than there are colours; the first ones are drawn.
    """
    drawn = {}
    first = [law for law in laws if law.fitted][: len(TEMPLATE.layout.colorway)]
    if (figure := law_figure(first)) is not None:
        drawn["law"] = figure
    for law in first if spec.claim else []:
        suffix = "".join(f"-{key}-{value}" for key, value in law.stratum.items()).replace(".", "_")
        with suppress(BatchlawError):  # costs can be told at too few batch sizes
            (transfer,) = transfers_of(spec, [law])
            drawn[f"transfer{suffix}"] = transfer_figure(spec.arm.metric, transfer)
    if spec.search is not None and spec.search.against is not None:  # figures.fronts has score against time
        return drawn
    with suppress(BatchlawError):  # no trial has finished, or none has recorded its time
        found = recommend(spec, records, laws, None)
        if len(found.candidates) > 1:
            drawn["front"] = front_figure(spec, found)
    return drawn


def law_figure(laws: Sequence[Law]) -> go.Figure | None:
    """The sets of the best rates, the law of each stratum, and the band in which a further optimum would lie."""
    shown = [law for law in laws if law.ridge is not None and law.fitted is not None][: len(TEMPLATE.layout.colorway)]
    if not shown:
        return None
    figure = go.Figure()
    for number, (law, color) in enumerate(zip(shown, TEMPLATE.layout.colorway, strict=False)):
        ridge, fitted = law.ridge, law.fitted
        assert ridge is not None and fitted is not None
        if len(shown) == 1:
            draw_empty(figure, ridge)
            if law.surface is not None:
                draw_cells(figure, law.surface)
        x = np.geomspace(*fitted.seen, _PLACES)
        middle, *ends = np.array([fitted.predict(batch_size) for batch_size in x]).T
        bounded = fitted.exponent.bounded and not fitted.fit.curve.bends
        name = law.name or "law"
        told = f"{name}: exponent from {fitted.exponent.ci_low:.2f} to {fitted.exponent.ci_high:.2f}"
        inside = np.clip(np.stack(ends, axis=1), *tuned_range(ridge))
        draw_band(figure, x, inside, color, told if bounded else "")
        if not bounded:
            label = f"{name}, {fitted.fit.curve.formula}"
            line = {"color": color, "width": 2}
            figure.add_scatter(x=digits(x), y=digits(middle), mode="lines", name=label, line=line)
        best = "best rate" if len(shown) == 1 else ""
        beside = _BESIDE ** (number - (len(shown) - 1) / 2)
        what = f"{law.name} best rate".strip()
        undecided = color if len(shown) > 1 else GRAY
        draw_sets(figure, ridge, color=color, name=best, what=what, undecided=undecided, beside=beside)
        if critical := law.critical_batch_size:
            figure.add_vline(x=critical.value, line={"color": color, "dash": "dot", "width": 1})
    lowest, highest = zip(*(tuned_range(law.ridge) for law in shown if law.ridge), strict=True)
    ends_of_axis = [float(np.log10(min(lowest))), float(np.log10(max(highest)))]
    subtitle = "bars: 95 % sets of the best rate (arrows: open); shaded: where a further one would lie"
    if left := sum(law.fitted is not None for law in laws) - len(shown):
        subtitle += f"; {left} more laws are not drawn"
    return finish(
        figure, "The best learning rate by batch size", subtitle,
        xaxis=batch_axis(size for law in shown if law.ridge for size in law.ridge.given),
        yaxis=log_axis("learning rate") | FINE_LOG | {"range": ends_of_axis},
        height=480,
    )  # fmt: skip


def transfer_figure(metric: str, transfer: Transfer) -> go.Figure:
    """The regret of each rule against batch size, with its interval; the band is one standard error of the tuned score.

    A rate beyond those tried counts as the last of them, so that its regret is at least that: an arrow says so.
    """
    figure, sizes, costs = go.Figure(), transfer.given.tolist(), transfer.costs
    figure.add_scatter(
        x=[*sizes, *sizes[::-1]], y=digits([*transfer.errors, *-transfer.errors[::-1]]), fill="toself",
        fillcolor=GRAY, opacity=0.25, mode="lines", line={"width": 0}, name="one standard error", hoverinfo="skip",
    )  # fmt: skip
    for number, (rule, color) in enumerate(zip(transfer.rules, TEMPLATE.layout.colorway, strict=False)):
        own = costs[costs["rule"] == rule.name]
        beside = _BESIDE ** (0.4 * (number - (len(transfer.rules) - 1) / 2))
        figure.add_scatter(
            x=digits(own["batch_size"] * beside), y=digits(own["cost"]), mode="lines+markers", name=rule.name,
            line={"color": color, "width": 1.5}, customdata=own["batch_size"].tolist(),
            marker={"size": 6},
            error_y={
                "array": digits(own["high"] - own["cost"]), "arrayminus": digits(own["cost"] - own["low"]),
                "thickness": 1, "width": 0,
            },
            hovertemplate=f"{rule.name}: %{{y:.4f}} at %{{customdata:g}}<extra></extra>",
        )  # fmt: skip
        if (least := own[own["at_least"]]).size:
            figure.add_scatter(
                x=digits(least["batch_size"] * beside), y=digits(least["cost"]), mode="markers", showlegend=False,
                marker={"symbol": "triangle-up", "size": 12, "color": color}, hoverinfo="skip",
            )  # fmt: skip
    reference = transfer.given[transfer.reference]
    where = f" ({transfer.law.name})" if transfer.law.name else ""
    subtitle = (
        f"{words(metric)} lost where the rate tuned at {reference:g} is moved by a rule instead of tuned again, with "
        f"{1 - transfer.law.alpha:.0%} intervals"
    )
    if costs["at_least"].any():
        subtitle += "; triangles: at least this, since the rate lies beyond those tried"
    axis: dict[str, object] = {"title": {"text": f"{words(metric)} lost"}}
    # A rule with a far larger regret would flatten the lines of all others.
    *others, worst = sorted(float(rule.carried.regrets.mean(axis=1).max()) for rule in transfer.rules)
    if others and worst > _FAR * others[-1] > 0:
        axis["range"] = [-2 * float(transfer.errors.max()), 1.5 * others[-1]]
        subtitle += f"; the worst goes up to {worst:.3g}"
    if transfer.guide:
        subtitle += "; a guide and no test"
    return finish(figure, f"What does a rule cost?{where}", subtitle, xaxis=batch_axis(sizes), yaxis=axis)


def front_figure(spec: StudySpec, found: Recommendation) -> go.Figure:
    """Score against seconds of training, with the Pareto front and the recommended configuration."""
    figure = go.Figure()
    groups = dict.fromkeys(candidate.config.optimizer for candidate in found.candidates)
    for optimizer, color in zip(groups, TEMPLATE.layout.colorway, strict=False):
        own = [candidate for candidate in found.candidates if candidate.config.optimizer == optimizer]
        errors = [candidate.configuration.standard_error or 0.0 for candidate in own]
        figure.add_scatter(
            x=digits(candidate.seconds for candidate in own), y=digits(candidate.value for candidate in own),
            mode="markers", name=optimizer, marker={"color": color, "size": 8},
            error_y={"array": digits(errors), "thickness": 1, "width": 2},
            text=[f"batch size {c.config.batch_size}, peak lr {c.config.peak_lr:.3g}" for c in own],
            hovertemplate="%{text}<br>%{x:.3g} s: %{y:.4f}<extra></extra>",
        )  # fmt: skip
    front = [candidate for candidate in found.candidates if candidate.on_front]
    figure.add_scatter(
        x=digits(candidate.seconds for candidate in front), y=digits(candidate.value for candidate in front),
        mode="lines", name="front", line={"color": BLACK, "width": 1, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    values = [candidate.value for candidate in found.candidates]
    errors = [candidate.configuration.standard_error or 0.0 for candidate in found.candidates]
    axis = score_axis(spec.arm.metric, values, spec.direction, errors)
    add_beyond(figure, axis, digits(candidate.seconds for candidate in found.candidates), values)
    chosen = found.chosen
    figure.add_scatter(
        x=digits([chosen.seconds]), y=digits([chosen.value]), mode="markers", name="recommended",
        hoverinfo="skip", marker={"symbol": "circle-open", "size": 18, "color": GREEN, "line": {"width": 3}},
    )  # fmt: skip
    return finish(
        figure, "Score against seconds of training", f"by {found.clock}; the line joins what nothing beats in both",
        xaxis=quantity_axis("seconds of training", [candidate.seconds for candidate in found.candidates]),
        yaxis=axis,
        height=HEIGHT + _ENTRY * len(groups),  # which stand below one another on a phone
    )  # fmt: skip
