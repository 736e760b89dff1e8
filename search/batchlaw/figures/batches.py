"""The outcomes of the trials of each batch size, which show whether the pruner favours some batch sizes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import log2

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from batchlaw.figures.axes import count_axis
from batchlaw.figures.style import ORANGE, OUTCOME_COLORS, digits, finish
from batchlaw.recipe.result import ENDED, ENDINGS, Outcome
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec

_MOST = 16  # batch sizes that get a bar each; more are grouped by octaves


@dataclass(frozen=True, kw_only=True)
class BatchOutcomes:
    """The trials of one batch size, or of an octave of them."""

    label: str
    counts: dict[Outcome, int]  # outcomes without a trial are left out
    ended: int  # trials that fill a slot of the budget
    prune_rate: float  # share of the ended trials
    ci_low: float  # Wilson's 95 % interval
    ci_high: float


def outcomes_by_batch_size(records: Iterable[TrialRecord]) -> list[BatchOutcomes]:
    """The outcomes of trials that have a configuration, by ascending batch size."""
    started = [
        (record.config.batch_size, record)
        for record in records
        if record.config and record.config.batch_size is not None and record.outcome in ENDINGS
    ]
    sizes = {size for size, _ in started}
    groups: dict[int, list[TrialRecord]] = {}
    for size, record in started:
        groups.setdefault(size if len(sizes) <= _MOST else 2 ** int(log2(size)), []).append(record)
    return [
        _outcomes(str(size) if len(sizes) <= _MOST else f"{size}–{2 * size - 1}", groups[size])
        for size in sorted(groups)
    ]


def _outcomes(label: str, records: list[TrialRecord]) -> BatchOutcomes:
    from scipy.stats import binomtest  # a third of a second to import

    counts = Counter(record.outcome for record in records)
    ended, pruned = sum(counts[outcome] for outcome in ENDED), counts[Outcome.PRUNED]
    interval = binomtest(pruned, ended).proportion_ci(method="wilson") if ended else None
    return BatchOutcomes(
        label=label,
        counts=dict(counts),
        ended=ended,
        prune_rate=pruned / ended if ended else 0.0,
        ci_low=float(interval.low) if interval else 0.0,
        ci_high=float(interval.high) if interval else 1.0,
    )


def outcome_figure(spec: StudySpec, records: list[TrialRecord]) -> go.Figure | None:
    """Trials by outcome as stacked bars; below them, in a study that prunes, the share of pruned trials."""
    rows = outcomes_by_batch_size(records)
    if not rows:
        return None
    prunes = spec.search is not None and spec.search.pruner != "none"
    figure = make_subplots(rows=1 + prunes, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    labels = [row.label for row in rows]
    for outcome, color in OUTCOME_COLORS.items():
        counts = [row.counts.get(outcome, 0) for row in rows]
        if any(counts):
            figure.add_bar(x=labels, y=counts, name=outcome, marker={"color": color}, row=1, col=1)
    if prunes:
        rates = [row.prune_rate for row in rows]
        figure.add_scatter(
            x=labels, y=digits(rates), mode="markers", name="share pruned", marker={"color": ORANGE, "size": 9},
            error_y={
                "array": digits(row.ci_high - row.prune_rate for row in rows),
                "arrayminus": digits(row.prune_rate - row.ci_low for row in rows), "thickness": 1.3,
            },
            customdata=[row.ended for row in rows], showlegend=False, row=2, col=1,
            hovertemplate="batch size %{x}: %{y:.0%} of %{customdata} pruned<extra></extra>",
        )  # fmt: skip
        figure.update_yaxes(title={"text": "share pruned"}, tickformat=".0%", range=[0, 1.02], row=2, col=1)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
    figure.update_xaxes(title={"text": "batch size"}, row=1 + prunes, col=1)
    most = max(sum(row.counts.values()) for row in rows)
    figure.update_yaxes(count_axis("trials", most), row=1, col=1)
    subtitle = "with Wilson's 95 % interval of the share pruned" if prunes else "at each batch size"
    return finish(figure, "How trials ended", subtitle, barmode="stack", showlegend=True, height=380 + 140 * prunes)
