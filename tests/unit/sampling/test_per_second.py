"""The per-second sampler: Optuna's own test suites, and its use of costs, earlier trials and running trials."""

import subprocess
import sys
from datetime import timedelta

import numpy as np
import optuna
import pytest
from batchlaw.recipe.cube import Cube
from batchlaw.sampling import costs
from batchlaw.sampling.costs import Costs, full_seconds
from batchlaw.sampling.improvement import log_improvement
from batchlaw.sampling.per_second import PerSecondSampler
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import TrialState
from scipy import integrate, stats

SPACE = {
    "log2_batch_size": IntDistribution(1, 9),
    "base_lr": FloatDistribution(1e-4, 1.0, log=True),
    "optimizer": CategoricalDistribution(("sgd", "adam", "adamw")),
}
CUBE = Cube.of(SPACE)


class TestAsOptunaAsks(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """Optuna's tests for every sampler."""

    @pytest.fixture
    def sampler(self):
        return PerSecondSampler


def ended(study, params, value, seconds, *, state=TrialState.COMPLETE, reports=None, space=SPACE):
    """Add a trial that took `seconds`."""
    trial = optuna.create_trial(
        params=params, distributions=space, state=state, intermediate_values=reports or {},
        value=value if state == TrialState.COMPLETE else None,
    )  # fmt: skip
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=seconds)
    study.add_trial(trial)


def drawn(generator):
    return {
        "log2_batch_size": int(generator.integers(1, 10)),
        "base_lr": float(10 ** generator.uniform(-4, 0)),
        "optimizer": str(generator.choice(["sgd", "adam", "adamw"])),
    }


def study_of(n, sampler, *, value, seconds, states=(TrialState.COMPLETE,), seed=0):
    """A study in which n random trials have ended."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    generator = np.random.default_rng(seed)
    for number in range(n):
        params, state = drawn(generator), states[number % len(states)]
        reports = {1: value(params)} if state == TrialState.PRUNED else {10: value(params)}
        ended(study, params, value(params), seconds(params), state=state, reports=reports)
    return study


def asked(study, n):
    """The parameters of n trials that are asked for one after another and do not end."""
    found = []
    for _ in range(n):
        trial = study.ask(SPACE)
        found.append(trial.params)
    return found


def slow_when_small(params):
    return 512.0 / 2 ** params["log2_batch_size"]


def test_the_line_through_log_seconds_is_the_planted_one():
    generator = np.random.default_rng(0)
    configurations = [drawn(generator) for _ in range(300)]
    seconds = np.array([slow_when_small(p) * (3.0 if p["optimizer"] == "adam" else 1.0) for p in configurations])
    costs = Costs.of(CUBE.coordinates(CUBE.points(configurations)), seconds)
    new = [drawn(generator) for _ in range(20)]
    foreseen = np.exp(costs.log_seconds(CUBE.coordinates(CUBE.points(new))))
    expected = [slow_when_small(p) * (3.0 if p["optimizer"] == "adam" else 1.0) for p in new]
    np.testing.assert_allclose(foreseen, expected, rtol=0.02)


def test_a_cube_has_the_scale_of_the_search_and_gives_back_what_it_was_given():
    corners = [
        {"log2_batch_size": 1, "base_lr": 1e-4, "optimizer": "sgd"},
        {"log2_batch_size": 5, "base_lr": 1e-2, "optimizer": "adam"},
        {"log2_batch_size": 9, "base_lr": 1.0, "optimizer": "adamw"},
    ]
    points = CUBE.points(corners)
    np.testing.assert_allclose(points, [[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]], atol=1e-12)
    assert CUBE.coordinates(points).tolist()[1] == pytest.approx([0.5, 0.5, 0, 1, 0])
    generator = np.random.default_rng(0)
    for params in [*corners, *(drawn(generator) for _ in range(50))]:
        (point,) = CUBE.points([params])
        found = CUBE.configuration(point)
        assert found == {**params, "base_lr": pytest.approx(params["base_lr"])}


def test_points_drawn_are_values_of_the_space_each_step_as_likely():
    space = {"n": IntDistribution(0, 3), "x": FloatDistribution(-1, 1, step=0.5), "k": IntDistribution(1, 64, log=True)}
    cube, generator = Cube.of(space), np.random.default_rng(0)
    points = cube.at_random(4000, generator)
    for drawn_points in (points, cube.neighbours(points, 0.15, generator)):
        for configuration in map(cube.configuration, drawn_points):
            for name, distribution in space.items():
                assert distribution._contains(distribution.to_internal_repr(configuration[name]))
    counts = np.bincount([cube.configuration(point)["n"] for point in points])
    assert stats.chisquare(counts).pvalue > 1e-4
    assert (cube.neighbours(points, 0.15, generator) != points).any(axis=1).mean() > 0.5


def test_the_expected_improvement_is_the_integral_and_does_not_run_out_of_digits():
    for mean, deviation in ((0.3, 0.5), (-0.5, 1.0), (-3.0, 0.7), (-8.0, 1.0)):
        expected, _ = integrate.quad(
            lambda y, m=mean, s=deviation: y * stats.norm.pdf(y, m, s), 0, 12, epsabs=0, epsrel=1e-9
        )
        assert log_improvement(np.array([mean]), np.array([deviation]), 0.0)[0] == pytest.approx(np.log(expected))
    far = log_improvement(-np.array([30.0, 100.0, 1000.0]), np.ones(3), 0.0)
    assert np.isfinite(far).all() and (np.diff(far) < 0).all()


def test_a_trial_that_was_cut_off_counts_as_if_it_had_run_to_its_end():
    study = optuna.create_study()
    params = {"log2_batch_size": 3, "base_lr": 0.1, "optimizer": "sgd"}
    ended(study, params, 0.0, 20.0, reports=dict.fromkeys(range(1, 11), 0.0))
    ended(study, params, None, 4.0, state=TrialState.PRUNED, reports={1: 0.0, 2: 0.0})
    ended(study, params, None, 4.0, state=TrialState.PRUNED)
    np.testing.assert_allclose(full_seconds(study.get_trials()), [20.0, 20.0, 4.0])


@pytest.mark.parametrize("n", [5, 60], ids=["start", "later"])
def test_where_all_score_alike_the_cheap_is_tried_more_often(n):
    """With a cost_exponent of 0 it is not."""

    def mean_exponent(cost_exponent):
        found = []
        for seed in range(20):
            study = study_of(n, PerSecondSampler(seed=seed, cost_exponent=cost_exponent), value=lambda p: p["base_lr"],
                             seconds=slow_when_small, seed=seed)  # fmt: skip
            found.append(asked(study, 1)[0]["log2_batch_size"])
        return np.mean(found)

    assert mean_exponent(1.0) > mean_exponent(0.0) + 1.0


def test_the_first_trial_is_in_the_middle():
    study = optuna.create_study(sampler=PerSecondSampler(seed=0))
    first, second = asked(study, 2)
    assert first["log2_batch_size"] == 5 and first["base_lr"] == pytest.approx(1e-2)
    assert second["base_lr"] != pytest.approx(1e-2)


def test_the_same_seed_and_history_ask_for_the_same_and_another_seed_does_not():
    def choices(seed):
        study = study_of(30, PerSecondSampler(seed=seed), value=lambda p: p["base_lr"], seconds=slow_when_small)
        return asked(study, 3)

    assert choices(1) == choices(1) != choices(2)


def test_a_small_space_is_searched_without_repeats():
    study = optuna.create_study(sampler=PerSecondSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_int("x", 0, 5) + trial.suggest_categorical("y", [0, 1, 2]), n_trials=18)
    assert len({tuple(trial.params.items()) for trial in study.trials}) >= 17  # the first is drawn before any ended


def test_trials_that_run_elsewhere_are_not_asked_for_again():
    space = {"x": IntDistribution(0, 30)}
    study = optuna.create_study(sampler=PerSecondSampler(seed=0))
    for x in range(0, 30, 5):
        ended(study, {"x": x}, abs(x - 12), 1.0, space=space)
    found = [study.ask(space).params["x"] for _ in range(20)]
    assert len(set(found)) == 20 and not set(found) & set(range(0, 30, 5))


def test_the_ends_of_a_logarithmic_side_are_values_of_its_space():
    """Optuna silently replaces a value that rounding puts beyond an end by a random one."""
    generator = np.random.default_rng(0)
    for low, high in 10 ** np.sort(generator.uniform(-9, 3, size=(300, 2)), axis=1):
        space = {"rate": FloatDistribution(low, high, log=True)}
        ends = [Cube.of(space).configuration(np.array([place]))["rate"] for place in (0.0, 1.0)]
        assert low <= min(ends) and max(ends) <= high and ends == pytest.approx([low, high])


def test_trials_of_all_brackets_are_seen():
    """Hyperband's study shows a sampler the trials of one bracket only."""
    hyperband = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    study = optuna.create_study(direction="maximize", pruner=hyperband)
    study.sampler = PerSecondSampler(seed=0, study=study)
    space = {"x": IntDistribution(0, 39)}
    for _ in range(40):
        trial = study.ask(space)
        trial.report(1.0, 1)
        trial.should_prune()
        study.tell(trial, 1.0)
    assert len({trial.params["x"] for trial in study.trials}) == 40


def test_pruned_trials_are_seen():
    """If trials in one half of the space are pruned, later trials avoid that half."""
    study = optuna.create_study(direction="maximize", sampler=PerSecondSampler(seed=0))
    generator = np.random.default_rng(0)
    for _ in range(60):
        params = drawn(generator)
        cut = params["log2_batch_size"] > 5
        reports = {1: 0.5} if cut else dict.fromkeys(range(1, 11), 0.5)
        state = TrialState.PRUNED if cut else TrialState.COMPLETE
        ended(study, params, 0.5 + 0.01 * generator.normal(), 1.0, state=state, reports=reports)
    assert np.mean([params["log2_batch_size"] <= 5 for params in asked(study, 20)]) > 0.75


def test_a_search_finds_the_best_of_a_surface(monkeypatch):
    monkeypatch.setattr(costs, "_LEAST_SECONDS", 60.0)  # so all trials cost the same, however busy the machine is
    study = optuna.create_study(direction="minimize", sampler=PerSecondSampler(seed=0))

    def loss(trial):
        exponent, rate = trial.suggest_int("log2_batch_size", 1, 9), trial.suggest_float("base_lr", 1e-4, 1, log=True)
        return (exponent - 4) ** 2 / 8 + (np.log10(rate) + 2) ** 2

    study.optimize(loss, n_trials=60)
    assert study.best_value < 0.1


def test_it_needs_no_torch():
    code = "import sys, batchlaw.sampling.per_second; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
