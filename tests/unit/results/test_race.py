"""The race on fresh seeds, on scores drawn with known means."""

import numpy as np
import pytest
from batchlaw.recipe.result import Outcome
from batchlaw.results.race import SCORED, Race
from batchlaw.results.search_run import Confirms, SearchRun
from scipy import stats


def run(number, scores, confirms=None, outcome=Outcome.COMPLETE, seconds=1.0):
    value = float(np.mean(scores)) if scores else None
    return SearchRun(
        number=number, outcome=outcome, value=value, scores=scores, params={}, seconds=seconds, confirms=confirms
    )


def raced(contenders, seconds=None):
    """The runs of contenders, a list of fresh scores each."""
    runs = [run(n, [0.9], seconds=(seconds or {}).get(n, 1.0)) for n in range(len(contenders))]
    for number, scores in enumerate(contenders):
        runs += [run(len(runs) + place, [score], Confirms(number, "race")) for place, score in enumerate(scores)]
    return runs


def played(means, deviations, generator, budget):
    """A race to its end among contenders with these means: every ask is answered at once."""
    runs = [run(number, [0.0]) for number in range(len(means))]
    for _ in range(budget):
        found = Race.of(runs, maximize=True).next(range(len(means)), 0.9)
        if found is None or found.purpose != "race":
            break
        score = means[found.trial] + deviations[found.trial] * generator.normal()
        runs.append(run(len(runs), [score], found))
    return Race.of(runs, maximize=True)


@pytest.mark.parametrize("deviations", [np.ones(20), np.linspace(0.2, 2.0, 20)], ids=["equal", "unequal"])
def test_the_best_contender_is_dropped_no_more_often_than_stated(deviations):
    dropped, n = 0, 120
    for seed in range(n):
        means = np.zeros(20)  # two contenders of 20 trials: none is better, so that a drop of the first is an error
        race = played(means, deviations, np.random.default_rng(seed), 24)
        dropped += 0 in race.told_apart
    assert stats.binomtest(dropped, n, 0.05, alternative="greater").pvalue > 0.01, dropped


def test_a_clear_best_ends_the_race_and_is_scored_on_seeds_of_its_own():
    means = np.array([0.0, 5.0] + [0.0] * 18)
    race = played(means, np.ones(20), np.random.default_rng(0), 40)
    assert race.told_apart == {0, 2} and race.chosen.number == 1
    assert max(each.asked["race"] for each in race.contenders.values()) < 20
    assert race.next(range(20), 0.9) == Confirms(1, "score")
    runs = raced([[0.1, 0.2], [5.1, 5.0]]) + [run(90 + n, [4.0 + n], Confirms(1, "score")) for n in range(SCORED)]
    ended = Race.of(runs, maximize=True)
    assert ended.chosen.fresh == [4.0, 5.0, 6.0, 7.0, 8.0]
    assert ended.next([1], 0.99) is None


def test_of_those_that_are_equal_the_fastest_is_chosen_and_never_one_that_is_behind():
    scores = [[0.98, 0.96], [0.969, 0.969], [0.90, 0.91]]
    race = Race.of(raced(scores, {0: 7.0, 1: 0.7, 2: 0.1}), maximize=True)
    assert race.leader.number == 0 and race.chosen.number == 1
    losses = [[1 - score for score in row] for row in scores]
    assert Race.of(raced(losses, {0: 7.0, 1: 0.7, 2: 0.1}), maximize=False).chosen.number == 1


def test_a_contender_that_diverges_on_a_fresh_seed_is_out():
    runs = [*raced([[0.9, 0.9], [0.8, 0.7]]), run(50, [0.1], Confirms(0, "race"), Outcome.DIVERGED)]
    race = Race.of(runs, maximize=True)
    assert race.chosen.number == 1 and 0 in race.told_apart


def test_scores_that_do_not_move_with_the_seed_end_the_race():
    scores = [0.9, 0.8, 0.7]
    again = [run(3 + n, [scores[n % 3]], Confirms(n % 3, "race")) for n in range(6)]
    race = Race.of([*(run(n, [score]) for n, score in enumerate(scores)), *again], maximize=True)
    assert race.ignores_seeds and race.chosen is None and race.next([0, 1, 2], 0.9) is None
    assert not Race.of(raced([[0.9] * 3, [0.9] * 3]), maximize=True).ignores_seeds  # the highest score there is


def test_what_other_workers_have_asked_for_counts_as_asked_for():
    runs = [run(0, [0.9]), run(1, [0.8]), run(2, [], Confirms(0, "race"), Outcome.RUNNING)]
    assert Race.of(runs, maximize=True).next([0, 1], 0.85) == Confirms(1, "race")
    assert Race.of(runs, maximize=True).next([0, 1], 0.5) is None  # the search goes on
