"""Figures against values worked out by hand from the same trials."""

import dataclasses
from collections import Counter
from datetime import datetime, timedelta
from itertools import combinations

import numpy as np
import pytest
from batchlaw.figures.batches import outcomes_by_batch_size
from batchlaw.figures.costs import arrivals, lanes_of, target_of
from batchlaw.figures.gallery import gallery
from batchlaw.figures.importance import importances
from batchlaw.figures.style import shortened
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.schedule import schedule_of
from batchlaw.results.records import TrialRecord
from batchlaw.results.result import CurvePoint, TrialResult
from batchlaw.spec import parse_spec
from batchlaw.spec.knobs import Point
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tests.conftest import tiny_spec, tiny_study

FAMILIES = ["sgd", "momentum", "adam"]
SPEC = tiny_spec(
    space={"optimizer": FAMILIES, "scaling_rule": ["constant", "linear"], "decay": ["constant", "batch-growth"]},
    search={"replicates": 3},
)
START = datetime(2026, 5, 1, 12)


def record(
    number, value=None, *, outcome=Outcome.COMPLETE, seeds=None, curve=(), seconds=8.0, start=0.0, spec=SPEC, **point
):
    """A trial as it would be stored; `curve` is its metric at each of four reports, `start` in seconds."""
    metric = spec.arm.metric
    defaults = {
        "batch_size": 8, "base_lr": 0.1, "scaling_rule": "constant", "warmup_fraction": 0.0, "optimizer": "momentum",
        "decay": "constant", "momentum": 0.9, "weight_decay": 0.0,
    }  # fmt: skip
    chosen = defaults | point
    points = [CurvePoint(place / 4, {metric: score}) for place, score in enumerate(curve, start=1)]
    if seeds is not None:
        value = float(np.mean(seeds))
    errors = {} if value is None else {metric: 0.02}
    result = TrialResult(curve=points, seconds=seconds, replicate_values=seeds or (), validation_standard_errors=errors)
    return TrialRecord(
        number=number,
        outcome=outcome,
        value=value,
        params={
            "log2_batch_size": int(np.log2(chosen["batch_size"])), "base_lr": chosen["base_lr"],
            "scaling_rule": chosen["scaling_rule"], "optimizer": chosen["optimizer"], "decay": chosen["decay"],
            "one_minus_momentum": 1 - chosen["momentum"],
        },
        config=derive(spec, Point(**chosen), (1,)),
        result=result,
        reason=None,
        intermediate_values=dict(enumerate(curve, start=1)),
        started=START + timedelta(seconds=start),
        ended=START + timedelta(seconds=start + seconds),
    )  # fmt: skip


def claim_study():
    study = tiny_study(task={"train_size": 128})
    del study["search"]
    study["space"] = {"batch_size": 8, "base_lr": 0.1, "decay": ["step", "batch-growth"]}
    study["claim"] = {"hypotheses": ["H11"], "reports": 4}
    return study


def drawn(records, name, spec=SPEC):
    return gallery(spec, records, [])[name]


def traces(figure):
    return {trace.name: trace for trace in figure.data if trace.x != (None,)}  # but for marks of the legend alone


def title(figure):
    return figure.layout.title.text


def test_nothing_is_drawn_from_nothing():
    assert gallery(SPEC, [], []) == {}
    waiting = TrialRecord(
        number=0, outcome=Outcome.WAITING, value=None, params={}, config=None, result=TrialResult(), reason=None,
        intermediate_values={}, started=None, ended=None,
    )  # fmt: skip
    assert gallery(SPEC, [waiting], []) == {}
    assert "history" not in gallery(SPEC, [record(0, 0.9)], [])  # one trial has no course


def test_the_map_shows_each_trial_where_its_learning_rate_and_batch_size_are():
    records = [
        record(0, 0.9, batch_size=16, base_lr=0.2, optimizer="adam"),
        record(1, 0.8, batch_size=32, base_lr=0.5, optimizer="sgd"),
        record(2, outcome=Outcome.PRUNED, curve=(0.3, 0.6), base_lr=0.3, optimizer="momentum"),
        record(3, 0.1, outcome=Outcome.DIVERGED, base_lr=1.0, optimizer="sgd"),
    ]
    figure = drawn(records, "score-map")
    found = traces(figure)
    # Factors are 1 for sgd, 1-m for momentum and .01 for adam: on a common axis each is where its base rate is.
    assert list(found["complete"].x) == [0.2, 0.5] and list(found["complete"].y) == [16, 32]
    assert list(found["complete"].marker.color) == [0.9, 0.8]
    assert list(found["pruned"].x) == [0.3] and list(found["pruned"].marker.color) == [0.6]  # its last report
    assert found["diverged"].marker.symbol.startswith("x") and list(found["diverged"].x) == [1.0]
    assert "peak lr 0.002<br>constant, adam" in found["complete"].text[0] and found["complete"].customdata[0][0] == 0
    best = found["best: trial 0"]
    assert (list(best.x), list(best.y)) == ([0.2], [16])
    assert "÷ family factor" in figure.layout.xaxis.title.text
    alone = tiny_spec(space={"optimizer": "adam"})
    single = drawn([record(0, 0.9, base_lr=0.2, optimizer="adam", spec=alone)], "score-map", alone)
    assert list(traces(single)["complete"].x) == [0.002] and single.layout.xaxis.title.text == "peak learning rate"


def test_losses_that_span_much_are_coloured_by_their_logarithm():
    spec = tiny_spec(search={"metric": "validation_loss"})
    records = [record(n, value, spec=spec, base_lr=0.1 + n / 100) for n, value in enumerate((0.01, 0.1, 1.0))]
    figure = drawn(records, "score-map", spec)
    assert list(traces(figure)["complete"].marker.color) == [-2, -1, 0]
    assert figure.layout.coloraxis.cmin == -2 and figure.layout.coloraxis.colorbar.ticktext[0] == "0.01"


def test_history_is_the_best_so_far_among_complete_trials():
    values = [0.5, 0.4, 0.8, 0.7, 0.9]
    records = [record(number, value) for number, value in enumerate(values)]
    found = traces(drawn([*records, record(5, 0.99, outcome=Outcome.DIVERGED)], "history"))
    line = found["best so far"]
    assert list(line.x) == [0, 2, 4, 4] and list(line.y) == [0.5, 0.8, 0.9, 0.9] and line.line.shape == "hv"
    assert list(found["complete trials"].y) == values


def test_the_best_of_each_batch_size_has_students_interval_over_seeds():
    seeds = {8: (0.95, 0.97, 0.96), 16: (0.93, 0.97, 0.95), 32: (0.5, 0.51, 0.52)}
    records = [record(size, seeds=values, batch_size=size) for size, values in seeds.items()]
    worse = record(1, seeds=(0.1, 0.2, 0.3), batch_size=8)
    found = traces(drawn([worse, *records], "best-per-batch-size"))
    tied, other = found["cannot be told from the best"], found["worse than the best"]
    assert (list(tied.x), list(other.x)) == ([8, 16], [32])
    assert list(tied.y) == pytest.approx([0.96, 0.95])
    widths = [stats.t.ppf(0.975, 2) * stats.sem(seeds[size]) for size in (8, 16)]
    assert list(tied.error_y.array) == pytest.approx(widths, rel=1e-4)


def test_one_seed_has_the_normal_interval_of_its_validation_sample_or_none():
    records = [record(number, value, batch_size=size) for number, value, size in ((0, 0.9, 8), (1, 0.89, 16))]
    assert list(traces(drawn(records, "best-per-batch-size"))["cannot be told from the best"].error_y.array) == (
        pytest.approx([1.95996 * 0.02] * 2, rel=1e-4)
    )
    unknown = [dataclasses.replace(known, result=TrialResult()) for known in records]
    figure = drawn(unknown, "best-per-batch-size")
    assert "one seed gives no interval" in title(figure) and "error unknown" in traces(figure)


def test_families_rules_and_decays_tell_how_many_trials_stand_behind_them():
    records = [
        record(0, 0.9, optimizer="adam"),
        record(1, 0.7, optimizer="adam", scaling_rule="linear"),
        record(2, outcome=Outcome.PRUNED, curve=(0.1,), optimizer="adam"),
        record(3, 0.5, optimizer="sgd", decay="batch-growth"),
    ]
    families = drawn(records, "best-per-optimizer")
    assert list(families.layout.yaxis.categoryarray) == ["sgd<br>1 of 1", "adam<br>2 of 3"]  # the best is on top
    assert {trace.y[0]: trace.x[0] for trace in families.data} == {"adam<br>2 of 3": 0.9, "sgd<br>1 of 1": 0.5}
    assert len(drawn(records, "best-per-scaling-rule").layout.yaxis.categoryarray) == 2
    assert len(drawn(records, "best-per-decay").layout.yaxis.categoryarray) == 2
    assert "best-per-scaling-rule" not in gallery(SPEC, records[:1], [])  # one rule has nothing to stand beside


def test_time_to_a_target_is_that_of_the_fastest_trial_of_each_batch_size():
    records = [
        record(0, 0.9, batch_size=8, curve=(0.5, 0.8, 0.85, 0.9), seconds=8.0),
        record(1, 0.85, batch_size=8, curve=(0.82, 0.83, 0.84, 0.85), seconds=4.0),
        record(2, outcome=Outcome.PRUNED, batch_size=16, curve=(0.2, 0.81), seconds=3.0),
        record(3, 0.8, batch_size=16, curve=(0.1, 0.2, 0.3, 0.8), seconds=2.0),
        record(4, 0.7, batch_size=32, curve=(0.7, 0.7, 0.7, 0.7)),
    ]
    assert target_of(SPEC, records) == 0.8  # the median of .9, .8 and .7
    eight, sixteen = arrivals(SPEC, records, 0.8)
    # Two epochs of 64 examples: a quarter of the budget is 32 examples.
    assert (eight.trial, eight.examples, eight.steps, eight.seconds) == (1, 32, 4, 1.0)
    assert (sixteen.trial, sixteen.examples, sixteen.steps, sixteen.seconds) == (2, 64, 4, 3.0)
    figure = drawn(records, "time-to-target")
    assert list(traces(figure)["steps"].y) == [4, 4] and list(traces(figure)["seconds"].y) == [1, 3]
    assert "≥ 0.8" in title(figure).replace("<br>", " ")


def test_targets_of_losses_lie_below():
    spec = tiny_spec(search={"metric": "validation_loss"})
    scores = {8: 0.1, 16: 0.2, 32: 0.3, 64: 0.4}
    records = [record(n, value, batch_size=size, spec=spec) for n, (size, value) in enumerate(scores.items())]
    assert target_of(spec, records) == 0.3  # the worse of the middle two, so that half of them reach it
    late = record(9, 0.3, curve=(0.9, 0.31, 0.3, 0.3), spec=spec)
    assert [arrival.examples for arrival in arrivals(spec, [late], 0.3)] == [96]


def test_steps_are_counted_where_batches_grow():
    growing = record(0, 0.9, batch_size=8, decay="batch-growth", curve=(0.1, 0.2, 0.3, 0.9))
    schedule = schedule_of(growing.config)
    assert len(set(schedule.batch_sizes())) > 1
    for target, quarter in ((0.2, 2), (0.3, 3), (0.9, 4)):
        (found,) = arrivals(SPEC, [growing], target)
        assert found.steps == schedule.report_steps(4)[quarter - 1]


def test_prune_rates_have_wilsons_interval():
    outcomes = [Outcome.COMPLETE, Outcome.PRUNED, Outcome.PRUNED, Outcome.DIVERGED, Outcome.FAILED]
    records = [record(n, 0.5 if outcome != Outcome.PRUNED else None, outcome=outcome, curve=(0.5,))
               for n, outcome in enumerate(outcomes)]  # fmt: skip
    (row,) = outcomes_by_batch_size(records)
    assert (row.label, row.counts, row.ended) == ("8", dict(Counter(outcomes)), 4)  # a fault fills no slot
    assert row.prune_rate == 0.5
    assert (row.ci_low, row.ci_high) == pytest.approx(proportion_confint(2, 4, method="wilson"))
    figure = drawn(records, "outcomes")
    assert traces(figure)["pruned"].y == (2,) and list(traces(figure)["share pruned"].y) == [0.5]
    designed = parse_spec(claim_study(), "test")
    assert "share pruned" not in traces(drawn([record(0, 0.5, spec=designed)], "outcomes", designed))


def test_many_batch_sizes_are_grouped_by_octaves():
    spec = tiny_spec(space={"batch_size": {"low": 8, "high": 64}})
    rows = outcomes_by_batch_size([record(size, 0.5, batch_size=size, spec=spec) for size in range(8, 40)])
    assert [(row.label, row.ended) for row in rows] == [("8–15", 8), ("16–31", 16), ("32–63", 8)]


spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), min_size=1, max_size=30)


@given(spans)
def test_lanes_hold_one_trial_at_a_time_and_are_as_few_as_can_be(times):
    ordered = sorted((START + timedelta(seconds=a), START + timedelta(seconds=a + length)) for a, length in times)
    lanes = lanes_of(ordered)
    for (one, lane), (other, same) in combinations(zip(ordered, lanes, strict=True), 2):
        assert lane != same or one[1] <= other[0]
    at_once = max(sum(start <= moment < end for start, end in ordered) for moment, _ in ordered)
    assert max(lanes) + 1 == at_once


def test_the_timeline_is_in_the_unit_that_suits_it():
    records = [record(0, 0.5, start=0, seconds=120), record(1, 0.6, start=60, seconds=180)]
    figure = drawn(records, "timeline")
    bars = traces(figure)["complete"]
    assert (list(bars.base), list(bars.x), list(bars.y)) == ([0, 1], [2, 3], [1, 2])
    assert figure.layout.xaxis.title.text == "minutes since the first"


def test_importance_finds_what_decides_and_needs_enough_trials():
    generator = np.random.default_rng(0)
    records = [
        record(n, -abs(np.log10(rate) + 1), base_lr=float(rate), batch_size=int(2 ** generator.integers(3, 7)))
        for n, rate in enumerate(10 ** generator.uniform(-2, 0, 60))
    ]
    shares = importances(SPEC, records)
    assert next(iter(shares)) == "base_lr" and shares["base_lr"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    assert importances(SPEC, records[:9]) == {}
    assert importances(SPEC, [record(n, 0.5) for n in range(20)]) == {}
    assert drawn(records, "importance").data[0].y[-1] == "base learning rate"  # the last is drawn on top


def test_long_names_in_a_legend_show_where_they_differ():
    assert shortened(["short", "names"]) == ["short", "names"]
    long = [f"a-model-with-a-very-long-name-and-configuration-{k}-and-further-words-to-the-end" for k in (1, 2, 2048)]
    found = shortened(long)
    assert len(set(found)) == 3 and max(map(len, found)) <= 38 and "-2048-" in found[2]
    assert shortened([long[0]])[0].endswith("to-the-end")
