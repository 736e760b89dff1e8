"""A search against seconds: what its sampler and its pruner make of trials that are fast."""

from datetime import datetime, timedelta

import numpy as np
import optuna
import pytest
from batchlaw.sampling import known_space, pruner, sampler
from batchlaw.sampling.halving import Halving
from batchlaw.sampling.known_space import KnownSpaceTPESampler
from batchlaw.sampling.weighted import FastKept, WeightedTPESampler
from batchlaw.storage.optuna_internals import plain
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from tests.conftest import tiny_spec

SPACE = {"x": FloatDistribution(0.0, 1.0)}
BEGAN = datetime(2026, 1, 1)
optuna.logging.set_verbosity(optuna.logging.ERROR)


def trial(x, score, seconds, *, last=10, state=TrialState.COMPLETE, direction=1):
    made = create_trial(
        params={"x": x}, distributions=SPACE, state=state,
        value=score if state == TrialState.COMPLETE else None,
        intermediate_values=dict.fromkeys(range(1, last + 1), score),
    )  # fmt: skip
    made.datetime_start, made.datetime_complete = BEGAN, BEGAN + timedelta(seconds=seconds)
    return made


def study_of(trials, direction="maximize"):
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def drawn(study, kind, n=60):
    """What a sampler draws for one more trial, with many seeds."""
    last = study.ask()
    found = [kind(SPACE, seed=seed).sample_relative(study, last, SPACE)["x"] for seed in range(n)]
    return np.array(found)


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_weights_draw_some_trials_to_what_is_fast_and_others_to_what_is_good(direction, sign):
    places = np.linspace(0.01, 0.99, 60)
    # The larger x, the better and the slower.
    study = study_of([trial(x, sign * x, 100**x) for x in places], direction)
    plain, weighted = drawn(study, KnownSpaceTPESampler), drawn(study, WeightedTPESampler)
    assert (plain > 0.6).mean() > 0.9
    assert (weighted > 0.6).mean() > 0.2 and (weighted < 0.4).mean() > 0.2


def test_by_optuna_s_public_calls_it_draws_by_the_metric(monkeypatch):
    study = study_of([trial(x, x, 100**x) for x in np.linspace(0.01, 0.99, 30)])
    monkeypatch.setattr(known_space, "bounded_history", plain.bounded_history)
    assert drawn(study, WeightedTPESampler, 5).tolist() == drawn(study, KnownSpaceTPESampler, 5).tolist()


def test_pruned_trials_count_with_the_seconds_of_a_whole_run():
    # All are as good; each has taken a second, but those below .5 have done a tenth of their reports in it.
    ended = [trial(x, 0.5, 1.0, last=1 if x < 0.5 else 10, state=TrialState.PRUNED) for x in np.linspace(0, 1, 40)]
    complete = [trial(x, 0.5, 10.0 if x < 0.5 else 1.0) for x in np.linspace(0.01, 0.99, 40)]
    found = drawn(study_of([*ended, *complete]), WeightedTPESampler)
    assert (found > 0.5).mean() > 0.8


def test_the_same_seed_draws_the_same():
    study = study_of([trial(x, x, 1 + x) for x in np.linspace(0.01, 0.99, 30)])
    assert (drawn(study, WeightedTPESampler, 5) == drawn(study, WeightedTPESampler, 5)).all()


def pruned(others, score, seconds, kind=FastKept):
    """Whether a trial with this score at its first report, after so many seconds, is ended."""
    study = study_of(others)
    last = trial(0.5, score, 0.0, last=1, state=TrialState.PRUNED)
    last.datetime_start, last.datetime_complete = datetime.now() - timedelta(seconds=seconds), None
    last.number = len(others)
    return kind(1, 3).prune(study, last)


def test_a_trial_that_is_faster_than_all_that_are_as_good_goes_on():
    others = [trial(0.1 * n, 0.90 + 0.01 * n, 100.0 + 10 * n) for n in range(6)]  # 10 to 15 s a report
    assert pruned(others, 0.91, 2.0, Halving) and not pruned(others, 0.91, 2.0)
    assert pruned(others, 0.91, 60.0)  # slower than better ones
    assert pruned(others, 0.92, 11.5)  # a tenth of the time is no difference
    assert not pruned(others, 0.99, 60.0)
    assert pruned(others, float("nan"), 0.1)


def test_a_study_gets_them_where_it_is_against_seconds():
    against, plain = tiny_spec(search={"against": "seconds", "pruner": "asha"}), tiny_spec(search={"pruner": "asha"})
    assert isinstance(sampler(against, 0, 0), WeightedTPESampler) and isinstance(pruner(against), FastKept)
    assert not isinstance(sampler(plain, 0, 0), WeightedTPESampler) and not isinstance(pruner(plain), FastKept)
