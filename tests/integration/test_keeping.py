"""Studies renamed, deleted and listed, and registrations that an earlier version left half done, on every database."""

import json

import batchlaw as bl
import optuna
import pytest
import sqlalchemy
from batchlaw.cli import app
from batchlaw.errors import BatchlawError, SpecError, StorageError, StudyError
from batchlaw.storage import Registration, Slots, delete_study, folder_name, load, register, rename_study
from batchlaw.storage.optuna_internals.needs import mismatch
from typer.testing import CliRunner

from tests.conftest import tiny_spec

OWN = {"metric": "loss", "direction": "minimize", "train_size": 1000, "epochs": 2,
       "space": {"batch_size": (8, 64), "base_lr": (1e-3, 1.0)}}  # fmt: skip


renames = pytest.mark.skipif(mismatch("names") is not None, reason="no public call of Optuna renames a study")


def own(url, name="own", trials=4, **more):
    return bl.Study.create(storage=url, name=name, trials=trials, **OWN, **more)


def rows(engine):
    """The number of rows of every table that has rows of studies."""
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    counted = [table for table in tables.tables.values() if {"study_id", "trial_id"} & set(table.c.keys())]
    with engine.connect() as connection:
        return {
            table.name: connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(table))
            for table in counted
        }


@renames
def test_a_renamed_study_goes_on_and_is_found_by_both_names(storage_url):
    study = own(storage_url)
    trial, folder = study.ask(), folder_name(study.stored)
    bl.Study.open("own", storage_url).rename("old")  # by another process, while a trial is under way
    trial.report(0.5, {"loss": 1.0})
    study.tell(trial, {"loss": 1.0})
    study.tell(study.ask(), {"loss": 2.0})
    for name in ("own", "old"):
        found = bl.Study.open(name, storage_url)
        assert (found.name, len(found), found.status().former_names) == ("old", 2, ("own",))
        assert folder_name(found.stored) == folder
        assert found.stored.study.study_name == "own"  # Hyperband's brackets stay
    assert own(storage_url).name == "old"  # the program that made it runs again
    assert own(storage_url, trials=5).stored.slots.counts().total == 5
    with pytest.raises(StudyError, match=r"study 'old' is stored with another spec; search\.seed: stored 0, given 1"):
        own(storage_url, seed=1)


@renames
def test_a_former_name_can_be_taken_and_led_back(storage):
    first = register(storage, tiny_spec(), trials=None, version="1")
    rename_study(first, "old")
    second = register(storage, tiny_spec(), trials=3, version="1", new=True)
    assert (second.spec.name, load(storage, "tiny").slots.counts().total) == ("tiny", 3)
    assert register(storage, tiny_spec(), trials=None, version="1").slots.counts().total == 3
    rename_study(second, "newer")
    assert load(storage, "tiny").spec.name == "newer"  # the last that had the name
    rename_study(load(storage, "old"), "tiny")
    assert load(storage, "tiny").slots.counts().total == 6
    assert load(storage, "old").spec.name == "tiny"


@renames
def test_a_name_that_is_taken_or_wrong_is_refused_and_changes_nothing(storage):
    study = register(storage, tiny_spec(), trials=None, version="1")
    register(storage, tiny_spec(name="other"), trials=None, version="1")
    with pytest.raises(StudyError, match="name: got 'other'; is the name of a study in this database"):
        rename_study(study, "other")
    with pytest.raises(SpecError, match=r"name: .*got \"a b\""):
        rename_study(study, "a b")
    assert set(optuna.get_all_study_names(storage)) == {"tiny", "other"}


def test_a_deleted_study_leaves_no_row_and_its_neighbour_stays(storage, storage_url):
    kept = own(storage_url, "kept")
    kept.tell(kept.ask(), {"loss": 1.0})
    before = rows(storage.engine)
    study = own(storage_url, "gone")
    trial = study.ask()
    trial.report(0.5, {"loss": 1.0})
    with pytest.raises(StorageError, match=r"1 worker is at work"):
        bl.Study.open("gone", storage_url).delete()
    study.tell(trial, {"loss": 1.0})
    assert rows(storage.engine) != before
    assert bl.Study.open("gone", storage_url).delete(force=True) == []
    with pytest.raises(StudyError, match="no study 'gone' in the database; it holds kept"):
        bl.Study.open("gone", storage_url)
    with pytest.raises(StudyError, match="study 'gone' was deleted"):
        study.ask()
    after = rows(storage.engine)
    assert after.pop("batchlaw_workers") - before.pop("batchlaw_workers") in (0, 1)  # of the live one, until it leaves
    assert after == before and len(bl.Study.open("kept", storage_url)) == 1


def test_a_study_gets_no_workers_of_a_deleted_one(storage):
    study = register(storage, tiny_spec(), trials=None, version="1")
    worker = Registration(storage.engine, study.study._study_id, device="cpu", threads=1)
    delete_study(study, force=True)
    if storage.engine.dialect.name == "sqlite":  # which gives the id again
        with pytest.raises(StudyError, match="workers of a study that was just deleted are leaving"):
            register(storage, tiny_spec(), trials=None, version="1")
    worker.beat("ended", None, 0)
    assert register(storage, tiny_spec(), trials=None, version="1").slots.counts().open == 6


def half_registered(storage, steps):
    """What version 0.1 has written after so many of its steps."""
    study = optuna.create_study(study_name="tiny", storage=storage, direction="minimize")
    if steps > 0:
        storage.set_study_system_attr(study._study_id, "study:metric_names", ["validation_accuracy"])
    if steps > 1:
        with storage.engine.begin() as connection:
            Slots(storage.engine, study._study_id).create(connection, 3)
    if steps > 2:
        study.set_user_attr("batchlaw:id", "0123abcd")
    return study


@pytest.mark.parametrize("steps", [2, 3])
def test_a_registration_that_an_earlier_version_left_half_done_is_done_again(storage, steps):
    half_registered(storage, steps)
    stored = register(storage, tiny_spec(), trials=None, version="1")
    assert stored.slots.counts().open == 6 and stored.study.direction.name == "MAXIMIZE"
    assert stored.study.user_attrs["batchlaw:id"] != "0123abcd"


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_study_that_may_be_somebody_elses_is_refused(storage, steps):
    study = half_registered(storage, steps)
    if steps == 3:
        study.ask()
    with pytest.raises(StudyError, match="'tiny' was not made by batchlaw, or its registration was interrupted"):
        register(storage, tiny_spec(), trials=None, version="1")
    assert optuna.get_all_study_names(storage) == ["tiny"]


def batchlaw(*words, **more):
    return CliRunner().invoke(app, list(words), **more)


@renames
def test_the_commands(tmp_path, storage, storage_url):
    optuna.create_study(study_name="theirs", storage=storage)
    study = own(storage_url, trials=2)
    study.tell(study.ask(), {"loss": 0.25})
    at = ("--storage", storage_url)
    [listed] = json.loads(batchlaw("list", "--json", *at).stdout)
    assert (listed["study"], listed["state"], listed["trials"], listed["done"]) == ("own", "running", 2, 1)
    assert listed["best"]["value"] == 0.25 and len(listed["workers"]) == 1 and listed["created"]
    study.tell(study.ask(), {"loss": 0.5})
    [line] = [line for line in batchlaw("list", *at).stdout.splitlines() if "own" in line]
    assert line.split()[:7] == ["own", "loss", "done", "2", "of", "2", "0.2500"]
    assert "is called first now" in batchlaw("rename", "own", "first", *at).stdout
    assert json.loads(batchlaw("list", "--json", *at).stdout)[0]["former_names"] == ["own"]
    for words in (["delete", "own", "--yes"], ["rename", "own", "other"]):
        with pytest.raises(StudyError, match="study 'own' is called 'first' now"):
            batchlaw(*words, *at, catch_exceptions=False)
    with pytest.raises(BatchlawError, match="yes: is needed where nobody can be asked"):
        batchlaw("delete", "first", *at, catch_exceptions=False)
    assert "first is deleted, with 2 trials" in batchlaw("delete", "first", "--yes", "--force", *at).stdout
    assert batchlaw("list", *at).stdout == "no study\n"
    assert optuna.get_all_study_names(storage) == ["theirs"]
