"""Numbered migrations: new databases, databases of the version before, several processes at once, and kills."""

import json
import signal
import subprocess
import sys

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from batchlaw.cli import app
from batchlaw.errors import BatchlawError, StorageError
from batchlaw.storage import Registration, health_of, load, open_storage, register, upgrade
from batchlaw.storage.migrations import VERSION_TABLE, missing
from batchlaw.storage.migrations.versions import v2
from batchlaw.storage.tables import SCHEMA, metadata
from typer.testing import CliRunner

from tests.conftest import tiny_spec
from tests.integration import old_database

WORDS = {  # of `printed.json.gz`
    "status": ["status", "{}", "--json"], "export": ["export", "{}", "--format", "json"],
    "claim": ["claim", "{}", "--json"], "law": ["law", "{}", "--json"], "transfer": ["transfer", "{}", "--json"],
}  # fmt: skip
UPGRADE = """
import sys
from batchlaw.storage import open_storage, upgrade
upgrade(open_storage(sys.argv[1], any_schema=True))
"""
# Ends its process by force before the first statement after one that has the words in it.
KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
seen = []
@event.listens_for(Engine, "before_cursor_execute")
def look(connection, cursor, statement, *rest):
    if seen:
        os.kill(os.getpid(), signal.SIGKILL)
    seen.extend([statement] * (sys.argv[2].lower() in statement.lower()))
"""


@pytest.fixture
def old(storage_url, tmp_path):
    """A database of the version before."""
    old_database.load(storage_url, tmp_path)
    return storage_url


def differences(url, wanted=metadata):
    """How batchlaw's tables in a database differ from those of the code."""
    engine = sqlalchemy.create_engine(url)

    def is_ours(thing, name, kind, *_):
        return kind != "table" or (name.startswith("batchlaw_") and name != VERSION_TABLE)

    def differs(context, inspected, column, found, wanted):
        # FLOAT(53) is called DOUBLE on the servers.
        return not str(found).startswith(("DOUBLE", "FLOAT")) if isinstance(wanted, sqlalchemy.Float) else None

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_type": differs})
        found = compare_metadata(context, wanted)
    engine.dispose()
    return found


def version(url):
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        (found,) = connection.execute(sqlalchemy.text("SELECT version FROM batchlaw_schema")).all()
    engine.dispose()
    return found[0]


def command(*words):
    return CliRunner().invoke(app, list(words), standalone_mode=False)


def test_the_numbers_go_up_to_that_of_the_tables():
    steps = missing(0)
    assert [step.number for step in steps] == list(range(2, SCHEMA + 1))
    assert all(step.does.endswith(".") and "\n" not in step.does for step in steps)


def test_a_new_database_has_the_tables_of_the_code(storage, storage_url):
    register(storage, tiny_spec(), trials=None, version="test")
    assert differences(storage_url) == []
    assert version(storage_url) == SCHEMA > 2  # which older versions read, and refuse


def test_the_first_migration_makes_the_tables_that_the_version_before_made(tmp_path):
    assert differences(old_database.write_file(tmp_path / "old.db"), v2.metadata) == []


def test_an_old_database_is_refused_in_a_line_and_says_the_same_after_an_upgrade(old):
    before = old_database.content(old)
    for words in (["status", "old-search"], ["claim", "old-claim"], ["worker", "old-open"], ["stop", "old-open"]):
        refusal = command(*words, "--storage", old).exception
        assert isinstance(refusal, StorageError) and refusal.remedy == "batchlaw storage upgrade"
        assert str(refusal).startswith(f"the database holds batchlaw's tables of version 2, and {SCHEMA} is needed")
    check = command("storage", "check", "--storage", old)
    assert check.return_value == 1 and "missing 3. Add a column" in check.stdout
    unasked = command("storage", "upgrade", "--storage", old)
    assert unasked.exception.argument == "yes" and "3. Add a column" in unasked.stdout and "backup" in unasked.stdout
    assert old_database.content(old) == before  # none of this has written
    upgraded = command("storage", "upgrade", "--yes", "--json", "--storage", old)
    assert upgraded.return_value == 0 and json.loads(upgraded.stdout)["current"]
    assert differences(old) == [] and version(old) == SCHEMA
    after = old_database.content(old)
    assert after["batchlaw_pages"] == before["batchlaw_boards"]
    unchanged = before.keys() - {"batchlaw_boards", "batchlaw_schema", "batchlaw_workers"}
    assert all(after[name] == before[name] for name in unchanged)
    # Clocks, and the pace, which the latest trials tell now.
    leave = ("silent_seconds", "exported", "trials_a_minute", "seconds_left")
    for study, by_command in old_database.printed().items():
        for name, was in by_command.items():
            top = ["--top", str(len(was["configurations"]))] if name == "export" else []
            now = command(*(word.format(study) for word in WORDS[name]), *top, "--storage", old)
            if was is None:
                assert isinstance(now.exception, BatchlawError)
            else:
                old_database.check_same(json.loads(now.stdout), was, leave=leave)


def test_the_tables_of_version_1_had_no_pages(old):
    engine = sqlalchemy.create_engine(old)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE batchlaw_boards"))
        connection.execute(sqlalchemy.text("UPDATE batchlaw_schema SET version = 1"))
    engine.dispose()
    assert command("storage", "upgrade", "--yes", "--storage", old).return_value == 0
    assert differences(old) == [] and len(old_database.content(old)["batchlaw_pages"]) == 3


def test_an_upgrade_waits_for_nobody_and_is_refused_while_somebody_works(old):
    storage = open_storage(old, any_schema=True)
    Registration(storage.engine, 1, device="cpu", threads=1)
    refused = command("storage", "upgrade", "--yes", "--storage", old).exception
    assert isinstance(refused, StorageError) and refused.remedy == "force" and "1 worker is at work: " in str(refused)
    assert version(old) == 2
    assert command("storage", "upgrade", "--yes", "--force", "--storage", old).return_value == 0
    assert health_of(storage).current
    storage.engine.dispose()


def test_tables_of_a_newer_version_are_left_alone(storage, storage_url):
    register(storage, tiny_spec(), trials=None, version="test")
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE batchlaw_schema SET version = 99"))
    with pytest.raises(StorageError, match=f"tables of version 99; this batchlaw knows {SCHEMA}$"):
        upgrade(storage)
    assert version(storage_url) == 99


def test_an_old_upgrade_that_was_run_by_mistake_is_mended(storage, storage_url):
    """The version before writes its own number, and makes its table of pages again."""
    register(storage, tiny_spec(), trials=None, version="test")
    v2.boards.create(storage.engine)
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE batchlaw_schema SET version = 2"))
    upgrade(storage)
    assert version(storage_url) == SCHEMA and load(storage, "tiny").slots.counts().open == 6


def test_several_processes_upgrade_at_once(old, popen):
    processes = [popen([sys.executable, "-c", UPGRADE, old], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.communicate(timeout=250)[1] == "" and process.returncode == 0
    assert differences(old) == [] and version(old) == SCHEMA


@pytest.mark.parametrize("words", ["batchlaw_version", "ADD ", "RENAME"])
def test_an_upgrade_that_is_killed_can_be_repeated(old, words):
    killed = subprocess.run([sys.executable, "-c", KILLED + UPGRADE, old, words])
    assert killed.returncode == -signal.SIGKILL and version(old) == 2
    if not old.startswith("mysql"):  # where a change of a table is part of the transaction
        assert differences(old, v2.metadata) == []
    storage = open_storage(old, any_schema=True)
    upgrade(storage)
    storage.engine.dispose()
    assert differences(old) == [] and version(old) == SCHEMA
