"""`batchlaw stop` reaches workers wherever they run, with real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from batchlaw.storage import load, open_storage
from sqlalchemy import text

from tests.acceptance.conftest import command, environment
from tests.conftest import tiny_study
from tests.waiting import wait_for

# Trials wait for a file, so that they are under way for as long as the test wants.
FUNCTION = """
import time
from pathlib import Path
def train(trial):
    while not Path("go").exists():
        time.sleep(0.02)
    return {"validation_loss": trial.config.base_lr}
"""
PROGRAM = """
import json, os, sys, time
from pathlib import Path
Path("program").write_text(str(os.getpid()))
while not Path("go").exists():
    time.sleep(0.02)
print(json.dumps({"validation_loss": float(sys.argv[1])}))
"""
LOOP = """
import sys, time
from pathlib import Path
import batchlaw as bl
study = bl.Study.open("tiny", sys.argv[1])
while trial := study.ask():
    print("asked", flush=True)
    sys.stdin.readline()
    study.tell(trial, {"validation_loss": 1.0})
print("left", flush=True)
sys.stdin.readline()
again = study.ask()
study.tell(again, {"validation_loss": 1.0})
print("told again", flush=True)
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


def write_study(folder: Path, **code: object) -> Path:
    (folder / "waiting.py").write_text(FUNCTION)
    (folder / "script.py").write_text(PROGRAM)
    search = {"trials": 5, "metric": "validation_loss", "pruner": "none"}
    study = tiny_study(task=None, train_size=64, search=search, **(code or {"objective": "waiting:train"}))
    file = folder / "tiny.toml"
    file.write_text(tomli_w.dumps({key: value for key, value in study.items() if value is not None}))
    return file


@pytest.fixture
def start(popen, tmp_path):
    """A function that starts the command."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return lambda *words: popen(command(*words), cwd=tmp_path, env=environment(tmp_path), text=True, **pipes)


def rows(url: str, query: str) -> list:
    storage = open_storage(url, create=True)
    try:
        with storage.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        storage.engine.dispose()


def until_begun(url: str, n: int) -> None:
    """Wait until so many trials are under way and their workers have said so."""
    wait_for(lambda: rows(url, "SELECT count(*) FROM batchlaw_workers WHERE state = 'training'") == [(n,)])


def status(batchlaw, url):
    return json.loads(batchlaw("status", "tiny", "--json", "--storage", url).stdout)


@pytest.mark.slow
def test_a_run_ends_as_if_interrupted_and_goes_on_later(batchlaw, start, storage_url, tmp_path):
    file = write_study(tmp_path)
    batchlaw("create", file, "--storage", storage_url)
    run = start("run", file, "--workers", 2, "--plain", "--storage", storage_url)
    until_begun(storage_url, 2)
    assert batchlaw("stop", "tiny", "--storage", storage_url).stdout == "2 workers stopped.\n"
    output, errors = run.communicate(timeout=120)
    assert (run.returncode, errors) == (130, "") and "Stopped with 5 trials to go" in output
    now = status(batchlaw, storage_url)
    assert (now["running"], now["waiting"], now["outcomes"]["lost"], now["workers"]) == (0, 5, 0, [])
    assert batchlaw("stop", "tiny", "--storage", storage_url).stdout == "No worker is at work.\n"
    (tmp_path / "go").touch()
    assert "5 of 5 trials · 5 complete" in batchlaw("run", file, "--workers", 1, "--storage", storage_url).stdout
    trials = rows(storage_url, "SELECT count(*) FROM trials")
    assert trials == [(5,)]  # those that were handed back were run, and no others in their place


@pytest.mark.release
def test_trials_in_progress_are_finished_on_request_and_no_other_starts(batchlaw, start, url, tmp_path):
    file = write_study(tmp_path)
    batchlaw("create", file, "--storage", url)
    launch = start("launch", file, "--workers", 2, "--storage", url)
    until_begun(url, 2)
    assert batchlaw("stop", "tiny", "--finish", "--no-wait", "--storage", url).stdout == "2 workers asked to leave.\n"
    beats = "SELECT last_seen FROM batchlaw_workers ORDER BY worker"
    before = rows(url, beats)
    wait_for(lambda: all(new > old for new, old in zip(rows(url, beats), before, strict=True)))  # they have read it
    (tmp_path / "go").touch()
    output, errors = launch.communicate(timeout=120)
    assert (launch.returncode, errors) == (130, "") and output.endswith("2 of 5 trials · 2 complete\nStopped.\n")
    now = status(batchlaw, url)
    assert (now["done"], now["running"], now["waiting"], now["outcomes"]["complete"]) == (2, 0, 3, 2)


@pytest.mark.release
def test_a_program_is_ended_and_its_worker_leaves_with_0(batchlaw, start, url, tmp_path):
    words = [sys.executable, "script.py", "{peak_lr}", "{batch_size}", "{optimizer}", "{momentum}"]
    file = write_study(tmp_path, command=words)
    batchlaw("create", file, "--storage", url)
    worker = start("worker", file, "--storage", url)
    until_begun(url, 1)
    wait_for((tmp_path / "program").exists)
    assert batchlaw("stop", "tiny", "--storage", url).stdout == "1 worker stopped.\n"
    assert worker.wait(timeout=60) == 0
    worker.communicate()
    program = Path("/proc") / (tmp_path / "program").read_text()
    assert not program.exists()
    assert status(batchlaw, url)["waiting"] == 5


@pytest.mark.slow
def test_a_loop_of_ones_own_keeps_its_trial_and_gets_no_other(batchlaw, start, popen, url, tmp_path):
    import batchlaw as bl

    bl.Study.create(
        name="tiny", storage=url, metric="validation_loss", direction="minimize", trials=5, train_size=64, epochs=2,
        space={"batch_size": (8, 64), "base_lr": (0.01, 1.0)}, pruner="none",
    ).stored.storage.engine.dispose()  # fmt: skip
    loop = popen(
        [sys.executable, "-c", LOOP, url],
        cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert loop.stdout.readline() == "asked\n"
    stop = start("stop", "tiny", "--storage", url)
    wait_for(lambda: rows(url, "SELECT stop FROM batchlaw_workers") == [("now",)])
    beat = rows(url, "SELECT last_seen FROM batchlaw_workers")
    wait_for(lambda: rows(url, "SELECT last_seen FROM batchlaw_workers") > beat)
    assert stop.poll() is None  # the trial is still under way
    loop.stdin.write("\n")
    loop.stdin.flush()
    assert loop.stdout.readline() == "left\n"
    assert (stop.communicate(timeout=60)[0], stop.returncode) == ("1 worker stopped.\n", 0)
    assert loop.communicate("\n", timeout=60)[0] == "told again\n"  # a later `ask` works
    storage = open_storage(url)
    counts = load(storage, "tiny").slots.counts()
    storage.engine.dispose()
    assert (counts.done, counts.open) == (2, 3)


@pytest.mark.slow
def test_a_run_in_the_process_of_a_notebook_ends_and_the_process_stays(batchlaw, popen, url, tmp_path):
    batchlaw("create", write_study(tmp_path), "--storage", url)
    code = (
        "import sys, batchlaw as bl\n"
        "study = bl.Study.create('tiny.toml', sys.argv[1])\n"
        "try: study.run(workers=0, progress=False)\n"
        "except KeyboardInterrupt: print('stopped', flush=True)\n"
        "print('on', flush=True)\n"
    )
    run = popen(
        [sys.executable, "-c", code, url],
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_begun(url, 1)
    assert batchlaw("stop", "tiny", "--storage", url).stdout == "1 worker stopped.\n"
    assert run.communicate(timeout=60)[0] == "stopped\non\n" and run.returncode == 0
    assert status(batchlaw, url)["waiting"] == 5
