"""Databases opened, and a PostgreSQL server of our own that may be stopped."""

from collections.abc import Callable, Iterator

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
def own_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Callable[[str], None]]]:
    """A URL, and a function that does `stop` or `start` with its server."""
    try:
        with servers.own_postgresql(tmp_path_factory.mktemp("server")) as found:
            yield found
    except servers.NoServer as missing:
        pytest.skip(str(missing))
