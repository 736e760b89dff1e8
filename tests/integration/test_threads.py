"""The number of threads of a trial: stored when it starts, taken again by whoever runs it on, shared, and shown."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import tomli_w
import torch
from batchlaw import Study
from batchlaw.cli import app
from batchlaw.cores import Machine
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.threads import Threads
from batchlaw.results.records import records_of
from batchlaw.storage import Registration, other_pids, workers_of
from batchlaw.workers.recovery import reap
from batchlaw.workers.slot_trial import SlotTrial
from batchlaw.workers.worker import Worker
from typer.testing import CliRunner

from tests.acceptance.conftest import claim_study
from tests.conftest import tiny_study
from tests.integration.test_faults import registered, reports_of, slow_task
from tests.waiting import DEADLINE, wait_for

CPU = torch.device("cpu")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def start(popen, url, folder, threads):
    """A worker by hand, of a machine whose OMP_NUM_THREADS says something else."""
    environment = os.environ | {"OMP_NUM_THREADS": "3", "BATCHLAW_STORAGE": url, "HOME": str(folder)}
    words = ["worker", "tiny", "--threads", str(threads), "--checkpoint-seconds", "0", "--no-figures"]
    return popen(
        [sys.executable, "-P", "-m", "batchlaw", *words],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def running(popen, url, folder):
    """A study of one trial, and a worker with one thread that is in it."""
    stored = registered(url, slow_task(trials=1))
    worker = start(popen, url, folder, 1)
    wait_for(lambda: max(reports_of(stored), default=0) >= 3)
    return stored, worker


@pytest.mark.parametrize("end", [pytest.param(signal.SIGTERM, marks=pytest.mark.release), signal.SIGKILL])
@pytest.mark.slow
def test_a_trial_goes_on_with_the_number_that_it_started_with(popen, tmp_path, url, end):
    stored, worker = running(popen, url, tmp_path)
    assert records_of(stored)[0].result.threads == 1  # of a trial that runs
    worker.send_signal(end)
    worker.communicate(timeout=DEADLINE)
    if end == signal.SIGKILL:
        assert reap(stored) == 1
    assert len(list((tmp_path / ".cache/batchlaw/checkpoints").glob("*.pt"))) == 1
    goes_on = start(popen, url, tmp_path, 2)
    output, _ = goes_on.communicate(timeout=DEADLINE)
    assert goes_on.returncode == 0, output
    found = next(record for record in records_of(stored) if record.outcome == "complete")
    assert found.result.threads == 1
    torch.set_num_threads(2)
    comparison = replay(found, stored.spec, Runtime(CPU, Path("unused"), threads=Threads(given=2)))
    assert comparison.largest_difference == 0 and len(comparison.pairs) == 21
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("end", ["handed back", "failed"])
def test_a_cell_that_runs_again_has_the_number_that_it_had(url, end):
    stored = registered(url, claim_study())
    lease = stored.slots.lease()
    first = SlotTrial.ask(stored, 0, lease)
    first.trial.set_user_attr("threads", 5)
    if end == "failed":
        assert first.fail("for a reason", {})
    else:
        first.hand_back()
    again, other = (SlotTrial.ask(stored, 0, stored.slots.lease()) for _ in range(2))
    assert again.trial.params == first.trial.params
    assert (again.trial.user_attrs.get("threads"), other.trial.user_attrs.get("threads")) == (5, None)
    named, undecided = stored.slots.running()
    assert named == {again.trial._trial_id, other.trial._trial_id} and not undecided


@pytest.mark.release
def test_the_users_omp_num_threads_overrules(tmp_path, url):
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(tiny_study(search={"trials": 2})))
    run = [sys.executable, "-P", "-m", "batchlaw", "run", "tiny.toml", "--workers", "2"]
    for variables, threads in (({"OMP_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "3", "BATCHLAW_THREADS": "2"}, 2)):
        variables["BATCHLAW_STORAGE"] = f"{url}{threads}"
        subprocess.run(run, cwd=tmp_path, env=os.environ | variables, check=True, capture_output=True, timeout=DEADLINE)
        study = Study.open("tiny", f"{url}{threads}")
        assert [record.result.threads for record in records_of(study.stored)] == [threads] * 2


OWN = {"task": None, "train_size": 64, "search": {"trials": 2, "metric": "validation_loss", "pruner": "none"}}
PROGRAM = 'import json, os; print(json.dumps({"validation_loss": float(os.environ["OMP_NUM_THREADS"])}))'


def test_a_program_has_the_number_in_its_environment(url):
    study = tiny_study(**OWN, command=["python", "-c", PROGRAM.replace("{", "{{").replace("}", "}}")])
    stored = registered(url, study)
    from batchlaw.objectives.program import Command

    runtime = Runtime(CPU, Path("unused"), Command(stored.spec, Path()), threads=Threads(given=3))
    Worker(stored, runtime, study_seed=0).work()
    assert [(record.value, record.result.threads) for record in records_of(stored)] == [(3.0, 3)] * 2


def test_a_function_has_the_number_and_gives_it_back(url):
    def train(trial):
        return {"validation_loss": float(torch.get_num_threads())}

    before = torch.get_num_threads()
    own = {"metric": "validation_loss", "direction": "minimize", "train_size": 64, "epochs": 2, "pruner": "none"}
    study = Study.create(
        name="mine", storage=url, objective=train, trials=2, space={"batch_size": 16, "base_lr": (0.01, 0.1)}, **own
    )
    study.run(workers=0, progress=False, threads=3)
    assert torch.get_num_threads() == before
    assert [(record.value, record.result.threads) for record in records_of(study.stored)] == [(3.0, 3)] * 2
    assert study.replay(0).pairs == [("value", 3.0, 3.0)]
    assert torch.get_num_threads() == before


def test_an_asked_trial_has_a_number_until_it_is_told(url):
    space = {"batch_size": 16, "base_lr": (0.01, 0.1)}
    study = Study.create(name="mine", storage=url, metric="loss", direction="minimize", trials=2, space=space,
                         train_size=64, epochs=2)  # fmt: skip
    torch.set_num_threads(2)
    first = study.ask()
    assert first is not None and torch.get_num_threads() == first.threads == 1  # OMP_NUM_THREADS of this suite
    study.tell(first, {"loss": 1.0})
    assert torch.get_num_threads() == 2
    assert records_of(study.stored)[0].result.threads == 1


REGISTERED = """
import sys
from batchlaw.storage import Registration, open_storage
Registration(open_storage(sys.argv[1]).engine, 17, device="cpu", threads=1)
print("registered", flush=True)
sys.stdin.read()
"""


def test_workers_of_one_host_share_its_cores(url):
    stored = registered(url, tiny_study())
    engine = stored.storage.engine
    Registration(engine, stored.study._study_id, device="cpu", threads=1)
    assert other_pids(engine) == set()  # this process itself
    sixteen = Machine({}, lambda pid: set(range(16)), proc=Path("none"), cgroups=Path("none"))
    command = [sys.executable, "-c", REGISTERED, url]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        for other in others:
            assert other.stdout.readline() == "registered\n"
        assert other_pids(engine) == {other.pid for other in others}  # of another study, too
        assert sixteen.share(other_pids(engine)) == 4
        cores = Machine().cores()
        own = Threads(given=None, others=partial(other_pids, engine), at_most=64)
        assert own.choose([_config_of(stored)], CPU, Path("unused")) <= max(1, cores // 4)
        others[0].kill()
        others[0].wait()
        assert other_pids(engine) == {other.pid for other in others[1:]}
    finally:
        for other in others:
            other.communicate()
    assert other_pids(engine) == set()


def _config_of(stored):
    Worker(stored, Runtime(CPU, Path("unused")), study_seed=0).work()
    return records_of(stored)[0].known_config


def test_status_shows_the_number_of_each_worker(url):
    stored = registered(url, tiny_study())
    registration = Registration(stored.storage.engine, stored.study._study_id, device="cpu", threads=1)
    registration.beat("training", 0, 0, 5)
    assert [seen.threads for seen in workers_of(stored.storage.engine, stored.study._study_id)] == [5]
    shown = CliRunner().invoke(app, ["status", "tiny", "--storage", url, "--json"]).output
    assert json.loads(shown)["workers"][0]["threads"] == 5
    shown = CliRunner().invoke(app, ["status", "tiny", "--storage", url], terminal_width=200).output
    heading, row = (line.split() for line in shown.splitlines() if "threads" in line or " cpu " in line)
    assert row[heading.index("threads")] == "5"


# What macOS does not have, taken from every Python process that starts with this on its path.
WITHOUT = """
import builtins, io, os
del os.sched_getaffinity
gone = ("/proc", "/sys", "/dev/shm")
def without(function):
    def call(path, *args, **kwargs):
        if str(path).startswith(gone):
            raise FileNotFoundError(path)
        return function(path, *args, **kwargs)
    return call
for module in (builtins, io):
    module.open = without(open)
os.readlink = without(os.readlink)
"""


@pytest.mark.release
def test_a_study_runs_where_proc_affinity_and_cgroups_are_missing(tmp_path, url):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(tiny_study(search={"trials": 4})))
    path = os.pathsep.join([str(tmp_path / "without"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | {"PYTHONPATH": path}

    def run(*words):
        variables = environment | {"BATCHLAW_STORAGE": url}
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    code = (
        "import os; from batchlaw.cores import cores; from batchlaw.storage.tables import process_space;"
        "print(cores() == os.cpu_count(), os.path.exists('/proc/self/cgroup'), process_space())"
    )
    first, second = run(sys.executable, "-c", code).split(), run(sys.executable, "-c", code).split()
    assert first[:2] == ["True", "True"] and "unknown" in first
    assert first != second  # no PID is ever taken for that of another host
    command = [sys.executable, "-P", "-m", "batchlaw"]
    run(*command, "run", "tiny.toml", "--workers", "2")
    profile = json.loads(run(*command, "profile", "tiny.toml", "--seconds", "0.01", "--json"))
    assert profile["threads"] >= 1 and profile["device"].startswith("cpu (")
    stored = Study.open("tiny", url).stored
    assert {record.outcome for record in records_of(stored)} <= {"complete", "pruned", "diverged"}
    assert len(records_of(stored)) == 4
    command = [sys.executable, "-c", REGISTERED, url]
    living = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert living.stdout.readline() == "registered\n"
        asked = f"from batchlaw.storage import *; print(other_pids(open_storage({url!r}).engine))"
        assert run(sys.executable, "-c", asked).strip() == f"{{{living.pid}}}"
    finally:
        living.communicate()


def test_a_dead_worker_of_an_unknown_boot_is_found_by_its_lease_alone(tmp_path, url):
    """A PID of another process space says nothing: the worker may live on another host of the same name."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT)
    stored = registered(url, tiny_study())
    path = os.pathsep.join([str(tmp_path / "without"), *filter(None, [os.environ.get("PYTHONPATH")])])
    code = f"from batchlaw.storage import *; load(open_storage({url!r}), 'tiny').slots.lease()"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, check=True)
    assert stored.slots.counts().held == 1
    assert stored.slots.lease_expired() is None
