"""The sampler of adaptive claims: Optuna's own test suite, and the rules of the design."""

import numpy as np
import optuna
import pytest
from batchlaw.recipe.result import Outcome
from batchlaw.sampling.ridge import LOOKS, Design, Posterior, RidgeSampler
from batchlaw.storage.attributes import OUTCOME
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.trial import TrialState

RATES = [2.0**exponent for exponent in range(-5, 3)]
SPACE = {"base_lr": CategoricalDistribution(RATES), "log2_batch_size": IntDistribution(0, 8)}


def ridge_sampler(seed=0, slot=None, space=None, chance=None):
    return RidgeSampler("base_lr", "log2_batch_size", space or SPACE, seed=seed, slot=slot, chance=chance)


class TestAsOptunaAsks(BasicSamplerTestCase):
    """Optuna's tests for every sampler."""

    @pytest.fixture
    def sampler(self):
        return ridge_sampler


def suggested(trial):
    return trial.suggest_categorical("base_lr", RATES), trial.suggest_int("log2_batch_size", 0, 8)


def loss(rate, exponent):
    """Best at log₂ B = 4.5 + log₂ ε / 2."""
    return (exponent - 4.5 - np.log2(rate) / 2) ** 2 / 4


def searched(n, seed=0, objective=loss, noise=0.05):
    study = optuna.create_study(direction="minimize", sampler=ridge_sampler(seed))
    generator = np.random.default_rng(seed)

    def run(trial):
        return objective(*suggested(trial)) + noise * generator.normal()

    study.optimize(run, n_trials=n)
    return study


def test_rates_are_spread_evenly_and_every_round_has_each():
    trials = searched(40).trials
    assert [trial.params["base_lr"] for trial in trials] == RATES * 5


def test_the_first_look_is_at_both_ends_and_the_middle_of_every_rate():
    trials = searched(LOOKS * len(RATES)).trials
    for rate in RATES:
        assert {trial.params["log2_batch_size"] for trial in trials if trial.params["base_lr"] == rate} == {0, 4, 8}


def test_runs_fill_the_cells_about_the_planted_ridge_evenly():
    trials = searched(120).trials[LOOKS * len(RATES) :]
    off = np.array([trial.params["log2_batch_size"] - 4.5 - np.log2(trial.params["base_lr"]) / 2 for trial in trials])
    assert np.mean(np.abs(off) <= 3) > 0.9
    shares = np.histogram(off, np.arange(-2.5, 3))[0] / len(off)
    assert (shares > 0.1).all() and (shares < 0.3).all()


def test_a_study_is_the_same_for_the_same_seed_and_another_for_another():
    one, same, other = (
        [trial.params["log2_batch_size"] for trial in searched(64, seed, noise=0).trials] for seed in (3, 3, 4)
    )
    assert one == same and one != other


def test_the_slot_decides_whoever_asks_first():
    study = searched(48)
    frozen = [
        ridge_sampler(7, slot).sample_relative(study, trial, SPACE)
        for slot, trial in ((50, study.ask()._trial_id), (49, study.ask()._trial_id))
        for trial in [study.trials[trial]]
    ]
    assert [params["base_lr"] for params in frozen] == [RATES[2], RATES[1]]


def test_running_trials_make_a_draw_elsewhere_no_less_certain():
    """A running trial narrows the posterior at its cell and does not move its mean."""
    design = Design(np.log2(RATES), np.arange(9.0))
    study = searched(48)
    sampler = ridge_sampler()
    before = design.posterior(sampler.tried(study, study.trials[0]))
    study.add_trial(
        optuna.create_trial(
            state=TrialState.RUNNING, params={"base_lr": RATES[3], "log2_batch_size": 7}, distributions=SPACE
        )
    )
    after = design.posterior(sampler.tried(study, study.trials[0]))
    np.testing.assert_allclose(after.mean, before.mean)
    assert after.covariance[3, 7, 7] < 0.9 * before.covariance[3, 7, 7]
    assert (
        np.diagonal(after.covariance, axis1=1, axis2=2) <= np.diagonal(before.covariance, axis1=1, axis2=2) + 1e-9
    ).all()


def test_the_least_run_cell_within_two_octaves_of_a_draw_is_run():
    design, runs = Design(np.zeros(1), np.arange(9.0)), np.array([[1, 0, 3, 2, 3, 1, 1, 0, 0]])
    mean = -((np.arange(9.0) - 4) ** 2)[None]
    certain, unstable = np.zeros((1, 9, 9)), np.zeros((1, 9), dtype=bool)

    def chosen():
        posterior = Posterior(mean, certain, runs, unstable)
        return {design.choose(slot, posterior, np.random.default_rng(slot)) for slot in range(3, 30)}

    assert chosen() == {5, 6}
    unstable[0, [5, 6]] = True
    assert chosen() == {3}
    unstable[0] = True
    assert chosen() == {4}


def test_wide_steps_leave_the_neighbours_of_a_draw_within_reach():
    design = Design(np.zeros(1), np.array([0.0, 3.0, 6.0]))
    posterior = Posterior(
        np.array([[0.0, 1.0, 0.0]]), np.zeros((1, 3, 3)), np.array([[1, 2, 2]]), np.zeros((1, 3), dtype=bool)
    )
    assert design.choose(3, posterior, np.random.default_rng(0)) == 0


@pytest.mark.parametrize("named", [True, False])
def test_diverged_trials_are_not_repeated(named):
    """A trial is unstable if its outcome says so, and also if it is no better than chance."""
    study = optuna.create_study(direction="minimize", sampler=ridge_sampler(chance=None if named else 5.0))
    for _ in range(120):
        trial = study.ask()
        rate, exponent = suggested(trial)
        unstable = exponent < 3.5 + np.log2(rate) / 2
        if unstable and named:
            trial.set_user_attr(OUTCOME, Outcome.DIVERGED)
        study.tell(trial, 5.0 if unstable else loss(rate, exponent))
    later = study.trials[LOOKS * len(RATES) :]
    # One or two a rate to find out where it is, where a fifth of all would have gone over it.
    assert sum(trial.value == 5.0 for trial in later) <= 2 * len(RATES)


def test_failed_trials_are_nothing_seen():
    study = searched(48)
    sampler = ridge_sampler()
    seen = sampler.tried(study, study.trials[0])
    study.tell(study.ask(), state=TrialState.FAIL)
    assert len(sampler.tried(study, study.trials[0]).scores) == len(seen.scores) == 47


def test_listed_batch_sizes_are_run_by_their_size():
    sizes = [1, 2, 4, 8, 16, 32, 64, 128]
    space = {"base_lr": CategoricalDistribution(RATES[::-1]), "batch_size": CategoricalDistribution(sizes[::-1])}
    study = optuna.create_study(sampler=RidgeSampler("base_lr", "batch_size", space, seed=0))
    trials = [study.ask(space) for _ in range(24)]
    assert [trial.params["base_lr"] for trial in trials] == RATES * 3
    assert {trial.params["batch_size"] for trial in trials} == {1, 8, 128}


@pytest.mark.parametrize("wrong", [FloatDistribution(0.1, 1.0), CategoricalDistribution(["a", "b"])])
def test_a_factor_without_levels_is_refused(wrong):
    with pytest.raises(ValueError, match="must be positive numbers to choose from"):
        ridge_sampler(space={**SPACE, "base_lr": wrong})
