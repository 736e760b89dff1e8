"""The command as a person runs it: in processes of its own, in an empty folder."""

import contextlib
import gc
import io
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import tomli_w
from batchlaw.cli import main
from filelock import FileLock

from tests.conftest import tiny_study
from tests.waiting import DEADLINE

Batchlaw = Callable[..., subprocess.CompletedProcess]


def environment(folder: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BATCHLAW_")}
    return clean | {"HOME": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error::DeprecationWarning:batchlaw", "-P", "-m", "batchlaw", *map(str, arguments)]


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt-get install chromium")


def browse(address: str, folder: Path) -> subprocess.CompletedProcess:
    """Open a page in a headless browser; its document comes on stdout, what its console said on stderr."""
    return subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000",
            "--dump-dom", address,
        ],
        capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip


def run(folder: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
    """Run a command in a folder to its end, which must be with this exit code and without a traceback."""
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def run_here(folder: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
    """Run a command in this process, which saves the seconds that a process takes to start.

    It is for commands that read, or that are refused: those that train set the threads of their process.
    """
    words, said, complained = ["batchlaw", *map(str, arguments)], io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(mock.patch.dict(os.environ, environment(folder), clear=True))
        stack.enter_context(mock.patch.object(sys, "argv", words))
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(complained))
        stack.enter_context(warnings.catch_warnings(action="ignore", category=DeprecationWarning))  # as by default
        stack.callback(gc.set_threshold, *gc.get_threshold())
        stack.callback(gc.unfreeze)
        try:
            main()
        except SystemExit as end:
            done = subprocess.CompletedProcess(words, end.code or 0, said.getvalue(), complained.getvalue())
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def batchlaw(tmp_path: Path) -> Batchlaw:
    """The command in a process of its own."""
    return lambda *arguments, code=0, folder=tmp_path: run(folder, *arguments, code=code)


@pytest.fixture
def batchlaw_here(tmp_path: Path) -> Batchlaw:
    """The command in this process; see `run_here`."""
    return lambda *arguments, code=0, folder=tmp_path: run_here(folder, *arguments, code=code)


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(tomli_w.dumps(tiny_study()))
    return file


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, once for all workers of pytest-xdist; read it, do not change it."""
    together = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    with FileLock(together / f"{name}.lock"):
        if not (folder := together / name).exists():
            unfinished = factory.mktemp(name)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def _finished(folder: Path) -> None:
    study = tiny_study(search={"trials": 10, "replicates": 2, "pruner": "median"})
    (folder / "tiny.toml").write_text(tomli_w.dumps(study))
    done = run(folder, "run", "tiny.toml")
    (folder / "output.txt").write_text(done.stdout)
    (folder / "errors.txt").write_text(done.stderr)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of ten trials in batchlaw.db."""
    return made_once(tmp_path_factory, "finished", _finished)


def claim_study() -> dict:
    study = tiny_study(task={"train_size": 128})
    del study["search"]
    study["name"] = "tiny-claim"
    study["space"] = {
        "batch_size": {"low": 1, "high": 128, "log2": True},
        "base_lr": [2.0**exponent for exponent in range(-4, 5)],
    }
    study["claim"] = {"hypotheses": ["H9", "H8", "H6"], "reports": 1}
    return study


def _designed(folder: Path) -> None:
    (folder / "claim.toml").write_text(tomli_w.dumps(claim_study()))
    (folder / "output.txt").write_text(run(folder, "run", "claim.toml").stdout)


@pytest.fixture(scope="session")
def designed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished designed study."""
    return made_once(tmp_path_factory, "designed", _designed)
