"""Who works on a study, and the state of its database: one contract on every backend."""

import gc
import subprocess
import sys
import time
import warnings

import pytest
import sqlalchemy
from batchlaw.cli import app
from batchlaw.errors import StorageError, StudyError
from batchlaw.results.status import status_of
from batchlaw.storage import Registration, health_of, load, open_storage, register, upgrade, workers, workers_of
from batchlaw.storage.tables import SCHEMA
from optuna.storages import RDBStorage
from typer.testing import CliRunner

from tests.conftest import EVERY_DATABASE, tiny_spec

DATABASES = EVERY_DATABASE


def test_a_worker_is_seen_from_its_start_to_its_end(storage):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    study_id = stored.study._study_id
    began = time.monotonic()
    registration = Registration(storage.engine, study_id, device="cpu", threads=3)
    (seen,) = workers_of(storage.engine, study_id)
    assert (seen.state, seen.trial, seen.trials_done, seen.threads, seen.device) == ("idle", None, 0, 3, "cpu")
    registration.beat("training", 17, 4)
    (seen,) = workers_of(storage.engine, study_id)
    assert (seen.state, seen.trial, seen.trials_done) == ("training", 17, 4)
    assert min(seen.silent_seconds, seen.seconds) >= 0
    assert seen.silent_seconds + seen.seconds <= time.monotonic() - began + 1
    registration.beat("ended", None, 5)
    (seen,) = workers_of(storage.engine, study_id)
    assert (seen.state, seen.trials_done) == ("ended", 5)
    assert workers_of(storage.engine, study_id + 1) == []
    status = status_of(stored)
    assert status.at_work == [] and status.device_hours["cpu"] == pytest.approx(3 * seen.seconds / 3600)


def test_one_that_is_gone_or_silent_is_stale(storage, storage_url, monkeypatch):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    code = (
        "import sys\nfrom batchlaw.storage import Registration, open_storage\n"
        "Registration(open_storage(sys.argv[1]).engine, int(sys.argv[2]), device='cpu', threads=1)"
    )
    subprocess.run([sys.executable, "-c", code, storage_url, str(stored.study._study_id)], check=True)
    (gone,) = workers_of(storage.engine, stored.study._study_id)
    assert gone.state == "stale"
    # On another machine its process cannot be looked for: silence tells.
    monkeypatch.setattr(workers, "process_space", lambda: "elsewhere")
    assert workers_of(storage.engine, stored.study._study_id)[0].state == "idle"
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.0)
    assert workers_of(storage.engine, stored.study._study_id)[0].state == "stale"


def test_the_health_of_a_database(storage_url):
    theirs = RDBStorage(storage_url)
    before = health_of(theirs)
    theirs.engine.dispose()
    assert before.tables == 0 and not before.current and before.writable
    storage = open_storage(storage_url, create=True)
    register(storage, tiny_spec(), trials=None, version="test")
    health = health_of(storage)
    assert health.current and health.tables == SCHEMA and health.optuna_schema == health.optuna_head
    assert abs(health.clock_skew_seconds) < 60 and health.round_trip_seconds > 0
    assert health.server.split()[0] == storage.engine.dialect.name and any(c.isdigit() for c in health.server)
    storage.engine.dispose()


def test_tables_of_another_version_are_refused_in_a_line_and_upgraded(storage, storage_url):
    register(storage, tiny_spec(), trials=None, version="test")
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE batchlaw_schema SET version = 99"))
    for attempt in (lambda: load(storage, "tiny"), lambda: register(storage, tiny_spec(), trials=9, version="test")):
        with pytest.raises(StorageError, match=rf"tables of version 99; this batchlaw knows {SCHEMA}$"):
            attempt()
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM batchlaw_schema"))
    with pytest.raises(StorageError, match=r"holds none of batchlaw's tables; see batchlaw storage upgrade$"):
        load(storage, "tiny")
    another = open_storage(storage_url, any_schema=True)
    upgrade(another)
    another.engine.dispose()
    assert health_of(storage).current and load(storage, "tiny").slots.counts().open == 6


def test_optunas_tables_of_another_version_are_left_to_optuna(storage, storage_url):
    register(storage, tiny_spec(), trials=None, version="test")
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v3.0.0.a'"))
    with pytest.raises(StorageError) as refusal:
        open_storage(storage_url)
    said = str(refusal.value)
    assert "upgrade" in said and "\n" not in said
    with warnings.catch_warnings(action="ignore"):  # Optuna leaves a connection open where it refuses a schema
        del refusal
        gc.collect()
    another = open_storage(storage_url, any_schema=True)
    health = health_of(another)
    another.engine.dispose()
    assert (health.optuna_schema, health.current) == ("v3.0.0.a", False)


def test_reading_a_database_without_studies_writes_nothing(storage_url, tmp_path):
    if storage_url.startswith("sqlite"):
        (tmp_path / "study.db").touch()
    for words in (["status", "tiny"], ["reap", "tiny"], ["export", "tiny"]):
        done = CliRunner().invoke(app, [*words, "--storage", storage_url])
        assert isinstance(done.exception, StorageError) and "holds no study" in str(done.exception)
    assert CliRunner().invoke(app, ["storage", "check", "--storage", storage_url]).exit_code == 0
    engine = sqlalchemy.create_engine(storage_url)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_dashboard_of_optunas_own_database_needs_none_of_our_tables(tmp_path):
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    RDBStorage(url).engine.dispose()
    storage = open_storage(url)
    assert health_of(storage).tables == 0
    with pytest.raises(StudyError, match="no study 'tiny'"):
        load(storage, "tiny")
    storage.engine.dispose()
