"""Writes a database with the batchlaw of an older commit, and what that batchlaw prints of it.

    git worktree add --detach /tmp/old c8728f4
    PYTHONPATH=/tmp/old/search python tests/data/tables_2/write.py

    PYTHONPATH=search python tests/data/tables_2/write.py analysis

The second replaces what is printed of claims, laws and costs by what the present batchlaw prints of that database, for
a change of the analysis.

It has a search with complete, pruned, diverged and lost trials, a designed study, and a study that was left open, with
a trial handed back. `batchlaw.sql.gz` is the dump of the SQLite file; `printed.json.gz` is what was printed of it.
"""

import contextlib
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ANALYSIS = ("claim", "law", "transfer")
PRINTED = {
    "old-search": (["status"], ["export", "--format", "json", "--top", "3"], ["law"], ["transfer"]),
    "old-claim": (["status"], ["export", "--format", "json"], ["claim"], ["law"], ["transfer"]),
    "old-open": (["status"], ["export", "--format", "json"]),
}
_SLOTS = "SELECT count(*) FROM batchlaw_slots JOIN studies USING (study_id) WHERE study_name = ? AND "
_HELD, _DONE = _SLOTS + "state = 'held' AND trial_id NOT NULL", _SLOTS + "state = 'done'"


def command(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "batchlaw", *map(str, words)]


def until(database: Path, study: str, query: str, n: int) -> None:
    """Wait until so many slots of a study are in a state."""
    while True:
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
            if connection.execute(query, (study,)).fetchone()[0] >= n:
                return
        time.sleep(0.002)


def cut_off(study: str, number: int, run: Callable[..., subprocess.Popen], database: Path, done: int) -> None:
    """Send a signal to a worker in the middle of a trial, after so many others."""
    worker = run("worker", study)
    until(database, study, _DONE, done)
    until(database, study, _HELD, 1)
    time.sleep(0.1)
    worker.send_signal(number)
    worker.wait()


def printed(words: list[str], study: str, run: Callable[..., subprocess.Popen]) -> object:
    options = [] if "--format" in words else ["--json"]
    process = run(words[0], study, *words[1:], *options, stdout=subprocess.PIPE, text=True)
    text = process.communicate()[0]
    return json.loads(text) if process.returncode == 0 else None


def renew_analysis() -> None:
    """Print claims, laws and costs again, of the database that was written before."""
    said = json.loads(gzip.decompress((HERE / "printed.json.gz").read_bytes()))
    with tempfile.TemporaryDirectory() as name:
        with contextlib.closing(sqlite3.connect(Path(name) / "batchlaw.db")) as connection:
            connection.executescript(gzip.decompress((HERE / "batchlaw.sql.gz").read_bytes()).decode())

        def run(*words: object, **options: object) -> subprocess.Popen:
            return subprocess.Popen(command(*words), cwd=name, **options)

        assert run("storage", "upgrade", "--yes").wait() == 0
        for study, every in said.items():
            every |= {word: printed([word], study, run) for word in ANALYSIS if word in every}
    (HERE / "printed.json.gz").write_bytes(gzip.compress(json.dumps(said, indent=1).encode(), mtime=0))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = folder / "batchlaw.db"
        environment = os.environ | {"HOME": name, "OMP_NUM_THREADS": "1", "BATCHLAW_THREADS": "1"}

        def run(*words: object, **options: object) -> subprocess.Popen:
            return subprocess.Popen(command(*words), cwd=folder, env=environment, **options)

        for file in ("search", "claim", "open"):
            assert run("create", HERE / f"{file}.toml").wait() == 0
        cut_off("old-search", signal.SIGKILL, run, database, 3)
        cut_off("old-open", signal.SIGTERM, run, database, 2)
        for file in ("search", "claim"):
            assert run("run", HERE / f"{file}.toml", "--workers", 2, "--plain").wait() == 0
        said = {study: {words[0]: printed(words, study, run) for words in every} for study, every in PRINTED.items()}
        with contextlib.closing(sqlite3.connect(database)) as connection:
            dump = "\n".join(connection.iterdump()) + "\n"
    (HERE / "batchlaw.sql.gz").write_bytes(gzip.compress(dump.encode(), mtime=0))
    (HERE / "printed.json.gz").write_bytes(gzip.compress(json.dumps(said, indent=1).encode(), mtime=0))


if __name__ == "__main__":
    renew_analysis() if sys.argv[1:] == ["analysis"] else main()
