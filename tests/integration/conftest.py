"""Databases opened, a PostgreSQL server of our own that may be stopped, and a worker that is asked to stop."""

import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from batchlaw.storage import open_storage
from batchlaw.workers.worker import Worker
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


@pytest.fixture
def work_until(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Worker, int], None]]:
    """A function that has a worker work until it gets SIGTERM at its n-th report."""
    monkeypatch.setattr("batchlaw.workers.trial._WRITE_SECONDS", 0.0)
    report, before = optuna.Trial.report, {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}

    def work(worker: Worker, last: int) -> None:
        reported = []

        def counting(self: optuna.Trial, *args: float) -> None:
            reported.append(self.number)
            if len(reported) == last:
                signal.raise_signal(signal.SIGTERM)
            report(self, *args)

        monkeypatch.setattr(optuna.Trial, "report", counting)
        worker.runtime.interrupts.install()
        worker.work()

    yield work
    for number, handler in before.items():
        signal.signal(number, handler)
