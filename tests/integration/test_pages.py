"""What the dashboard is given of a database, through its own application."""

import csv
import io
import json
import math

import optuna
import pytest
from batchlaw.dashboard import trials
from batchlaw.dashboard.pages import pages
from batchlaw.storage import open_storage
from optuna.study import StudyDirection

from tests.benchmarks import many_trials
from tests.waiting import wait_for

TRIALS = 450


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('many') / 'many.db'}"
    many_trials.fill(url, TRIALS)
    storage = open_storage(url)
    yield storage
    storage.engine.dispose()


@pytest.fixture(scope="module")
def page(storage):
    return pages(storage)


def get(page, path):
    path, _, query = path.partition("?")
    said = []
    environment = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "test", "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http",
    }  # fmt: skip
    body = b"".join(page(environment, lambda status, headers, *_: said.append(status)))
    assert said == ["200 OK"], body
    return body.decode()


def study(page, number=1):
    return json.loads(get(page, f"/api/studies/{number}"))


def test_every_trial_is_shown_with_the_values_that_follow_from_its_parameters(storage, page):
    stored = {trial.number: trial for trial in storage.get_all_trials(1)}
    shown = study(page)["trials"]
    assert [trial["number"] for trial in shown] == list(range(TRIALS))
    for trial in shown[::25]:
        values = {entry["key"]: entry["value"] for entry in trial["user_attrs"]}
        assert int(values["batch_size"]) == 2 ** stored[trial["number"]].params["log2_batch_size"]
        assert all(len(value) < 200 for value in values.values())
    assert json.loads(get(page, f"/api/studies/1?after={TRIALS - 2}"))["trials"] == shown[-2:]


def test_of_many_trials_some_keep_their_reports(page):
    shown = study(page)["trials"]
    with_reports = [trial["number"] for trial in shown if trial["intermediate_values"]]
    assert with_reports == list(range(0, TRIALS, 3))  # 150 of 450: at most 200
    assert all(len(trial["artifacts"]) == 2 for trial in shown)


def test_of_thousands_of_trials_some_are_sent_and_it_is_said(storage, page, monkeypatch):
    before = study(page)
    whole = before["trials"]
    assert "trials on this page" not in {entry["key"] for entry in before["user_attrs"]}
    monkeypatch.setattr(trials, "_ALL_BELOW", 100)
    thinned = study(pages(storage))
    assert storage.get_study_directions(1) == [StudyDirection.MAXIMIZE]
    values = [trial.value if trial.state.name == "COMPLETE" else -math.inf for trial in storage.get_all_trials(1)]
    bests = [number for number, value in enumerate(values) if value > max(values[:number], default=-math.inf)]
    wanted = sorted({*range(100), *range(0, TRIALS, 8), *bests})
    assert [trial["number"] for trial in thinned["trials"]] == wanted and bests[-1] > 100
    assert [trial["params"] for trial in thinned["trials"]] == [whole[number]["params"] for number in wanted]
    remark = {entry["key"]: entry["value"] for entry in thinned["user_attrs"]}["trials on this page"]
    assert remark.endswith(f"there are {TRIALS}")


def test_the_dashboards_own_figures_and_its_table_are_made_of_them(page):
    importances = json.loads(get(page, "/api/studies/1/param_importances"))["param_importances"][0]
    assert {entry["name"] for entry in importances} >= {"base_lr", "log2_batch_size"}
    rows = list(csv.DictReader(io.StringIO(get(page, "/csv/1"))))
    assert len(rows) == TRIALS and not any("{" in value for row in rows for value in row.values())
    ratios = {float(row["UserAttribute peak_lr"]) / float(row["UserAttribute lr_per_example"]) for row in rows}
    assert all(math.log2(ratio) == pytest.approx(round(math.log2(ratio)), abs=1e-3) for ratio in ratios)


def test_studies_of_others_are_shown_as_they_are(storage, page):
    theirs = optuna.create_study(study_name="theirs", storage=storage, directions=["minimize", "maximize"])
    theirs.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 2.0), n_trials=3)
    shown = study(page, 2)["trials"]
    assert [len(trial["values"]) for trial in shown] == [2, 2, 2]
    assert [trial["artifacts"] for trial in shown] == [[], [], []]
    names = [entry["study_name"] for entry in json.loads(get(page, "/api/studies"))["study_summaries"]]
    assert names == ["many-search", "theirs"]
    optuna.delete_study(study_name="theirs", storage=storage)
    single = optuna.create_study(study_name="single", storage=storage)  # whose number is that of the deleted one
    single.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    # The dashboard remembers for two seconds.
    wait_for(lambda: study(page, 2)["trials"][0]["values"] == single.trials[0].values)
    assert len(list(csv.DictReader(io.StringIO(get(page, "/csv/2"))))) == 1
