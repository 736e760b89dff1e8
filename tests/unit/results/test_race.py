"""The race on fresh seeds, on scores drawn with known means."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
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


def played(means, deviations, generator, budget, of_folds=0.0):
    """A race to its end among contenders with these means: every ask is answered at once.

    The folds have effects of a deviation of `of_folds`, alike for all contenders.
    """
    runs, folds = [run(number, [0.0]) for number in range(len(means))], of_folds * generator.normal(size=100)
    for _ in range(budget):
        found = Race.of(runs, maximize=True).next(range(len(means)), 0.9)
        if found is None or found.purpose != "race":
            break
        score = means[found.trial] + folds[found.fold] + deviations[found.trial] * generator.normal()
        runs.append(run(len(runs), [score], found))
    return Race.of(runs, maximize=True)


@pytest.mark.parametrize("of_folds", [0.0, 10.0])
@pytest.mark.parametrize("deviations", [np.ones(20), np.linspace(0.2, 2.0, 20)], ids=["equal", "unequal"])
def test_the_best_contender_is_dropped_no_more_often_than_stated(deviations, of_folds):
    dropped, n = 0, 120
    for seed in range(n):
        means = np.zeros(20)  # two contenders of 20 trials: none is better, so that a drop of the first is an error
        race = played(means, deviations, np.random.default_rng(seed), 24, of_folds)
        dropped += 0 in race.told_apart
    assert stats.binomtest(dropped, n, 0.05, alternative="greater").pvalue > 0.01, dropped


def test_a_clear_best_ends_the_race_and_is_scored_on_seeds_of_its_own():
    means = np.array([0.0, 5.0] + [0.0] * 18)
    race = played(means, np.ones(20), np.random.default_rng(0), 40)
    assert race.told_apart == {0, 2} and race.chosen.number == 1
    assert max(len(each.asked["race"]) for each in race.contenders.values()) < 20
    assert race.next(range(20), 0.9) == Confirms(1, "score", 21)
    runs = raced([[0.1, 0.2], [5.1, 5.0]]) + [run(90 + n, [4.0 + n], Confirms(1, "score")) for n in range(SCORED)]
    ended = Race.of(runs, maximize=True)
    assert ended.chosen.fresh == [4.0, 5.0, 6.0, 7.0, 8.0]
    assert ended.next([1], 0.99) is None


@pytest.mark.parametrize("asks", [4, 5, 7, 16])
def test_a_race_that_is_cut_short_has_compared_the_most_promising(asks):
    race = played(np.zeros(42), np.ones(42), np.random.default_rng(0), asks)
    assert [each.number for each in race.timed] == list(range(min(asks // 2, 7))) and race.chosen is not None


def test_contenders_are_compared_on_the_folds_that_they_share():
    """Statsmodels' least squares on contenders and folds, of which one contender has a further, easy one."""
    scores = {0: [1.0, 5.2, 3.1, 9.0], 1: [1.4, 5.4, 3.8], 2: [0.2, 4.1, 2.3]}
    runs = [run(number, [0.9]) for number in scores]
    for number, of in scores.items():
        runs += [run(len(runs) + k, [score], Confirms(number, "race", k + 1)) for k, score in enumerate(of)]
    race = Race.of(runs, maximize=True)
    rows = pd.DataFrame([(n, k, score) for n, of in scores.items() for k, score in enumerate(of)], columns=list("nks"))
    fit = smf.ols("s ~ C(n) + C(k)", rows).fit()
    for other in (1, 2):
        assert race.means[other] - race.means[0] == pytest.approx(fit.params[f"C(n)[T.{other}]"])
    assert race.leader.number == 1 and np.mean(scores[0]) > np.mean(scores[1])
    assert race._fit.error(0, 2) == pytest.approx(fit.bse["C(n)[T.2]"])


def test_replicates_of_a_fold_are_one_score_and_so_are_two_trials_of_a_contender_on_it():
    """They share their examples, so that their agreement says little of other examples."""
    runs = [run(n, [0.9]) for n in range(2)]
    for fold, scores in ((1, [0.5, 0.7]), (2, [0.9, 0.9]), (2, [0.7, 0.7])):
        runs += [run(len(runs) + k, [x + k for x in scores], Confirms(k, "race", fold)) for k in range(2)]
    race = Race.of(runs, maximize=True)
    assert race.contenders[0].raced == pytest.approx([0.6, 0.8]) and race.contenders[1].raced == pytest.approx(
        [1.6, 1.8]
    )
    assert race.contenders[0].next_fold("race") == 3


@pytest.mark.parametrize("interaction", [0.0, 2.0])
def test_replicates_drop_the_best_no_more_often_than_stated(interaction):
    dropped, n = 0, 150
    for seed in range(n):
        generator = np.random.default_rng(seed)
        runs, on_fold = [run(number, [0.0]) for number in range(12)], interaction * generator.normal(size=(12, 30))
        for _ in range(24):
            found = Race.of(runs, maximize=True).next(range(12), 0.9)
            if found is None or found.purpose != "race":
                break
            scores = on_fold[found.trial, found.fold] + generator.normal(size=3)
            runs.append(run(len(runs), scores.tolist(), found))
        dropped += 0 in Race.of(runs, maximize=True).told_apart
    assert stats.binomtest(dropped, n, 0.05, alternative="greater").pvalue > 0.01, dropped


def test_contenders_that_share_no_fold_are_not_compared():
    """As in a race that an earlier version began, without folds."""
    runs = raced([[0.8, 0.81], [0.79, 0.8]])
    runs += [run(20, [0.9]), *(run(21 + k, [0.5], Confirms(20, "race", 1 + k)) for k in range(2))]
    race = Race.of(runs, maximize=True)
    assert [each.number for each in race.timed] == [0, 1] and not race.told_apart
    runs += [run(30, [0.3], Confirms(0, "race", 1))]
    assert [each.number for each in Race.of(runs, maximize=True).timed] == [0, 1, 20]


def test_a_clear_best_is_told_apart_on_folds_that_differ_more():
    race = played(np.array([0.0, 5.0] + [0.0] * 18), np.ones(20), np.random.default_rng(0), 40, of_folds=20.0)
    assert race.told_apart == {0, 2} and race.chosen.number == 1


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
    runs = [run(0, [0.9]), run(1, [0.8])]
    runs += [run(2 + k, [], Confirms(0, "race", 1 + k), Outcome.RUNNING) for k in range(2)]
    assert Race.of(runs[:3], maximize=True).next([0, 1], 0.85) == Confirms(0, "race", 2)
    assert Race.of(runs, maximize=True).next([0, 1], 0.85) == Confirms(1, "race", 1)
    assert Race.of(runs, maximize=True).next([0, 1], 0.5) is None  # the search goes on
