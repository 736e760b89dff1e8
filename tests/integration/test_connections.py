"""Connections that are lost, missing or read-only, on real servers."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from batchlaw.errors import WorkFailed
from batchlaw.spec import parse_spec
from batchlaw.storage import ValueRefused, open_storage, register, with_retries
from batchlaw.storage.tables import schema
from sqlalchemy import event, select
from sqlalchemy.engine import make_url

from tests.conftest import server_database, tiny_study
from tests.waiting import wait_for


@pytest.fixture
def mysql():
    yield from server_database("mysql")


@pytest.fixture
def postgresql():
    yield from server_database("postgresql")


def asked(storage):
    return optuna.create_study(storage=storage, study_name="study").ask()


@contextlib.contextmanager
def administrator(url):
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        yield connection


@pytest.mark.slow
def test_a_mysql_connection_that_was_cut_a_moment_ago_is_replaced(mysql):
    storage = open_storage(mysql, create=True)
    trial = asked(storage)
    for work in (
        lambda: storage.get_trial(trial._trial_id),
        lambda: trial.report(1.0, 1),
        lambda: trial.set_user_attr("key", 1),
        lambda: storage.get_study_id_from_name("study"),
    ):
        with storage.engine.connect() as connection:
            number = connection.exec_driver_sql("SELECT connection_id()").scalar()
        with administrator(mysql) as other:
            other.exec_driver_sql(f"KILL {number}")
            gone = f"SELECT count(*) = 0 FROM information_schema.processlist WHERE id = {number}"
            wait_for(lambda other=other, gone=gone: other.exec_driver_sql(gone).scalar())
        with_retries(work)
    storage.engine.dispose()


@pytest.mark.slow
def test_mysql_holds_an_attribute_past_64_kb(mysql):
    storage = open_storage(mysql, create=True)
    trial = asked(storage)
    with_retries(lambda: trial.set_user_attr("curve", "x" * 300_000))
    assert len(storage.get_trial(trial._trial_id).user_attrs["curve"]) == 300_000
    storage.engine.dispose()


@pytest.mark.slow
def test_what_a_column_does_not_hold_is_refused_at_once(mysql):
    storage = open_storage(mysql, create=True)
    with storage.engine.begin() as connection:  # as databases of Optuna's own tables are
        connection.exec_driver_sql("ALTER TABLE trial_user_attributes MODIFY value_json TEXT")
    trial = asked(storage)
    with pytest.raises(ValueRefused, match="too long"):
        once(storage.engine, lambda: with_retries(lambda: trial.set_user_attr("curve", "x" * 70_000)))
    storage.engine.dispose()


def test_an_attribute_past_any_packet_is_refused_at_once(storage):
    trial = asked(storage)
    with pytest.raises(ValueRefused, match="curve: 20 MB of JSON; must be at most 15 MB"):
        with_retries(lambda: trial.set_user_attr("curve", "x" * 20_000_000))


def once(engine, work):
    """Call what fails, and make sure that no statement was tried twice."""
    tried = Counter()

    def note(_connection, _cursor, statement, *_):
        tried[statement] += 1

    event.listen(engine, "before_cursor_execute", note)
    try:
        return work()
    finally:
        event.remove(engine, "before_cursor_execute", note)
        assert max(tried.values()) == 1, tried


def test_a_missing_table_is_told_at_once(storage):
    def work():
        with storage.engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(WorkFailed, match=r"nowhere"):
        once(storage.engine, lambda: with_retries(work))


def test_a_write_without_the_right_to_it_is_told_at_once(postgresql):
    open_storage(postgresql, create=True).engine.dispose()
    name = f"reader_{os.getpid()}"
    with administrator(postgresql) as own:
        own.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
        own.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    try:
        storage = open_storage(make_url(postgresql).set(username=name).render_as_string())

        def work():
            with storage.engine.begin() as connection:
                connection.execute(schema.update().values(version=0))

        with pytest.raises(WorkFailed, match="permission denied"):
            once(storage.engine, lambda: with_retries(work))
        storage.engine.dispose()
    finally:
        with administrator(postgresql) as own:
            own.exec_driver_sql(f"DROP OWNED BY {name}")
            own.exec_driver_sql(f"DROP ROLE {name}")


def test_a_server_that_is_read_only_for_a_while_is_waited_for_on_another_connection(postgresql):
    storage = open_storage(postgresql, create=True)
    database = make_url(postgresql).database
    seen, refused = [], threading.Event()
    event.listen(storage.engine, "handle_error", lambda _: refused.set())

    def work():
        with storage.engine.begin() as connection:
            seen.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())
            connection.execute(schema.update().values(version=schema.c.version))

    with_retries(work)
    with administrator(postgresql) as own:
        own.exec_driver_sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        storage.engine.dispose()  # so that the new connection is read-only
        writer = threading.Thread(target=lambda: with_retries(work))
        writer.start()
        assert refused.wait(60)
        own.exec_driver_sql("SET default_transaction_read_only = off")
        own.exec_driver_sql(f"ALTER DATABASE {database} SET default_transaction_read_only = off")
        writer.join(60)
    assert not writer.is_alive()
    assert len(set(seen)) == len(seen) >= 3  # never again the connection that was read-only
    storage.engine.dispose()


def test_a_worker_that_starts_waits_for_a_connection(postgresql):
    open_storage(postgresql, create=True).engine.dispose()
    name = f"crowded_{os.getpid()}"
    url = make_url(postgresql).set(username=name).render_as_string()
    with administrator(postgresql) as own:
        own.exec_driver_sql(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 1")
        own.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    refused, opened = threading.Event(), []

    def look(_dialect, _record, arguments, parameters):
        if parameters.get("user") == name and not connected.is_set():
            refused.set()

    connected = threading.Event()
    try:
        with administrator(url):
            event.listen(sqlalchemy.Engine, "do_connect", look)
            opener = threading.Thread(target=lambda: opened.append(open_storage(url)))
            opener.start()
            assert refused.wait(60)
            opener.join(3)  # longer than an opening waits for other errors
            assert opener.is_alive() and not opened
        connected.set()
        opener.join(60)
        assert opened
        opened[0].engine.dispose()
    finally:
        event.remove(sqlalchemy.Engine, "do_connect", look)
        with administrator(postgresql) as own:
            own.exec_driver_sql(f"DROP OWNED BY {name}")
            own.exec_driver_sql(f"DROP ROLE {name}")


def test_between_its_statements_a_process_keeps_one_connection(postgresql):
    storage = open_storage(postgresql, create=True)
    with storage.engine.connect() as first, storage.engine.connect() as second:  # of a worker's two threads
        assert first.scalar(select(1)) == second.scalar(select(1))
    with administrator(postgresql) as own:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        wait_for(lambda: own.exec_driver_sql(count).scalar() <= 1)
    storage.engine.dispose()


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pgbouncer(postgresql, tmp_path, popen):
    """The URL of a PgBouncer that gives each transaction whichever of two connections is free."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer: apt-get install pgbouncer")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = make_url(postgresql)
    users, settings = Path("/tmp", f"users-{port}.txt"), Path("/tmp", f"pgbouncer-{port}.ini")
    users.write_text(f'"{url.username}" ""\n')
    settings.write_text(
        f"[databases]\n{url.database} = host={url.host} port={url.port or 5432} user={url.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nauth_file = {users}\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\nunix_socket_dir =\n"
    )
    for file in (users, settings):
        file.chmod(0o644)
    user = ["-u", "postgres"] if os.getuid() == 0 else []
    with (tmp_path / "pgbouncer.log").open("w") as log:
        process = popen([program, *user, str(settings)], stdout=log, stderr=log)
    try:
        wait_for(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "pgbouncer.log").read_text()
        yield url.set(host="127.0.0.1", port=port).render_as_string()
    finally:
        process.terminate()
        process.wait(60)
        users.unlink()
        settings.unlink()


@pytest.mark.release
def test_a_study_runs_through_pgbouncer_in_transaction_mode(pgbouncer, postgresql, tmp_path, popen):
    from tests.acceptance.conftest import command, environment

    spec = parse_spec(tiny_study(search={"trials": 12, "pruner": "median"}), "test")
    stored = register(open_storage(pgbouncer, create=True), spec, trials=None, version="test")
    stored.storage.engine.dispose()
    workers = [
        popen(
            command("worker", "tiny", "--device", "cpu"), cwd=tmp_path, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=environment(tmp_path) | {"BATCHLAW_STORAGE": pgbouncer},
        )
        for _ in range(3)
    ]  # fmt: skip
    said = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], said
    stored = register(open_storage(postgresql), spec, trials=None, version="test")
    assert stored.slots.counts().done == 12
    assert len(stored.study.get_trials()) == 12
    stored.storage.engine.dispose()
