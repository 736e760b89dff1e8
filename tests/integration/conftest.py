"""Databases opened, and a PostgreSQL server of our own that may be stopped."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.storages import RDBStorage

from search.storage import open_storage


@pytest.fixture
def storage(storage_url: str) -> Iterator[RDBStorage]:
    storage = open_storage(storage_url, create=True)
    yield storage
    storage.engine.dispose()


@pytest.fixture
def own_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Callable[[str], None]]]:
    """A URL, and a function that does `stop` or `start` with its server."""
    tools = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    runuser = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if tools is None or (runuser and shutil.which("runuser") is None):
        pytest.skip("no PostgreSQL server programs: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("postgresql")
    for parent in [folder, *folder.parents]:
        if parent.owner() != "root" or parent == Path("/tmp"):
            break
        parent.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    if runuser:
        shutil.chown(data, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True, "cwd": "/"}
    subprocess.run([*runuser, str(tools / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"], **quiet)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"

    def do(action: str) -> None:
        further = ["-o", options, "-l", str(data / "log")] if action == "start" else ["-m", "immediate"]
        subprocess.run([*runuser, str(tools / "pg_ctl"), "-D", str(data), "-w", *further, action], **quiet)

    do("start")
    yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", do
    do("stop")
