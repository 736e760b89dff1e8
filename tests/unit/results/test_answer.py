"""What a search names, and what it says of it."""

import dataclasses

import numpy as np
import pytest
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.answer import Answer
from batchlaw.results.posterior import expected_first
from batchlaw.results.search_run import Confirms
from batchlaw.results.standings import Standings, run_of

from tests.conftest import tiny_spec
from tests.unit.results.conftest import record

SPEC = tiny_spec(space={"optimizer": ["momentum", "adam"]}, search={"trials": 40})


def searched(scores, rates, optimizers=None):
    """Complete trials at base learning rates, one seed each."""
    found = []
    for number, (score, rate) in enumerate(zip(scores, rates, strict=True)):
        params = {
            "log2_batch_size": 4, "base_lr": float(rate), "one_minus_momentum": 0.1,
            "optimizer": (optimizers or ["adam"] * len(scores))[number],
        }  # fmt: skip
        config = derive(SPEC, point_of(params, SPEC), (1,))
        base = record(number, [float(score)])
        result = dataclasses.replace(base.result, seconds=0.75)
        found.append(dataclasses.replace(base, params=params, config=config, result=result))
    return found


def confirmed(records, number, scores, purpose="race"):
    """Further trials of a configuration on fresh seeds."""
    of = records[number]
    return [
        dataclasses.replace(record(len(records) + place, [score]), params=of.params, config=of.config,
                            confirms=Confirms(number, purpose))
        for place, score in enumerate(scores)
    ]  # fmt: skip


def test_neighbours_speak_for_a_contender_and_a_lucky_one_is_not_the_first():
    rates = np.geomspace(0.012, 0.9, 30)
    truth = 0.95 - 0.05 * (np.log10(rates) + 1) ** 2  # best at 0.1
    scores = truth.copy()
    scores[2] = truth.max() + 0.002  # at 0.016, between neighbours that are far worse
    records = searched(scores, rates)
    assert int(np.argmax(scores)) == 2
    first = expected_first([run_of(each) for each in records], SPEC)[0]
    assert first != 2 and truth[first] == pytest.approx(truth.max(), abs=0.003)
    assert Standings(SPEC, records).best.number == 2  # without a race the scores decide


def test_with_few_trials_the_scores_themselves_are_compared():
    records = searched([0.5, 0.9, 0.7], [0.02, 0.03, 0.04])
    assert expected_first([run_of(each) for each in records], SPEC) is None
    assert Standings(SPEC, records).best.number == 1


def test_the_answer_says_what_to_use_how_good_it_is_and_what_ties():
    rates = np.geomspace(0.05, 0.2, 14)
    records = searched(np.full(14, 0.95), rates, ["adam", "momentum"] * 7)
    records += confirmed(records, 4, [0.96, 0.97])
    records += confirmed(records, 5, [0.955, 0.965])
    records += confirmed(records, 4, [0.961, 0.959, 0.963], "score")
    answer = Answer.of(Standings(SPEC, records))
    use, score, undecided = answer.lines()
    assert use.startswith(f"Use  batch 16 · peak lr {records[4].config.peak_lr:.3g} · adam")
    assert score.strip().startswith(
        "0.9610 ± 0.0012 on 3 fresh seeds · 0.75 s a run · 13 others cannot be told from it"
    )
    assert undecided == "Undecided: optimizer (adam, momentum tie)"


def test_of_a_value_with_few_trials_nothing_is_told():
    optimizers = ["adam"] * 10 + ["momentum"] * 4
    records = searched(np.full(14, 0.95), np.geomspace(0.05, 0.2, 14), optimizers)
    assert Answer.of(Standings(SPEC, records)).lines()[-1] == (
        "Undecided: optimizer (too few trials to tell of momentum)"
    )
    worse = searched(np.array([0.95] * 10 + [0.2] * 5), np.geomspace(0.05, 0.2, 15), [*optimizers, "momentum"])
    assert "Undecided" not in Answer.of(Standings(SPEC, worse)).lines()[-1]


def test_a_number_in_the_answer_has_its_name():
    records = searched([0.5, 0.9, 0.7], [0.02, 0.03, 0.04])
    spec = tiny_spec(
        task=None, train_size=64, objective="own:train", search={"metric": "loss", "direction": "maximize"},
        space={"optimizer": "adamw", "weight_decay": {"low": 1e-4, "high": 1e-1, "log": True}},
    )  # fmt: skip
    config = records[1].config.model_copy(update={"optimizer": "adamw", "weight_decay": 0.0125})
    records[1] = dataclasses.replace(records[1], config=config)
    assert " · weight decay 0.0125" in Answer.of(Standings(spec, records)).lines()[0]


def test_a_study_whose_seeds_change_nothing_says_so():
    records = searched(np.linspace(0.5, 0.9, 14), np.geomspace(0.05, 0.2, 14))
    for number in (11, 12, 13):
        records += confirmed(records, number, [records[number].value] * 2)
    answer = Answer.of(Standings(SPEC, records))
    assert answer.configuration.trial == 13
    assert "your code gives the same score with every seed" in answer.lines()[1]


def test_trials_on_fresh_seeds_are_no_candidates():
    records = searched(np.full(14, 0.95), np.geomspace(0.05, 0.2, 14))
    records += confirmed(records, 4, [0.99, 0.99])
    assert all(each.confirms is None for each in Standings(SPEC, records).order)
    assert all(each.outcome == Outcome.COMPLETE for each in Standings(SPEC, records).order)
