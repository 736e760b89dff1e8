"""A PostgreSQL server of one's own, which may be stopped and started, and fresh databases on other servers."""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import make_url

SERVERS = {
    "postgresql": "postgresql+psycopg://postgres@127.0.0.1:5432/test",
    "mysql": "mysql+pymysql://root@127.0.0.1:3306/test",
}


class NoServer(Exception):
    """Its programs are not installed."""


@contextmanager
def own_postgresql(folder: Path, address: str = "127.0.0.1") -> Iterator[tuple[str, Callable[[str], None]]]:
    """The URL of a new cluster in an empty folder, and a function that does `stop`, `start` or `restart`, at once."""
    tools = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    runuser = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if tools is None or (runuser and shutil.which("runuser") is None):
        raise NoServer("no PostgreSQL server programs: apt-get install postgresql")
    data = folder / "cluster"
    data.mkdir()
    if runuser:  # the server does not run as root, and must get to its folder
        shutil.chown(data, "postgres")
        for parent in data.parents:
            if parent == Path("/tmp"):
                break
            parent.chmod(parent.stat().st_mode | 0o055)
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True, "cwd": "/"}
    subprocess.run([*runuser, str(tools / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"], **quiet)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {address}/16 trust\n")
    options = f"-p {port} -c listen_addresses={address} -c unix_socket_directories={data} -c max_connections=400"
    begin = ["-o", options, "-l", str(data / "log")]

    def do(action: str) -> None:
        further = begin if action == "start" else ["-m", "immediate", *(begin if action == "restart" else [])]
        subprocess.run([*runuser, str(tools / "pg_ctl"), "-D", str(data), "-w", *further, action], **quiet)

    do("start")
    try:
        yield f"postgresql+psycopg://postgres@{address}:{port}/postgres", do
    finally:
        do("stop")


@contextmanager
def administration(server: str) -> Iterator[sqlalchemy.Connection]:
    """A connection to a server of many databases that may make and drop them."""
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def databases(server: str, prefix: str) -> list[str]:
    """The names of the databases of a server that begin so."""
    column = {"postgresql": "datname FROM pg_database", "mysql": "schema_name FROM information_schema.schemata"}
    with administration(server) as connection:
        names = connection.scalars(sqlalchemy.text(f"SELECT {column[connection.dialect.name]}")).all()
    return [name for name in names if name.startswith(prefix)]


def drop(server: str, name: str) -> None:
    with administration(server) as connection:
        force = " WITH (FORCE)" if connection.dialect.name == "postgresql" else ""
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name}{force}"))


@contextmanager
def fresh_database(server: str, prefix: str = "batchlaw_") -> Iterator[str]:
    """The URL of a new database on the server of a URL; dropped at the end."""
    name = f"{prefix}{uuid.uuid4().hex[:12]}"
    with administration(server) as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        drop(server, name)
