"""Studies in the database: registered, found, refused."""

import optuna
import pytest
from batchlaw.errors import StorageError, StudyError
from batchlaw.storage import load, note_run, open_storage, redacted, register

from tests.conftest import EVERY_DATABASE, tiny_spec

DATABASES = EVERY_DATABASE


def test_a_registered_study_is_found_with_its_spec_and_budget(storage):
    spec = tiny_spec()
    stored = register(storage, spec, trials=None, version="1.2")
    assert stored.slots.counts().total == 6
    found = load(storage, "tiny")
    assert found.spec == spec
    assert found.study.user_attrs["batchlaw:version"] == "1.2"
    assert found.study.direction == optuna.study.StudyDirection.MAXIMIZE


def test_registering_again_goes_on_and_trials_extends(storage):
    register(storage, tiny_spec(), trials=None, version="1")
    stored = register(storage, tiny_spec(), trials=9, version="1")
    assert stored.slots.counts().total == 9


def test_a_changed_spec_is_refused_naming_the_fields_and_changes_nothing(storage):
    register(storage, tiny_spec(), trials=None, version="1")
    with pytest.raises(StudyError) as refusal:
        register(storage, tiny_spec(budget={"epochs": 3}, search={"seed": 7, "trials": 9}), trials=99, version="1")
    line = str(refusal.value)
    assert "budget.epochs: stored 2.0, given 3.0" in line and "search.seed: stored 0, given 7" in line
    assert refusal.value.remedy == "Study.create(name=…)" and "\n" not in line
    assert load(storage, "tiny").spec == tiny_spec()
    assert load(storage, "tiny").slots.counts().total == 6


def test_a_study_that_is_not_ours_is_refused_by_name(storage):
    optuna.create_study(study_name="theirs", storage=storage)
    with pytest.raises(StudyError, match="'theirs' was not made by batchlaw"):
        load(storage, "theirs")
    with pytest.raises(StudyError, match="was not made by batchlaw"):
        register(storage, tiny_spec(name="theirs"), trials=None, version="1")


def test_an_unknown_study_is_refused_naming_those_there_are(storage):
    register(storage, tiny_spec(), trials=None, version="1")
    with pytest.raises(StudyError, match="no study 'tinny' in the database; it holds tiny"):
        load(storage, "tinny")


def test_how_a_run_was_started_is_recorded(storage):
    stored = register(storage, tiny_spec(), trials=None, version="1")
    note_run(stored, "2026-01-01", {"trials": 3})
    assert load(storage, "tiny").study.user_attrs["batchlaw:run:2026-01-01"] == {"trials": 3}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "must be a database URL"),
        ("oracle://u:secret@h/x", "must be one of sqlite, postgresql, mysql"),
        ("sqlite://", "must name a file"),
        ("sqlite:////no/such/folder/x.db", "folder /no/such/folder does not exist"),
        ("postgresql://u:secret@127.0.0.1:1/x", "refused"),
        ("mysql://u:secret@127.0.0.1:1/x", "refused"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_its_password(url, words):
    with pytest.raises(StorageError) as refusal:
        open_storage(url, create=True)
    line = str(refusal.value)
    assert words in line and "\n" not in line and "secret" not in line


def test_reading_commands_do_not_create_a_database(tmp_path):
    with pytest.raises(StorageError, match="there is no such database"):
        open_storage(f"sqlite:///{tmp_path / 'absent.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "text.db").write_text("This is not a database, it is a text of some length. " * 50)
    with pytest.raises(StorageError, match="not a database"):
        open_storage(f"sqlite:///{tmp_path / 'text.db'}")


def test_passwords_are_redacted():
    assert redacted("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert "secret" not in redacted("::secret::")
