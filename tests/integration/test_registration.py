"""Registration by many processes at once, and by processes that are killed on the way, on every database."""

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
import tomli_w
from batchlaw.storage import load, open_storage, register
from batchlaw.storage.creation import create_missing_tables, optunas_tables
from batchlaw.storage.tables import SCHEMA, metadata, schema_version
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url

from tests.benchmarks.servers import fresh_database
from tests.conftest import tiny_spec, tiny_study

DRIVER = Path(__file__).with_name("registering.py")


@pytest.fixture
def registering(tmp_path):
    """Runs the driver, and returns what it says of each process."""
    file = tmp_path / "tiny.toml"
    file.write_text(tomli_w.dumps(tiny_study()))

    def run(how, *jobs):
        done = subprocess.run([sys.executable, DRIVER, file, how, *jobs], capture_output=True, text=True)
        print(done.stderr)  # which pytest shows if the test fails
        assert done.returncode == 0
        return json.loads(done.stdout)

    return run


@contextmanager
def opened(url):
    storage = open_storage(url, create=True)
    try:
        yield storage
    finally:
        storage.engine.dispose()


@contextmanager
def another_database(url, name):
    """A new database of the same kind."""
    if url.startswith("sqlite"):
        yield make_url(url).set(database=str(Path(make_url(url).database).with_name(name))).render_as_string()
    else:
        with fresh_database(url) as found:
            yield found


def check_complete(url):
    """One study, with everything that belongs to it, in a database with all its tables and indexes."""
    with opened(url) as storage:
        stored = load(storage, "tiny")
        assert optuna.get_all_study_names(storage) == ["tiny"] and stored.spec == tiny_spec()
        assert stored.slots.counts().total == stored.slots.counts().open == 6
        assert stored.study.direction.name == "MAXIMIZE" and stored.page.take(1) is not None
        assert storage.get_study_system_attrs(stored.study._study_id)["study:metric_names"] == ["validation_accuracy"]
        expected = {"batchlaw:spec", "batchlaw:fingerprint", "batchlaw:version", "batchlaw:id", "batchlaw:created"}
        assert expected <= stored.study.user_attrs.keys()
        check_indexes(storage.engine)


def check_indexes(engine):
    inspector = sqlalchemy.inspect(engine)
    for wanted in (optunas_tables(), metadata):
        for table in wanted.tables.values():
            indexes = {index["name"]: bool(index["unique"]) for index in inspector.get_indexes(table.name)}
            assert {index.name: bool(index.unique) for index in table.indexes}.items() <= indexes.items()


def test_many_processes_register_one_study_in_a_new_database(storage_url, registering):
    found = registering("together", *[storage_url] * 6)
    assert [process["code"] for process in found] == [0] * 6
    assert len({process["id"] for process in found}) == 1
    check_complete(storage_url)


@pytest.mark.slow
def test_a_process_that_is_killed_on_the_way_leaves_nothing_that_stops_the_next(storage_url, registering):
    points = 5
    [undisturbed] = registering("in-turn", storage_url)
    last = undisturbed["statements"]
    with ExitStack() as databases:
        urls = [databases.enter_context(another_database(storage_url, f"{n}.db")) for n in range(points)]
        # From the first statement to the last commit: the tables of Optuna, ours, the study.
        kills = [1 + point * (last - 1) // (points - 1) for point in range(points)]
        jobs = [job for url, kill in zip(urls, kills, strict=True) for job in (f"{url}@@{kill}", url)]
        found = registering("in-turn", *jobs)
        assert [process["code"] for process in found] == [-9, 0] * points
        for url in urls:
            check_complete(url)


def test_a_half_made_database_is_completed(storage_url):
    """As a process leaves it that makes one table after the other and is killed before CREATE INDEX."""
    theirs = RDBStorage(storage_url)
    [by_name] = optunas_tables().tables["studies"].indexes
    by_name.drop(theirs.engine)
    theirs.engine.dispose()
    with opened(storage_url) as storage:
        check_indexes(storage.engine)


def test_a_database_of_optunas_gets_our_tables(storage_url):
    theirs = RDBStorage(storage_url)
    optuna.create_study(study_name="theirs", storage=theirs)
    theirs.engine.dispose()
    with opened(storage_url) as storage:
        register(storage, tiny_spec(), trials=None, version="test")
        assert set(optuna.get_all_study_names(storage)) == {"theirs", "tiny"}


def test_the_tables_of_a_new_database_are_made_at_the_first_attempt(storage_url):
    engine = sqlalchemy.create_engine(storage_url)
    create_missing_tables(engine)
    assert schema_version(engine) == SCHEMA
    engine.dispose()
