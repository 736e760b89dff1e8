"""A search over parameters of one's own: a nearest-neighbour classifier of digits, which has no learning rate."""

import json
import tomllib
from functools import cache, partial

import batchlaw as bl
import numpy as np
import optuna
import pytest
import yaml
from batchlaw.dashboard.trials import ShownTrials
from batchlaw.errors import BatchlawError, StudyError
from batchlaw.figures.importance import importances
from batchlaw.recipe.space import conditional, distributions_of, suggest
from batchlaw.sampling.known_space import KnownSpaceTPESampler
from batchlaw.sampling.per_second import PerSecondSampler
from batchlaw.spec import parse_spec
from batchlaw.spec.keywords import tables_of

PARAMETERS = {
    "components": (1, 40),  # of the principal components: one tells hardly anything, twenty nearly all
    "neighbours": (1, 15),
    "weights": ["uniform", "distance"],
    "power": {"low": 1.0, "high": 4.0, "when": "weights == 'distance'"},
    "whiten": False,
}
KEYWORDS = {"name": "digits", "metric": "accuracy", "direction": "maximize", "trials": 25, "parameters": PARAMETERS}
STUDY = """
name = "digits"
objective = "ask"
[parameters]
components = {low = 1, high = 40}
neighbours = {low = 1, high = 15}
weights = ["uniform", "distance"]
power = {low = 1.0, high = 4.0, when = "weights == 'distance'"}
whiten = false
[search]
metric = "accuracy"
direction = "maximize"
trials = 25
"""


@cache
def data():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x[:300], y[:300], x[300:450], y[300:450]


def classify(trial):
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier

    x, y, x_new, y_new = data()
    own = trial.parameters
    assert ("power" in own) == (own["weights"] == "distance")
    pca = PCA(own["components"], whiten=own["whiten"], random_state=trial.seed).fit(x)
    model = KNeighborsClassifier(own["neighbours"], weights=own["weights"], p=own.get("power", 2.0))
    return {"accuracy": model.fit(pca.transform(x), y).score(pca.transform(x_new), y_new)}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Finished; read it, do not change it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('parameters') / 'study.db'}"
    return bl.Study.create(storage=url, objective=classify, **KEYWORDS).run(workers=0, progress=False)


def test_the_file_and_the_keywords_are_one_study():
    given = parse_spec(tables_of(KEYWORDS), "keywords")
    assert given.model_copy(update={"question": None}) == parse_spec(tomllib.loads(STUDY), "file")


def test_trials_have_a_column_for_each_and_none_where_a_condition_is_false(study):
    trials = study.trials()
    assert (trials.outcome == "complete").all() and trials.components.between(1, 40).all()
    assert (trials.power.notna() == (trials.weights == "distance")).all()
    assert set(trials.weights) == {"uniform", "distance"} and not trials.whiten.any()
    assert trials[["batch_size", "peak_lr", "steps"]].isna().all(axis=None)


def test_the_best_is_told_by_its_parameters(study):
    best = study.best(3)
    assert best[0].value > 0.8
    assert list(best.frame.columns[-4:]) == ["components", "neighbours", "power", "weights"]
    assert f"components {best[0].config.parameters['components']}" in repr(study.status())
    assert "peak lr" not in repr(study.status())


def test_importance_shares_are_those_of_the_parameters(study):
    shares = importances(study.spec, study._records())
    assert sum(shares.values()) == pytest.approx(1)
    assert {"components", "neighbours", "weights"} <= shares.keys() <= {"components", "neighbours", "weights", "power"}
    assert set(study.figures()["importance"].data[0].y) == shares.keys()


def test_what_decides_is_important_also_where_only_some_trials_have_it(tmp_path):
    parameters = {
        "gate": ["on", "off"],
        "inert": (0.0, 1.0),
        "inner": {"low": 0.0, "high": 1.0, "when": "gate == 'on'"},
    }
    study = bl.Study.create(
        storage=f"sqlite:///{tmp_path / 's.db'}", name="gated", metric="loss", direction="minimize", trials=100,
        parameters=parameters, sampler="random", pruner="none",
    )  # fmt: skip
    while trial := study.ask():
        own = trial.parameters
        study.tell(trial, {"loss": 1 + own["inert"] / 1e6 if own["gate"] == "off" else own["inner"]})
    shares = importances(study.spec, study._records())
    assert shares["inner"] > 3 * shares["inert"] and sum(shares.values()) == pytest.approx(1)


def test_figures_show_each_searched_parameter(study):
    figures = study.figures()
    names = {"score-over-components", "score-over-neighbours", "score-over-power", "best-per-weights"}
    assert names <= figures.keys() and "score-map" not in figures
    shown = figures["score-over-power"].data[0]
    assert len(shown.x) == study.trials().power.notna().sum()
    assert max(figures["score-over-components"].data[0].y) == pytest.approx(study.best()[0].value, rel=1e-3)


def test_exports_hold_them(study):
    own = dict(study.best(1)[0].config.parameters)
    [first] = json.loads(study.export("json"))["configurations"]
    assert first["params"] == own  # and no optimizer, which this study knows nothing of
    [read] = tomllib.loads(study.export("toml"))["configurations"]
    assert read["params"] == own
    module: dict = {}
    exec(study.export("python"), module)
    assert module["PARAMETERS"] == own
    sweep = yaml.safe_load(study.export("wandb", top=3))["parameters"]
    assert {name: entry.get("value") for name, entry in sweep.items() if name == "whiten"} == {"whiten": False}
    [queued] = json.loads(study.export("optuna"))
    assert queued["params"] == {name: value for name, value in own.items() if name != "whiten"}
    table = study.export("table", per="weights")
    assert "uniform" in table and "distance" in table and "peak lr" not in table
    with pytest.raises(BatchlawError, match=r"per: got 'mood'; must be one of batch_size, .*weights"):
        study.export("table", per="mood")


def test_the_dashboard_shows_those_that_are_fixed_as_well(study):
    shown = ShownTrials(study.stored.storage).get_all_trials(study.stored.study_id)
    assert all(trial.user_attrs["whiten"] is False and "components" in trial.params for trial in shown)


@pytest.mark.parametrize(
    ("method", "what"), [("law", "a law"), ("recommend", "a recommendation")], ids=["law", "recommend"]
)
def test_what_needs_a_learning_rate_says_so(study, method, what):
    with pytest.raises(StudyError, match=rf"study 'digits' has no .*, and {what} needs one"):
        getattr(study, method)()


def test_a_report_is_written(study, tmp_path):
    page = study.report(tmp_path / "report.html").read_text()
    assert "<th>components</th>" in page and "score-over-components" in page


@pytest.mark.parametrize("sampler", ["tpe", "per-second", pytest.param("gp", marks=pytest.mark.slow), "random", "qmc"])
def test_every_sampler_proposes_conditional_parameters_within_their_bounds(tmp_path, sampler):
    study = bl.Study.create(
        storage=f"sqlite:///{tmp_path / 's.db'}", **KEYWORDS | {"trials": 25, "sampler": sampler, "pruner": "none"}
    )
    while trial := study.ask():
        own = trial.parameters
        study.tell(trial, {"accuracy": -abs(own["components"] - 20) - own.get("power", 5.0)})
    trials = study.trials()
    assert (trials.power.notna() == (trials.weights == "distance")).all() and trials.power.dropna().between(1, 4).all()


@pytest.mark.parametrize(
    "sampler",
    [KnownSpaceTPESampler, partial(PerSecondSampler, cost_exponent=0.0)],  # whatever the clock says
    ids=["tpe", "per-second"],
)
def test_conditional_parameters_are_learned_from_the_trials_that_have_them(sampler):
    spec = parse_spec(tomllib.loads(STUDY), "file")
    space, some = distributions_of(spec), conditional(spec)
    study = optuna.create_study(sampler=sampler(space=space, conditional=some, seed=0, n_startup_trials=10))
    study.optimize(lambda trial: suggest(trial, spec).parameters.get("power", 9.0), n_trials=60)
    powers = [trial.params["power"] for trial in study.trials if "power" in trial.params]
    assert len(powers) >= 30 and np.mean(powers[-15:]) < 1.6  # 2.5 if nothing were learned
