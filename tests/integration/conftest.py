"""Databases opened, and a PostgreSQL server of our own that may be stopped."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batchlaw.storage import open_storage
from optuna.storages import RDBStorage

from tests.benchmarks import servers


@pytest.fixture
def storage(storage_url: str) -> Iterator[RDBStorage]:
    storage = open_storage(storage_url, create=True)
    yield storage
    storage.engine.dispose()


@pytest.fixture
def sqlite_storage(tmp_path: Path) -> Iterator[RDBStorage]:
    """For what does not depend on the database."""
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    yield storage
    storage.engine.dispose()


@pytest.fixture
def own_postgresql() -> Iterator[tuple[str, Callable[[str], None]]]:
    """A URL, and a function that does `stop` or `start` with its server."""
    # Not below pytest's own folder, which every new pytest run on the machine closes to other users.
    try:
        with tempfile.TemporaryDirectory() as folder, servers.own_postgresql(Path(folder)) as found:
            yield found
    except servers.NoServer as missing:
        pytest.skip(str(missing))
