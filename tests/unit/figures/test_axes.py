"""Axes: plain numbers at few places, and good scores that failures do not flatten."""

import dataclasses

import numpy as np
import plotly.graph_objects as go
import pytest
from batchlaw.figures.axes import add_beyond, count_axis, quantity_axis, score_axis
from batchlaw.figures.style import finish
from batchlaw.recipe.result import Outcome
from batchlaw.results.search_run import Confirms

from tests.unit.figures.test_figures import drawn, record, traces


@pytest.mark.parametrize("low", [3e-7, 0.00012, 0.3, 7, 950, 2.5e6, 3e11])
@pytest.mark.parametrize("factor", [1, 1.001, 3, 80, 1e4, 1e9])
def test_quantities_have_a_few_marks_that_read_as_they_stand(low, factor):
    axis = quantity_axis("seconds", [low, low * factor])
    first, last = axis["range"]
    assert first < np.log10(low) and np.log10(low * factor) < last and last - first > np.log10(2)
    assert 1 <= len(axis["tickvals"]) <= 5
    for mark, text in zip(axis["tickvals"], axis["ticktext"], strict=True):
        assert float(text.replace(",", "")) == pytest.approx(mark) and first <= np.log10(mark) <= last


def test_counts_are_whole():
    assert count_axis("trials", 3)["dtick"] == 1 and "dtick" not in count_axis("trials", 500)


@pytest.mark.parametrize(
    ("scores", "direction", "beyond"),
    [
        ([0.9, 0.88, 0.89, 0.87, -3.0], "maximize", [-3.0]),
        ([0.1, 0.12, 0.11, 0.13, 0.9], "minimize", [0.9]),
        ([0.01, 0.02, 0.015, 0.03, 1e6], "minimize", [1e6]),  # on a logarithmic axis
        ([0.9, 0.88, 0.89, 0.87, 0.86], "maximize", []),
        ([0.5, 0.5, 0.5], "maximize", []),
    ],
)
def test_what_would_flatten_the_good_scores_is_a_triangle_at_the_axis_end(scores, direction, beyond):
    axis = score_axis("score", scores, direction)
    figure = go.Figure()
    add_beyond(figure, axis, range(len(scores)), scores)
    assert [score for trace in figure.data for score in trace.customdata] == beyond
    if beyond:
        ends = [10**end for end in axis["range"]] if axis.get("type") == "log" else axis["range"]
        assert all(ends[0] < score < ends[1] for score in scores if score not in beyond)
        assert (
            figure.data[0].y[0] in [pytest.approx(end, rel=1e-3) for end in ends]
            and figure.data[0].name == "1 beyond the axis"
        )


def test_error_bars_of_the_good_scores_are_whole():
    low, high = score_axis("score", [0.9, 0.89, 0.895, 0.1], "maximize", [0.2, 0.01, 0.01, 0.3])["range"]
    assert low < 0.7 and high > 1.1
    assert "range" not in score_axis("score", [0.9, 0.89, 0.895, 0.1], "maximize", [0.5, 0.01, 0.01, 0.3])


def test_one_bad_batch_size_leaves_the_others_to_be_told():
    records = [record(n, score, batch_size=2**n) for n, score in enumerate([0.8, 0.85, 0.9, 0.87, -9.0], start=2)]
    figure = drawn(records, "best-per-batch-size")
    assert figure.layout.yaxis.range[0] > 0.7
    assert list(traces(figure)["1 beyond the axis"].customdata) == [-9.0]


def test_a_long_name_of_a_metric_stays_within_its_figure():
    name = "a metric whose name goes on and on until no axis has room for it"
    figure = finish(go.Figure(), "title", "subtitle", yaxis={"title": {"text": name}})
    lines = figure.layout.yaxis.title.text.split("<br>")
    assert len(lines) == 2 and max(map(len, lines)) <= 34


def test_where_everything_diverged_the_map_shows_where():
    records = [record(n, outcome=Outcome.DIVERGED, base_lr=0.1 * 2**n) for n in range(3)]
    figure = drawn(records, "score-map")
    assert len(traces(figure)["diverged"].x) == 3 and "no trial has a score" in figure.layout.title.text


def test_the_map_marks_what_the_race_has_named_and_not_the_luckiest():
    records = [record(0, 0.9), record(1, 0.88, batch_size=16)]
    for number, score in ((0, 0.7), (0, 0.71), (1, 0.87), (1, 0.88)):  # on fresh seeds
        records.append(dataclasses.replace(record(len(records), score), confirms=Confirms(number, "race")))
    marked = traces(drawn(records, "score-map"))["best: trial 1"]
    assert list(marked.y) == [16]


def test_importances_tell_how_sure_they_are():
    generator = np.random.default_rng(0)
    records = [
        record(n, -abs(np.log10(rate) + 1), base_lr=float(rate), batch_size=int(2 ** generator.integers(3, 7)))
        for n, rate in enumerate(10 ** generator.uniform(-2, 0, 60))
    ]
    bars = drawn(records, "importance").data[0]
    ends = np.array(bars.x) + bars.error_x.array
    assert bars.error_x.array[-1] > 0 and max(ends) <= 1.0001
    assert min(np.array(bars.x) - bars.error_x.arrayminus) >= -1e-4
