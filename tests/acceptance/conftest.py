"""The command as a person runs it: in processes of its own, in an empty folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

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


@pytest.fixture
def batchlaw(tmp_path: Path) -> Batchlaw:
    def in_folder(*arguments: object, code: int = 0, folder: Path = tmp_path) -> subprocess.CompletedProcess:
        return run(folder, *arguments, code=code)

    return in_folder


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(tomli_w.dumps(tiny_study()))
    return file


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of ten trials in batchlaw.db; read it, do not change it."""
    folder = tmp_path_factory.mktemp("finished")
    study = tiny_study(search={"trials": 10, "replicates": 2, "pruner": "median"})
    (folder / "tiny.toml").write_text(tomli_w.dumps(study))
    done = run(folder, "run", "tiny.toml")
    (folder / "output.txt").write_text(done.stdout)
    (folder / "errors.txt").write_text(done.stderr)
    return folder


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


@pytest.fixture(scope="session")
def designed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished designed study; read it, do not change it."""
    folder = tmp_path_factory.mktemp("designed")
    (folder / "claim.toml").write_text(tomli_w.dumps(claim_study()))
    done = run(folder, "run", "claim.toml")
    (folder / "output.txt").write_text(done.stdout)
    return folder
