"""Studies copied between databases: what they hold, what is said of them, and that they go on."""

import json
import math
import signal
import subprocess
import sys

import batchlaw as bl
import optuna
import optuna_dashboard
import pytest
import sqlalchemy
from batchlaw.cli import app
from batchlaw.errors import StorageError, StudyError
from batchlaw.storage import Registration, load, open_storage, upgrade
from batchlaw.storage.copying import _check_texts
from batchlaw.workers.slot_trial import SlotTrial
from optuna.trial import create_trial
from sqlalchemy.dialects import mysql
from typer.testing import CliRunner

from tests.conftest import tiny_study
from tests.integration import old_database

WORDS = (
    ["export", "old-search", "--format", "json", "--top", "3"], ["claim", "old-claim", "--json"],
    ["law", "old-claim", "--json"], ["status", "old-open", "--json"],
)  # fmt: skip
KILLED = """
import os, signal, sys
import batchlaw as bl
def tick(done, total):
    assert done < total
    os.kill(os.getpid(), signal.SIGKILL)
bl.copy_studies(sys.argv[1], sys.argv[2], tick=tick)
"""


@pytest.fixture
def source(tmp_path):
    """A database with a search, a designed study and one that is left open."""
    url = old_database.write_file(tmp_path / "source.db")
    storage = open_storage(url, any_schema=True)
    upgrade(storage)
    storage.engine.dispose()
    return url


def printed(url, words):
    done = CliRunner().invoke(app, [*words, "--storage", url])
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def of(url, name):
    """A study's trials without their ids, its attributes and its slots by the numbers of their trials."""
    storage = open_storage(url)
    stored = load(storage, name)
    trials = storage.get_all_trials(stored.study_id)
    number = {trial._trial_id: trial.number for trial in trials}
    for trial in trials:
        trial._trial_id = 0
    with storage.engine.connect() as connection:
        rows = connection.execute(
            sqlalchemy.text(
                "SELECT slot, state, trial_id, attempts FROM batchlaw_slots WHERE study_id = :id ORDER BY slot"
            ),
            {"id": stored.study._study_id},
        ).all()
    slots = [(row.slot, row.state, number.get(row.trial_id), row.attempts) for row in sorted(rows)]
    system = storage.get_study_system_attrs(stored.study._study_id)
    storage.engine.dispose()
    return trials, stored.study.user_attrs, system, slots


def close(trials, originals):
    """Check that times differ by less than a second, as on MySQL, and make them equal."""
    for trial, original in zip(trials, originals, strict=True):
        for time in ("datetime_start", "datetime_complete"):
            ours, theirs = getattr(trial, time), getattr(original, time)
            assert ours == theirs or abs((ours - theirs).total_seconds()) < 1
            setattr(trial, time, theirs)


def test_a_copy_holds_and_says_the_same(source, storage_url, tmp_path):
    bl.copy_studies(source, storage_url, ["old-open"])  # so that the ids of the others differ
    ticks = []
    names = bl.copy_studies(source, storage_url, ["old-claim", "old-search"], tick=lambda *tick: ticks.append(tick))
    assert set(names) == {"old-claim", "old-search"} and ticks[-1][0] == ticks[-1][1] > len(ticks) > 1
    back = f"sqlite:///{tmp_path / 'back.db'}"
    said = CliRunner().invoke(app, ["storage", "copy", storage_url, back])
    assert said.exit_code == 0 and all(name in said.stdout for name in old_database.STUDIES)
    for name in old_database.STUDIES:
        trials, *others = of(source, name)
        assert len(trials) > 2 and others[-1]
        for url in (storage_url, back):
            copied, *more = of(url, name)
            assert more == others
            if storage_url.startswith("mysql"):
                close(copied, trials)
            assert copied == trials
    leave = ("exported", "trials_a_minute", "seconds_left")
    for words in WORDS:
        for url in (storage_url, back):
            old_database.check_same(printed(url, words), printed(source, words), leave=leave)


def test_a_study_goes_on_in_the_copy_as_it_would_have(storage_url, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # of checkpoints
    original = f"sqlite:///{tmp_path / 'original.db'}"
    study = bl.Study.create(**tiny_study(search={"trials": 4}), storage=original).run(
        workers=0, trials=2, progress=False
    )
    study.stored.slots.resize(4)
    SlotTrial.ask(study.stored, 0, study.stored.slots.lease()).hand_back()
    bl.copy_studies(original, storage_url, ["tiny"])
    ends = []
    for url in (original, storage_url):
        trials = bl.Study.open("tiny", url).run(workers=0, progress=False).stored.study.get_trials()
        ends.append([(trial.number, trial.state, trial.params, trial.values) for trial in trials])
    assert ends[0] == ends[1] and len(ends[0]) == 4  # the trial that was handed back is run, and none in its place
    assert all(state.is_finished() for _, state, _, _ in ends[0])


def test_numbers_that_are_not_finite_and_notes_on_trials(source, storage_url):
    storage = open_storage(source)
    study = optuna.create_study(storage=storage, study_name="plain")
    x = {"x": optuna.distributions.FloatDistribution(1e-300, 4.0)}
    values = [1e-300, math.inf, -math.inf, math.pi]
    for value in values:
        params = {"x": value if math.isfinite(value) else 0.1}
        reports = {0: math.nan, 3: value}
        study.add_trial(create_trial(value=value, params=params, distributions=x, intermediate_values=reports))
    optuna_dashboard.save_note(study.ask(), "A trial of note.")
    optuna_dashboard.save_note(study, "A study of note.")
    storage.engine.dispose()
    bl.copy_studies(source, storage_url, ["plain"])
    copy = optuna.load_study(study_name="plain", storage=storage_url)
    trials = copy.trials[:4]
    assert [trial.value for trial in trials] == values
    assert [trial.intermediate_values[3] for trial in trials] == values
    assert all(math.isnan(trial.intermediate_values[0]) for trial in trials)
    assert [trial.params["x"] for trial in trials] == [1e-300, 0.1, 0.1, math.pi]
    assert optuna_dashboard.get_note(copy) == "A study of note."
    assert optuna_dashboard.get_note(optuna.Trial(copy, copy.trials[4]._trial_id)) == "A trial of note."
    copy.add_trial(create_trial(value=1.0))  # ids go on above those of the copy
    assert copy.trials[-1].number == 5
    copy._storage._backend.engine.dispose()


def test_what_is_refused_writes_nothing(source, storage_url, tmp_path):
    empty = tmp_path / "empty.db"
    with pytest.raises(StudyError, match="there is no study 'older' in the database; it holds old-claim, old-open"):
        bl.copy_studies(source, f"sqlite:///{empty}", ["old-open", "older"])
    storage = open_storage(source)
    registration = Registration(storage.engine, load(storage, "old-open").study._study_id, device="cpu", threads=1)
    with pytest.raises(StorageError, match="1 worker is at work: ") as refusal:
        bl.copy_studies(source, f"sqlite:///{empty}")
    assert refusal.value.remedy == "force" and not empty.exists()
    bl.copy_studies(source, storage_url, ["old-search"])  # nobody works on this one
    assert bl.copy_studies(source, storage_url, ["old-open"], force=True) == ["old-open"]
    registration.beat("ended", None, 0)
    storage.engine.dispose()
    before = old_database.content(storage_url)
    with pytest.raises(StudyError, match="study 'old-search' is there already, in the database to copy to"):
        bl.copy_studies(source, storage_url)
    assert old_database.content(storage_url) == before


def test_a_long_attribute_is_copied_to_every_database(source, storage_url):
    storage = open_storage(source)
    load(storage, "old-open").study.set_user_attr("long", "x" * 70_000)
    storage.engine.dispose()
    assert bl.copy_studies(source, storage_url, ["old-open"]) == ["old-open"]
    copied = open_storage(storage_url)
    assert load(copied, "old-open").study.user_attrs["long"] == "x" * 70_000
    copied.engine.dispose()


def test_a_text_that_mysql_has_no_room_for_is_named():
    table = sqlalchemy.Table("notes", sqlalchemy.MetaData(), sqlalchemy.Column("text", mysql.TEXT))
    _check_texts(table, {"text": "x" * 65_535})
    with pytest.raises(StorageError, match=r"notes has a text of 65,536 bytes, 'text'; MySQL and MariaDB take 65,535"):
        _check_texts(table, {"text": "x" * 65_536})


def test_a_copy_that_is_killed_leaves_nothing_and_can_be_repeated(source, storage_url):
    killed = subprocess.run([sys.executable, "-c", KILLED, source, storage_url])
    assert killed.returncode == -signal.SIGKILL
    there = old_database.content(storage_url)
    assert there["studies"] == there["trials"] == there["batchlaw_slots"] == []
    assert sorted(bl.copy_studies(source, storage_url)) == sorted(old_database.STUDIES)
