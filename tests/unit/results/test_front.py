"""Score against seconds: what is on the front, and what is told of it."""

import dataclasses

import pytest
from batchlaw.errors import SpecError
from batchlaw.figures.fronts import front_of_search
from batchlaw.figures.gallery import gallery
from batchlaw.figures.laws import law_figures
from batchlaw.results.answer import Answer
from batchlaw.results.front import front_line, front_of
from batchlaw.results.standings import Standings
from batchlaw.spec import fingerprint, parse_spec, toml_of

from tests.conftest import tiny_spec, tiny_study
from tests.unit.results.conftest import record
from tests.unit.results.test_answer import confirmed, searched

SPEC = tiny_spec(
    space={"optimizer": ["momentum", "adam"]}, search={"trials": 40, "metric": ["validation_accuracy", "seconds"]}
)


def timed(scores, seconds, error=0.001):
    """Complete trials with their seconds, and one standard error of each score."""
    return [
        dataclasses.replace(
            each,
            result=dataclasses.replace(
                each.result, seconds=taken, validation_standard_errors={"validation_accuracy": error}
            ),
        )
        for each, taken in zip(searched(scores, [0.1] * len(scores)), seconds, strict=True)
    ]


def trials(records, spec=SPEC):
    return [each.trial for each in front_of(Standings(spec, records))]


def test_what_is_slower_and_no_better_is_not_on_the_front():
    records = timed([0.90, 0.95, 0.93, 0.97, 0.97], [1.0, 2.0, 3.0, 5.0, 6.0])
    assert trials(records) == [0, 1, 3]
    assert trials(records[::-1]) == [0, 1, 3]
    assert trials([]) == []


def test_a_faster_one_that_cannot_be_told_from_a_better_one_stands_for_it():
    records = timed([0.90, 0.95, 0.951, 0.97], [1.0, 2.0, 3.0, 5.0], error=0.002)
    assert trials(records) == [0, 1, 3]
    assert trials(timed([0.90, 0.95, 0.951, 0.97], [1.0, 2.0, 3.0, 5.0], error=0.1)) == [0]


def test_scores_of_which_no_error_is_known_are_told_apart_by_any_difference():
    assert trials(timed([0.90, 0.9001], [1.0, 2.0], error=None), SPEC) == [0, 1]


def test_a_loss_is_better_the_lower():
    spec = tiny_spec(search={"metric": ["validation_loss", "seconds"]})
    assert trials(timed([0.9, 0.5, 0.6], [1.0, 2.0, 3.0], error=None), spec) == [0, 1]


def test_seconds_are_of_one_seed_and_trials_without_them_are_left_out():
    first, second = timed([0.90, 0.95], [4.0, 2.0], error=None)
    several = dataclasses.replace(
        record(0, [0.9] * 4), result=dataclasses.replace(first.result, replicate_values=[0.9] * 4)
    )
    front = front_of(Standings(SPEC, [several, second]))
    assert front_line(front) == "0.9000 in 1 s (trial 0) · 0.9500 in 2 s (trial 1)"
    assert trials([dataclasses.replace(first, result=dataclasses.replace(first.result, seconds=None)), second]) == [1]


def test_the_score_on_fresh_seeds_counts_and_those_trials_are_no_points_of_their_own():
    records = timed([0.90, 0.99], [1.0, 2.0])
    records += confirmed(records, 1, [0.95, 0.951, 0.949])
    found = front_of(Standings(SPEC, records))
    assert [each.trial for each in found] == [0, 1] and found[1].score == pytest.approx(0.95)


def test_the_answer_and_the_figure_tell_the_front_of_a_search_against_seconds_alone():
    records = timed([0.90, 0.95, 0.93], [1.0, 2.0, 3.0])
    (line,) = [line for line in Answer.of(Standings(SPEC, records)).lines() if "Fastest" in line]
    assert line == "Fastest for its score  0.9000 in 1 s (trial 0) · 0.9500 in 2 s (trial 1)"
    figure = gallery(SPEC, records, [])["score-against-seconds"]
    assert figure.layout.title.text.startswith("How good in how many seconds?")
    assert figure.layout.xaxis.title.text == "seconds of a run"
    assert [len(series.x) for series in figure.data] == [1, 2, 2]
    plain = tiny_spec(space={"optimizer": ["momentum", "adam"]}, search={"trials": 40})
    assert not any("Fastest" in line for line in Answer.of(Standings(plain, records)).lines())
    assert front_of_search(plain, records) is None and front_of_search(SPEC, []) is None
    assert trials(records, plain) == [0, 1]  # `study.front()`
    other = dataclasses.replace(records[0], config=records[0].config.model_copy(update={"batch_size": 64}))
    records = [other, *records[1:]]
    assert "front" in law_figures(plain, records, []) and not law_figures(SPEC, records, [])  # one figure of it


def test_two_metrics_are_written_as_one_and_what_it_costs():
    assert SPEC.search.metric == "validation_accuracy" and SPEC.search.against == "seconds"
    assert 'against = "seconds"' in toml_of(SPEC)
    assert "against" not in tiny_spec().search.model_dump()
    table = tiny_study(search={"against": "seconds"})
    assert fingerprint(parse_spec(table, "a")) == fingerprint(
        tiny_spec(search={"metric": ["validation_accuracy", "seconds"]})
    )


@pytest.mark.parametrize(
    ("search", "line"),
    [
        ({"metric": ["validation_accuracy", "memory"]}, r"search\.against: must be one of seconds; got \"memory\""),
        ({"metric": ["validation_accuracy"]}, r"search\.metric: must be a valid string"),
        ({"against": "seconds", "sampler": "gp"}, r"search\.sampler: must be tpe, random, qmc against seconds; got"),
        ({"against": "seconds", "pruner": "median"}, r"search\.pruner: must be hyperband, asha, none against seconds"),
    ],
)
def test_what_cannot_be_searched_against_is_refused(search, line):
    with pytest.raises(SpecError, match=line):
        tiny_spec(search=search)
