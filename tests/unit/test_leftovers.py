"""The check that nothing outlives its test finds what has lost its parent, and what was made and not dropped."""

import subprocess
import sys

import pytest
import sqlalchemy

from tests import leftovers
from tests.benchmarks.servers import SERVERS, administration, databases, drop
from tests.waiting import wait_for


def test_a_process_without_its_parent_is_found_with_the_test_that_it_is_of_and_ended():
    code = "import subprocess as s; print(s.Popen(['sleep', '600'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    found = leftovers.processes()[pid]
    assert found.startswith("sleep 600 ") and "test_leftovers.py::test_a_process_without_its_parent" in found
    leftovers.end([pid])
    wait_for(lambda: pid not in leftovers.processes())


def test_a_process_of_another_run_is_not_ours(popen):
    process = popen(["sleep", "600"], env={leftovers.MARK.split("=")[0]: "another"})
    assert process.pid not in leftovers.processes()


@pytest.mark.parametrize("backend", SERVERS)
def test_a_database_that_was_not_dropped_is_found_and_dropped(backend):
    server, ours, other = leftovers.server_of(backend), f"{leftovers.PREFIX}left", f"x{leftovers.PREFIX}other"
    try:
        with administration(server) as connection:
            for name in (ours, other):
                connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    except (sqlalchemy.exc.OperationalError, ModuleNotFoundError):
        pytest.skip(f"no {backend} server")
    try:
        assert leftovers.drop_databases() == [ours] and databases(server, other) == [other]
    finally:
        drop(server, other)
