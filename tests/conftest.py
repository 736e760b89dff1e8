"""Databases and studies that several suites use."""

import contextlib
import gc
import os
import signal
import subprocess

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # of a suite in the background of a script, and of what it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: the suite itself runs on every core

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy
from batchlaw.spec import StudySpec, parse_spec

from tests import leftovers
from tests.benchmarks.servers import fresh_database
from tests.waiting import wait_for


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Tests wait for processes and locks for half of their time."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(autouse=True, scope="session")
def nothing_left() -> Iterator[None]:
    """Fail if a process or a database outlives the tests of this process, and end it."""
    yield
    gc.collect()  # what ends with an object, such as the watchdog of a program, may be held by a cycle
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not leftovers.processes(), seconds=30)  # for what has been asked to end
    running, databases = leftovers.processes(), leftovers.drop_databases()
    leftovers.end(list(running))
    assert not running and not databases, f"left behind: {running} {databases}"


@pytest.fixture
def popen() -> Iterator[Callable[..., subprocess.Popen]]:
    """`subprocess.Popen`, whose processes are killed after the test if they have not ended."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: object, **options: object) -> subprocess.Popen:
            process = stack.enter_context(subprocess.Popen(*arguments, **options))
            stack.callback(process.kill)
            return process

        yield start


def tiny_study(**changes: object) -> dict:
    """A study whose trials take milliseconds; `changes` add to its tables, but for the budget, which they replace."""
    study = {
        "name": "tiny",
        "question": "Does the machinery work?",
        "task": {"dataset": "digits", "model": "mlp", "train_size": 64, "model_options": {"widths": [8]}},
        "budget": {"epochs": 2},
        "space": {
            "batch_size": {"low": 8, "high": 64, "log2": True},
            "base_lr": {"low": 0.01, "high": 1.0, "log": True},
            "optimizer": ["momentum", "adam"],
            "momentum": {"low": 0.5, "high": 0.95},
        },
        "search": {"trials": 6, "reports": 4},
    }
    for key, value in changes.items():
        study[key] = {**study[key], **value} if key in study and isinstance(value, dict) and key != "budget" else value
    return study


def tiny_spec(**changes: object) -> StudySpec:
    return parse_spec(tiny_study(**changes), "test")


def server_database(backend: str) -> Iterator[str]:
    server = leftovers.server_of(backend)
    try:
        with fresh_database(server, leftovers.PREFIX) as url:
            yield url
    except (sqlalchemy.exc.OperationalError, ModuleNotFoundError) as error:
        variable, reason = f"BATCHLAW_TEST_{backend.upper()}", str(error).splitlines()[0]
        pytest.skip(f"no {backend} server: start one and set {variable}, e.g. {server} ({reason})")


# Of tests that are about the database itself, and of all others.
EVERY_DATABASE = ("sqlite", "postgresql", pytest.param("mysql", marks=pytest.mark.slow))
_DATABASES = (
    "sqlite", pytest.param("postgresql", marks=pytest.mark.slow), pytest.param("mysql", marks=pytest.mark.release),
)  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs on the DATABASES of its module, unless it names its own."""
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "storage_url" in metafunc.fixturenames and "storage_url" not in named:
        metafunc.parametrize("storage_url", getattr(metafunc.module, "DATABASES", _DATABASES), indirect=True)


@pytest.fixture
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'study.db'}"
    else:
        yield from server_database(request.param)
