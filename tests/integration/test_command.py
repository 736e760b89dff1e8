"""A program of any kind as an objective: real processes, heard through their output."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from batchlaw.errors import ObjectiveError, Pruned, SpecError
from batchlaw.objectives.program import Command
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.derive import derive
from batchlaw.results.records import records_of
from batchlaw.spec import parse_spec
from batchlaw.spec.knobs import Point
from batchlaw.storage import open_storage, register
from batchlaw.workers.worker import Worker

from tests.conftest import tiny_study
from tests.waiting import wait_for


def spec_of(*command, **search):
    study = tiny_study(search={"metric": "validation_loss", "pruner": "none", **search}, train_size=64)
    del study["task"]
    return parse_spec(study | {"command": list(command)}, "study.toml")


def script(folder, body):
    (folder / "script.py").write_text("import json, sys, time\n" + body)
    return "python", "script.py"


def config_of(spec):
    point = Point(
        batch_size=16, base_lr=0.5, scaling_rule="constant", warmup_fraction=0.0, optimizer="momentum",
        decay="constant", momentum=0.75, weight_decay=0.0,
    )  # fmt: skip
    return derive(spec, point, (7,))


def run(folder, spec, report=lambda progress, metrics: None):
    return Command(spec, folder)(Trial(config_of(spec), report, folder))


def test_it_gets_the_configuration_as_arguments_and_is_heard(tmp_path):
    words = script(
        tmp_path,
        "print('starting up, 100 %')\nprint('[1, 2]')\n"
        "for part in (1, 2):\n"
        "    print(json.dumps({'progress': part / 2, 'validation_loss': 1 / part, 'note': 'x'}), flush=True)\n"
        "print(json.dumps({'validation_loss': 0.25, 'arguments': len(sys.argv)}))\n"
        "open('arguments', 'w').write('|'.join(sys.argv[1:]))\n",
    )
    spec = spec_of(*words, "{peak_lr}", "{batch_size}", "--m={momentum:.2f}", "{optimizer} {{x}}; $HOME `ls`", "{seed}")
    told = []
    result = run(tmp_path, spec, lambda progress, metrics: told.append((progress, dict(metrics))))
    assert result == {"validation_loss": 0.25, "arguments": 6}
    assert told == [(0.5, {"validation_loss": 1.0}), (1.0, {"validation_loss": 0.5})]
    peak = config_of(spec).peak_lr
    # One argument each, whatever a shell would make of it.
    assert (tmp_path / "arguments").read_text() == f"{peak}|16|--m=0.75|momentum {{x}}; $HOME `ls`|7"


def test_it_is_ended_with_what_it_started_when_the_trial_ends(tmp_path):
    words = script(
        tmp_path,
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "print(json.dumps({'progress': 0.1, 'validation_loss': 1.0}), flush=True)\n"
        "time.sleep(3600)\n",
    )

    def prune(progress, metrics):
        raise Pruned

    with pytest.raises(Pruned):
        run(tmp_path, spec_of(*words), prune)
    child = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(child))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit('out of luck')", ["exit code 1", "out of luck"]),
        ("raise ValueError('deep down')", ["exit code 1", "ValueError: deep down"]),
        ("print('no JSON here')", ["printed no line with 'validation_loss'"]),
        ("print('{\"loss\": 1}')", ["printed no line with 'validation_loss'"]),
        ('print(\'{"progress": 2, "validation_loss": 1}\')', ["progress: got 2"]),
    ],
)
def test_what_goes_wrong_is_a_line(tmp_path, body, words):
    with pytest.raises(ObjectiveError) as fault:
        run(tmp_path, spec_of(*script(tmp_path, body + "\n")))
    assert "\n" not in str(fault.value)
    for word in words:
        assert word in str(fault.value)


def test_a_program_that_is_not_there_is_a_line(tmp_path):
    with pytest.raises(ObjectiveError, match="'no-such-program' cannot be started: no such program on the PATH"):
        run(tmp_path, spec_of("no-such-program"))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("{learning_rate}", ["command.1", "must be one of batch_size, base_lr, ", '"learning_rate"']),
        ("{seed.__class__}", ["command.1", "seed.__class__"]),
        ("{0}", ["command.1", '"{0}"', "names no placeholder"]),
        ("{", ["command.1", "is no template"]),
    ],
)
def test_placeholders_are_checked_before_anything_is_written(part, words):
    with pytest.raises(SpecError) as refusal:
        spec_of("python", part)
    for word in words:
        assert word in str(refusal.value)


def test_a_study_of_a_program_is_searched_and_pruned(tmp_path):
    words = script(
        tmp_path,
        "loss = abs(float(sys.argv[1]) - 0.01)\n"
        "for part in range(1, 5):\n"
        "    print(json.dumps({'progress': part / 4, 'validation_loss': loss + 1 / part}), flush=True)\n",
    )
    spec = spec_of(*words, "{peak_lr}", trials=12, pruner="median")
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(torch.device("cpu"), tmp_path, Command(spec, tmp_path)), study_seed=0).work()
    records = records_of(stored)
    outcomes = [record.outcome for record in records]
    assert len(outcomes) == 12 and set(outcomes) == {"complete", "pruned"}
    for record in records:
        if record.outcome == "complete":
            assert record.value == pytest.approx(abs(record.config.peak_lr - 0.01) + 0.25)
    storage.engine.dispose()


def test_nan_is_divergence(tmp_path):
    words = script(tmp_path, "print('{\"validation_loss\": NaN}')\n")
    spec = spec_of(*words, trials=1)
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(torch.device("cpu"), tmp_path, Command(spec, tmp_path)), study_seed=0).work()
    assert [record.outcome for record in records_of(stored)] == ["diverged"]
    storage.engine.dispose()


@pytest.mark.slow
def test_a_worker_runs_it_only_from_a_file_on_its_machine(tmp_path):
    spec = spec_of(*script(tmp_path, "open('ran', 'w')\n"))
    url = f"sqlite:///{tmp_path / 'study.db'}"
    storage = open_storage(url, create=True)
    register(storage, spec, trials=None, version="test")
    storage.engine.dispose()
    for words in (["worker", "tiny"], ["launch", "tiny"], ["replay", "tiny", "0"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "batchlaw", *words, "--storage", url],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "ran").exists()
