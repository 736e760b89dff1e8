"""The user's own code trained outside of its study, side by side in processes: verified winners and measured rules."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import batchlaw as bl
import pytest
import tomli_w
from batchlaw.errors import Diverged, ObjectiveError, WorkFailed
from batchlaw.measure.run_pool import RunPool
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import point_of

from tests.waiting import wait_for

TRAIN = """
import math, os, time
from pathlib import Path

def noise(trial):
    return (trial.seed % 1000) / 1e5

def meets(trial):
    print("to nobody")
    Path(f"began-{trial.seed}").touch()
    while len(list(Path().glob("began-*"))) < 2:  # until the other has begun
        time.sleep(0.01)
    return {"loss": 1.0 + noise(trial), "number": trial.number}

def hangs(trial):
    Path("hangs").write_text(str(os.getpid()))
    time.sleep(600)

def flaky(trial):
    if trial.seed == 2:
        return {"loss": float("nan")}
    if not Path("failed").exists():
        Path("failed").touch()
        raise OSError("a flake")
    return {"loss": 1.0}

def fails(trial):
    raise OSError("no such data")

def dies(trial):
    print("the last word", flush=True)
    os._exit(9)

def surface(trial):
    if Path("strict").exists() and trial.seed == 1243687069:  # the second fresh seed
        return {"loss": float("nan")}
    off = trial.batch_size.bit_length() - 7 - math.log2(trial.config.peak_lr)
    return {"loss": 1.0 + off * off / 10 + noise(trial)}
"""
SEARCH = {
    "trials": 3, "metric": "loss", "direction": "minimize", "pruner": "none", "sampler": "random", "confirm": False,
    "max_retries": 1,
}  # fmt: skip


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that makes a study of the code above, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("own_code.py").write_text(TRAIN)

    def make(function, space=None, **arm):
        table = {
            "name": "own", "objective": f"own_code:{function}", "train_size": 256, "budget": {"epochs": 1},
            "space": {"batch_size": 16, "base_lr": 0.5, "optimizer": "sgd"} | (space or {}),
        }  # fmt: skip
        Path("own.toml").write_text(tomli_w.dumps(table | (arm or {"search": SEARCH})))
        return bl.Study.create("own.toml", "sqlite:///own.db")

    yield make
    sys.modules.pop("own_code", None)


def pooled(study, *seeds, processes=1):
    spec = study.spec
    configs = [derive(spec, point_of({}, spec), (seed,)) for seed in seeds]
    ticks = []
    told = RunPool(Path.cwd(), ({},) * processes, 1).train(configs, spec, lambda: ticks.append(1), first=40)
    assert len(ticks) == len(seeds)
    return told


def test_runs_train_side_by_side_and_each_has_a_number_of_its_own(made, capfd):
    first, second = pooled(made("meets"), 1, 2, processes=2)
    assert (first["loss"], second["loss"]) == (pytest.approx(1.00001), pytest.approx(1.00002))
    assert {first["number"], second["number"]} == {40.0, 41.0}
    assert capfd.readouterr().out == ""


def test_a_run_that_fails_is_run_again_and_one_that_diverges_is_told(made):
    first, second = pooled(made("flaky"), 1, 2)
    assert first == {"loss": 1.0} and isinstance(second, Diverged)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("fails", "batch_size 16, peak_lr 0.5, seed 1: OSError: no such data"),
        ("dies", "its process ended with exit code 9: the last word"),
    ],
)
def test_a_run_that_fails_again_says_why(made, function, words):
    with pytest.raises(ObjectiveError) as error:
        pooled(made(function), 1)
    assert words in str(error.value)


POOL = """
from pathlib import Path
import batchlaw as bl
from batchlaw.measure.run_pool import RunPool
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import point_of
spec = bl.Study.open("own", "sqlite:///own.db").spec
RunPool(Path.cwd(), ({},), 1).train([derive(spec, point_of({}, spec), (1,))], spec, lambda: None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_run_ends_with_whoever_waits_for_it(made, popen, ending):
    made("hangs")
    waiting = popen([sys.executable, "-c", POOL], stderr=subprocess.DEVNULL)
    wait_for(lambda: Path("hangs").exists() and Path("hangs").read_text())
    run = Path("/proc", Path("hangs").read_text())
    waiting.send_signal(ending)
    waiting.wait()
    wait_for(lambda: not run.exists())


def test_a_winner_is_verified(made):
    study, ticks = made("surface").run(workers=0, progress=False), []
    told = json.loads(study.export("json", verify=2, tick=lambda *done: ticks.append(done)))["verified"]
    assert told["n_seeds"] == 2 and told["seeds"][1] == 1243687069 and told["scored_by"] == "function"
    assert ticks == [(1, 2), (2, 2)]
    Path("strict").touch()
    with pytest.raises(WorkFailed, match="diverged on 1 of 2 fresh seeds"):
        study.export(verify=2)


@pytest.mark.slow
def test_rules_are_measured(made):
    space = {"batch_size": {"low": 2, "high": 256, "log2": True}, "base_lr": [2.0**-n for n in range(-2, 6)]}
    claim = {"hypotheses": ["H6"], "metric": "loss", "direction": "minimize", "reports": 1}
    study, ticks = made("surface", space, claim=claim).run(workers=0, progress=False), []
    costs = study.transfer(train=True, tick=lambda *done: ticks.append(done)).means.set_index("rule")["cost"]
    assert costs["linear"] == pytest.approx(0, abs=1e-3) and costs["sqrt"] > 0.1 and costs["constant"] > 0.3
    trained_once = 1 + 3 * 7 + 8  # at the reference the rules agree; the law has not seen the batch size
    assert ticks[-1][0] == ticks[-1][1] == len(ticks) == 5 * trained_once
