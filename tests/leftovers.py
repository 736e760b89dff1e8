"""What this test process leaves behind: processes and databases that bear its mark.

Every worker of pytest-xdist is a test process, and others may be at work beside this one: each has a mark of its own.
"""

import contextlib
import os
import signal
import uuid
from pathlib import Path

import sqlalchemy

from tests.benchmarks import servers

MARK = f"PYTEST_OF_BATCHLAW={uuid.uuid4().hex[:8]}"  # in the environment of all that is started from here
PREFIX = f"batchlaw_{MARK[-8:]}_"  # of the names of databases
os.environ.update([MARK.split("=")])


def server_of(backend: str) -> str:
    """The URL of the server that the tests use."""
    return os.environ.get(f"BATCHLAW_TEST_{backend.upper()}", servers.SERVERS[backend])


def processes() -> dict[int, str]:
    """What was started from here and has not ended, whoever its parent is now: the command, and the test it is of."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is somebody else's
            environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            # Python's own tracker of shared memory ends with this process.
            if MARK in environment and "multiprocessing.resource_tracker" not in command:
                test = [entry for entry in environment if entry.startswith("PYTEST_CURRENT_TEST=")]
                found[int(folder.name)] = " ".join([command.strip(), *test])
    return found


def end(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def drop_databases() -> list[str]:
    """The names of the databases that were left; they are dropped."""
    dropped = []
    for server in map(server_of, servers.SERVERS):
        with contextlib.suppress(sqlalchemy.exc.OperationalError, ModuleNotFoundError):  # no such server here
            for name in servers.databases(server, PREFIX):
                servers.drop(server, name)
                dropped.append(name)
    return dropped
