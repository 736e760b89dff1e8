"""The cost of training at each batch size, and when the workers trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import ceil
from statistics import median_high, median_low

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from batchlaw.figures.axes import batch_axis, quantity_axis
from batchlaw.figures.style import BLUE, GRAY, OUTCOME_COLORS, digits, finish, words
from batchlaw.recipe.schedule import schedule_of
from batchlaw.results.order import best_first, best_per
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec, TrainConfig

_MOST = 2500  # trials on the timeline, so that the figure stays below 60 KB
_UNITS = ((1.0, "seconds"), (60.0, "minutes"), (3600.0, "hours"), (86_400.0, "days"))


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """The first report of a trial that reaches a target."""

    trial: int
    batch_size: int
    examples: float
    steps: int
    seconds: float  # of wall time: the trial's seconds times the share of its last report's progress


def target_of(spec: StudySpec, records: list[TrialRecord]) -> float | None:
    """The median of the best scores of the batch sizes; of two middle scores the worse, so that half reach it."""
    if spec.space.batch_size is None:
        return None
    best = best_per(best_first(records, spec.direction), "batch_size")
    values = [record.value for record in best if record.value is not None]
    if not values:
        return None
    return median_low(values) if spec.direction == "maximize" else median_high(values)


def arrivals(spec: StudySpec, records: list[TrialRecord], target: float) -> list[Arrival]:
    """For each batch size, the trial that reaches the target with the fewest examples, and of several the fastest."""
    reached = [arrival for record in records if (arrival := _arrival(spec, record, target)) is not None]
    reached.sort(key=lambda arrival: (arrival.batch_size, arrival.examples, arrival.seconds))
    return [next(group) for _, group in groupby(reached, key=lambda arrival: arrival.batch_size)]


def _arrival(spec: StudySpec, record: TrialRecord, target: float) -> Arrival | None:
    """The first report that reaches the target; None without one. Reports of pruned trials count."""
    curve, metric = record.result.curve, spec.arm.metric
    if record.config is None or record.config.steps is None:  # of a budget that only the program knows
        return None
    for point in curve:
        if point.metrics[metric] >= target if spec.direction == "maximize" else point.metrics[metric] <= target:
            config = record.config
            examples = point.progress * config.examples
            assert record.result.seconds is not None  # recorded with every curve
            return Arrival(
                trial=record.number,
                batch_size=config.batch_size,
                examples=examples,
                steps=_steps(config, examples),
                seconds=record.result.seconds * point.progress / curve[-1].progress,
            )
    return None


def _steps(config: TrainConfig, examples: float) -> int:
    """The steps that see so many examples, where the batch size may grow."""
    steps = 0
    for phase in schedule_of(config).phases:
        taken = min(phase.steps, ceil((examples - 1e-6) / phase.batch_size))
        steps, examples = steps + taken, examples - taken * phase.batch_size
        if examples <= 0:
            break
    return steps


def time_to_target(spec: StudySpec, records: list[TrialRecord]) -> go.Figure | None:
    """Examples, steps and seconds until each batch size first reaches a target score.

    Along the dotted line the steps fall as 1/B, so that larger batches need no more examples than small ones (Shallue
    et al. 2018). Where the steps lie above it, larger batches need more examples.
    """
    target = target_of(spec, records)
    found = [] if target is None else arrivals(spec, records, target)
    if target is None or len(found) < 2:
        return None
    sizes = [arrival.batch_size for arrival in found]
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.04)
    for row, quantity in enumerate(("examples", "steps", "seconds"), start=1):
        values = [getattr(arrival, quantity) for arrival in found]
        figure.add_scatter(
            x=sizes, y=digits(values), mode="lines+markers", name=quantity,
            marker={"color": BLUE, "size": 8}, line={"width": 1.2}, customdata=[arrival.trial for arrival in found],
            hovertemplate=f"batch size %{{x}}: %{{y}} {quantity}<br>trial %{{customdata}}<extra></extra>",
            showlegend=False, row=row, col=1,
        )  # fmt: skip
        figure.update_yaxes(quantity_axis(quantity, values), row=row, col=1)
    figure.add_scatter(
        x=[sizes[0], sizes[-1]], y=digits([found[0].steps, found[0].steps * sizes[0] / sizes[-1]]), mode="lines",
        name="steps ∝ 1/B: no example is wasted", line={"color": GRAY, "dash": "dot"}, hoverinfo="skip", row=2, col=1,
    )  # fmt: skip
    figure.update_xaxes(batch_axis(sizes) | {"title": None})
    figure.update_xaxes(title={"text": "batch size"}, row=3, col=1)
    sign = "≥" if spec.direction == "maximize" else "≤"
    return finish(
        figure,
        "Time to a target",
        f"until {words(spec.arm.metric)} {sign} {target:.4g}, the median of the best scores of the batch sizes; each "
        "batch size's fastest trial, at its reports",
        height=640,
    )


def timeline(records: list[TrialRecord]) -> go.Figure | None:
    """When trials ran, with a lane for each trial that ran at the same time; in a gap a worker was idle.

    A trial does not record its worker, so it takes the first free lane.
    """
    ran = [(r.started, r.ended, r) for r in records if r.started and r.ended and r.outcome in OUTCOME_COLORS]
    if not ran:
        return None
    ran.sort(key=lambda entry: entry[:2])
    shown = ran[-_MOST:]
    lanes = lanes_of([(started, ended) for started, ended, _ in shown])
    first, last = shown[0][0], max(ended for _, ended, _ in shown)
    unit, name = max((u for u in _UNITS if (last - first).total_seconds() >= 2 * u[0]), default=_UNITS[0])
    figure = go.Figure()
    for outcome, color in OUTCOME_COLORS.items():
        part = [(bar, lane) for bar, lane in zip(shown, lanes, strict=True) if bar[2].outcome == outcome]
        if part:
            figure.add_bar(
                base=digits((started - first).total_seconds() / unit for (started, _, _), _ in part),
                x=digits(((ended - started).total_seconds() / unit for (started, ended, _), _ in part), 3),
                y=[lane + 1 for _, lane in part], customdata=[record.number for (_, _, record), _ in part],
                orientation="h", name=outcome, width=0.8, marker={"color": color, "line": {"width": 0}},
                hovertemplate=f"trial %{{customdata}}: %{{x}} {name}<extra></extra>",
            )  # fmt: skip
    some = f", the latest {len(shown)} of {len(ran)} trials" if len(shown) < len(ran) else ""
    return finish(
        figure,
        "When trials ran",
        f"a lane for each trial that ran at the same time{some}",
        barmode="overlay",
        xaxis={"title": {"text": f"{name} since the first"}},
        yaxis={"title": {"text": "lane"}, "autorange": "reversed", "dtick": 1 + max(lanes) // 10},
        height=min(220 + 24 * max(lanes), 640),
    )


def lanes_of(spans: Sequence[tuple[datetime, datetime]]) -> list[int]:
    """The first free lane for each span, counted from 0; the spans are ordered by their starts."""
    free_from: list[datetime] = []
    lanes = []
    for started, ended in spans:
        lane = next((number for number, moment in enumerate(free_from) if moment <= started), len(free_from))
        free_from[lane : lane + 1] = [ended]
        lanes.append(lane)
    return lanes
