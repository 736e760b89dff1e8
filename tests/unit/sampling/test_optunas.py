"""Our faster versions of Optuna's sampler and pruners decide as the originals do."""

import numpy as np
import optuna
import pytest
from batchlaw.recipe.space import distributions_of, suggest
from batchlaw.sampling import pruner, rungs
from batchlaw.sampling.halving import Halving
from batchlaw.sampling.known_space import KnownSpaceTPESampler
from batchlaw.storage import open_storage
from batchlaw.storage.optuna_internals.brackets import RememberingHyperbandPruner
from batchlaw.storage.optuna_internals.cache import TrialCache
from optuna.pruners import HyperbandPruner
from optuna.samplers import TPESampler

from tests.conftest import tiny_spec

SPACE = {
    "batch_size": {"low": 2, "high": 64, "log2": True},
    "base_lr": {"low": 1e-3, "high": 1.0, "log": True},
    "optimizer": ["sgd", "momentum", "adam"],
    "momentum": {"low": 0.5, "high": 0.99},
    "decay": ["constant", "cosine"],
    "warmup_fraction": {"low": 0.0, "high": 0.3},
}


def test_the_space_is_what_the_trials_have():
    spec = tiny_spec(space=SPACE)
    trial = optuna.create_study().ask()
    suggest(trial, spec)
    assert distributions_of(spec) == trial.distributions
    assert {"log2_batch_size", "one_minus_momentum"} <= distributions_of(spec).keys()


@pytest.mark.parametrize("seed", [0, 1])
def test_tpe_told_its_space_draws_what_tpe_draws(seed):
    spec = tiny_spec(space=SPACE)
    generator = np.random.default_rng(seed)
    studies = [
        optuna.create_study(sampler=TPESampler(seed=seed)),
        optuna.create_study(sampler=KnownSpaceTPESampler(distributions_of(spec), seed=seed)),
    ]
    for number in range(25):
        value, ends = float(generator.normal()), generator.random() < 0.8
        trials = [study.ask() for study in studies]
        theirs, ours = (suggest(trial, spec) for trial in trials)
        assert ours == theirs
        for trial, study in zip(trials, studies, strict=True):
            trial.report(value, 1)
            if number % 5 != 4:  # some go on running beside the next
                study.tell(trial, value if ends else None, state=None if ends else optuna.trial.TrialState.PRUNED)


def test_of_thousands_tpe_sees_the_best_and_the_latest_and_draws_by_them():
    spec = tiny_spec(space=SPACE)
    distributions, study = distributions_of(spec), optuna.create_study(direction="maximize")
    generator, drawer = np.random.default_rng(0), optuna.samplers.RandomSampler(seed=0)
    points = [
        {name: drawer.sample_independent(study, None, name, of) for name, of in distributions.items()}
        for _ in range(1300)
    ]
    values = generator.permutation(1300)
    study.add_trials(
        optuna.trial.create_trial(params=point, distributions=distributions, value=float(value))
        for point, value in zip(points, values, strict=True)
    )
    best = sorted(range(400), key=lambda number: -values[number])[:100]
    told = optuna.create_study(direction="maximize", sampler=TPESampler(seed=3, constant_liar=True))
    trials = study.trials
    told.add_trials(trials[number] for number in [*sorted(best), *range(400, 1300)])
    study.sampler = KnownSpaceTPESampler(distributions, seed=3)
    assert suggest(study.ask(), spec) == suggest(told.ask(), spec)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_hyperband_that_remembers_decides_as_hyperband(tmp_path, direction):
    cache = TrialCache(open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True))
    decisions = []
    for kind, storage in (
        (HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3), None),
        (RememberingHyperbandPruner(9, 3, Halving), None),
        (RememberingHyperbandPruner(9, 3, Halving), cache),
    ):
        generator, decided = np.random.default_rng(5), []
        study = optuna.create_study(study_name="s", storage=storage, pruner=kind, direction=direction)
        for _ in range(30):
            trials = [study.ask() for _ in range(3)]  # the second goes on while the others end
            for step in range(1, 10):
                for trial in trials:
                    trial.report(float(generator.random()), step)
                    decided.append(trial.should_prune())
            for trial in (trials[0], trials[2], trials[1]):
                study.tell(trial, 1.0)
        decisions.append(decided)
    assert decisions[0] == decisions[1] == decisions[2] and len(set(decisions[0])) == 2


@pytest.mark.parametrize("name", ["hyperband", "asha", "median", "none"])
@pytest.mark.parametrize("reports", [1, 4, 10, 20])
def test_in_the_first_two_thirds_pruners_end_trials_at_rungs_alone(name, reports):
    spec = tiny_spec(search={"pruner": name, "reports": reports})
    generator = np.random.default_rng(reports)
    study = optuna.create_study(pruner=pruner(spec), direction="maximize")
    ended = set()
    for _ in range(60):
        trial = study.ask()
        for step in range(1, reports + 1):
            trial.report(float(generator.random()), step)
            if trial.should_prune():
                ended.add(step)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, 1.0)
    asked = rungs(spec)
    assert {step for step in ended if step <= reports * 2 / 3} <= asked
    assert bool(ended) == (name != "none")
    assert max(asked, default=0) <= reports * 2 / 3 and bool(asked) == (name != "none" and reports > 1)
