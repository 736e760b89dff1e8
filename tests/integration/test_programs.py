"""Programs as they are: what is heard of them, why they fail, and that nothing of them is left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
import torch
from batchlaw.errors import (
    BatchlawError,
    DeviceMemoryError,
    Diverged,
    ObjectiveError,
    Pruned,
    SpecError,
    StudyError,
    WorkFailed,
)
from batchlaw.objectives.log_files import read_metric
from batchlaw.objectives.output import KEPT_LINES
from batchlaw.objectives.program import Command
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.starter import search_path
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import point_of
from batchlaw.results.code_changes import code_changes
from batchlaw.results.records import records_of
from batchlaw.spec import parse_spec
from batchlaw.spec.program import Listener
from batchlaw.storage import open_storage, register
from batchlaw.storage.attributes import ARGUMENTS, OUTPUT
from batchlaw.study import Study
from batchlaw.study.tryout import try_out
from batchlaw.workers.worker import Worker

from tests.waiting import wait_for

PROGRAMS = Path(__file__).parents[1] / "data" / "programs"
LOSS = {"val_loss": {"regex": r"val loss ([0-9.]+)"}}


def study_of(*command, metric="val_loss", **keys):
    search = {"trials": 2, "metric": metric, "direction": "minimize", "pruner": "none", "sampler": "random"}
    study = {
        "name": "program", "command": list(command), "train_size": 64, "budget": {"epochs": 2},
        "space": {"batch_size": 16, "base_lr": 0.5, "optimizer": "sgd"}, "search": search | keys.pop("search", {}),
    }  # fmt: skip
    return study | keys


def run(folder, study, report=lambda progress, metrics: None):
    """The metrics and the notes of one run."""
    spec = parse_spec(study, "study.toml")
    trial = Trial(
        derive(spec, point_of({}, spec), (7,)), report, folder / "runs", number=3, devices=spec.devices,
        micro_batch_size=spec.micro_batch_size,
    )  # fmt: skip
    try:
        with contextlib.closing(Command(spec, folder)) as command:
            return dict(command(trial)), trial.notes
    except BaseException as error:
        error.notes = trial.notes
        raise


def script(folder, body):
    (folder / "script.py").write_text("import json, os, sys, time\n" + body)
    return "python", "script.py"


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_regexes_hear_metrics_and_progress_on_both_outputs(tmp_path):
    words = script(
        tmp_path,
        "for step in range(0, 9):\n"
        "    print(f'step {step}: train loss 9.9, val loss {1 / (step + 1):.4f}.', file=sys.stderr)\n"
        "    print(f'Accuracy: {step}/10 (x%)')\n",
    )
    told = []
    metrics = LOSS | {"accuracy": {"regex": r"Accuracy: (\d+)/(\d+)", "reduce": "last-2-mean"}}
    study = study_of(*words, metrics=metrics, progress={"regex": r"step (\d+):", "of": "{steps}"})
    result, notes = run(tmp_path, study, lambda progress, metrics: told.append((progress, metrics["val_loss"])))
    assert result == {"val_loss": 0.1111, "accuracy": pytest.approx(0.75)}
    assert told == [(step / 8, pytest.approx(1 / (step + 1), abs=1e-4)) for step in range(1, 9)]
    assert notes[ARGUMENTS] == ["python", "script.py"] and len(notes[OUTPUT]) == 18


@pytest.mark.parametrize(("reduce", "value"), [("last", 2.0), ("best", 1.0), ("mean", 2.0), ("last-2-mean", 1.5)])
def test_several_values_are_reduced(tmp_path, reduce, value):
    words = script(tmp_path, "for loss in (3, 1, 2): print('val loss', loss)\n")
    study = study_of(*words, metrics={"val_loss": LOSS["val_loss"] | {"reduce": reduce}})
    assert run(tmp_path, study)[0] == {"val_loss": value}


def test_metrics_are_read_from_files_that_the_program_has_written(tmp_path):
    metrics = {
        "top1": {"csv": "{run_dir}/summary.csv", "column": "eval_top1", "reduce": "best"},
        "val_loss": {"json_file": "{run_dir}/*.json", "key": "eval.loss"},
        "k": {"json_file": "{run_dir}/all_results.json", "key": "eval.top.k"},
    }
    study = study_of("python", str(PROGRAMS / "logger.py"), "{run_dir}", metrics=metrics)
    assert run(tmp_path, study)[0] == {
        "top1": 60.0,
        "val_loss": 0.5,
        "k": 3.0,
    }  # the lowest, since val_loss is minimized


@pytest.mark.slow
def test_event_files_of_tensorboard_are_read(tmp_path):
    metrics = {"return": {"tensorboard": "runs/{trial}", "tag": "charts/return", "reduce": "last-50-mean"}}
    words = ["python", str(PROGRAMS / "logger.py"), "{trial}", "events"]
    study = study_of(*words, metric="return", metrics=metrics)
    with pytest.raises(ObjectiveError, match=r"metrics.return: no event file was written in .*runs/3"):
        run(tmp_path, study)
    metrics["return"]["tensorboard"] = "{trial}/runs"
    assert run(tmp_path, study)[0] == {"return": 74.5}


def test_a_file_of_another_program_is_not_read(tmp_path):
    (tmp_path / "all_results.json").write_text('{"eval": {"loss": 0.5}}')
    os.utime(tmp_path / "all_results.json", (1e9, 1e9))
    metrics = {"val_loss": {"json_file": "all_results.json", "key": "eval.loss"}}
    with pytest.raises(ObjectiveError, match=r"metrics.val_loss: no file .* was written by this program"):
        run(tmp_path, study_of(*script(tmp_path, "print('hello')\n"), metrics=metrics))


def test_a_file_is_known_by_what_was_there_before_and_not_by_a_clock_which_may_jump(tmp_path):
    (tmp_path / "scores.json").write_text('{"loss": 0.75}')
    code = """
import os, pathlib, time
path = pathlib.Path("scores.json")
path.write_text('{"loss": 0.25}')
os.utime(path, (time.time() - 3600,) * 2)
"""
    metrics = {"val_loss": {"json_file": "scores.json", "key": "loss"}}
    assert run(tmp_path, study_of(*script(tmp_path, code), metrics=metrics))[0] == {"val_loss": 0.25}


def test_lines_of_any_shape_and_length_pass(tmp_path):
    result, notes = run(tmp_path, study_of("python", str(PROGRAMS / "shapes.py"), metrics=LOSS))
    assert result == {"val_loss": 0.25}
    lines = notes[OUTPUT]
    assert lines[0] == "step 499/500 [===]"  # a bar is one line, as on a terminal
    assert lines[-1] == "the last line has no end" and max(map(len, lines)) < 600
    assert "\x00" not in "".join(lines)


def test_the_last_lines_are_stored_and_bounded(tmp_path):
    words = script(tmp_path, "for n in range(1000): print(n, 'é' * 1000)\nprint('val loss 1')\n")
    lines = run(tmp_path, study_of(*words, metrics=LOSS))[1][OUTPUT]
    assert lines[-1] == "val loss 1" and len(lines) <= KEPT_LINES and len(json.dumps(lines)) < 16_000


def test_a_finished_program_ends_its_trial_though_its_children_hold_its_output(tmp_path):
    study = study_of("python", str(PROGRAMS / "leaver.py"), "pids", metric="validation_loss")
    assert run(tmp_path, study)[0] == {"validation_loss": 0.5}
    assert not any(map(alive, json.loads((tmp_path / "pids").read_text())))


@pytest.mark.slow
def test_a_worker_ends_what_has_lost_its_parent_its_session_and_its_environment(tmp_path, popen):
    file = tmp_path / "program.toml"
    words = ["python", str(PROGRAMS / "leaver.py"), "pids", "detached"]
    file.write_text(tomli_w.dumps(study_of(*words, metric="validation_loss", search={"trials": 1})))
    url = f"sqlite:///{tmp_path / 'study.db'}"
    Study.create(file, url)
    worker = popen([sys.executable, "-P", "-m", "batchlaw", "worker", str(file), "--storage", url])
    assert worker.wait() == 0
    pids = json.loads((tmp_path / "pids").read_text())
    assert len(pids) == 3 and not any(map(alive, pids))
    assert [each.outcome for each in records_of(Study.open("program", url).stored)] == ["complete"]


def test_a_pruned_program_leaves_nothing(tmp_path):
    def prune(progress, metrics):
        raise Pruned

    study = study_of("python", str(PROGRAMS / "leaver.py"), "pids", "stays", metric="validation_loss")
    with pytest.raises(Pruned):
        run(tmp_path, study, prune)
    assert not any(map(alive, json.loads((tmp_path / "pids").read_text())))


@pytest.mark.slow
def test_the_program_of_a_killed_worker_ends(tmp_path, popen):
    file = tmp_path / "program.toml"
    words = ["python", str(PROGRAMS / "leaver.py"), "pids", "stays"]
    file.write_text(tomli_w.dumps(study_of(*words, metric="validation_loss")))
    url = f"sqlite:///{tmp_path / 'study.db'}"
    Study.create(file, url)
    worker = popen([sys.executable, "-P", "-m", "batchlaw", "worker", str(file), "--storage", url])
    wait_for(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().endswith("]"))
    pids = json.loads((tmp_path / "pids").read_text())
    parent = int(Path(f"/proc/{pids[0]}/stat").read_text().split()[3])
    assert all(map(alive, [*pids, parent]))
    worker.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(map(alive, [*pids, parent])))


@pytest.mark.parametrize(
    ("body", "keys", "error", "words"),
    [
        ("sys.exit(3)", {"diverged": {"exit_codes": [3]}}, Diverged, []),
        ("print('Loss is nan'); time.sleep(3600)", {"diverged": {"pattern": "[Ll]oss is nan"}}, Diverged, []),
        ("raise RuntimeError('CUDA out of memory. Tried to')", {}, DeviceMemoryError, ["exit code 1", "CUDA out of"]),
        ("os.kill(os.getpid(), 9)", {}, DeviceMemoryError, ["SIGKILL"]),
        ("sys.exit(137)", {}, DeviceMemoryError, ["exit code 137"]),
        ("sys.exit('no room')", {"out_of_memory": {"pattern": "no room"}}, DeviceMemoryError, ["no room"]),
        ("print('CUDA out of memory'); print('val loss 1'); time.sleep(0); sys.exit(0)", {}, None, []),
        ("os.kill(os.getpid(), 11)", {}, ObjectiveError, ["ended by SIGSEGV", "no output"]),
        ("print('almost')", {}, ObjectiveError, ["no line of the output has", "its last line is 'almost'"]),
        ("pass", {}, ObjectiveError, ["it printed nothing"]),
        ("try:\n  1 / 0\nfinally:\n  print('bye', file=sys.stderr)", {}, ObjectiveError, ["ZeroDivisionError: div"]),
        (
            "sys.exit('\\n'.join(['[rank1]: ValueError: no such file', 'torch.ChildFailedError: x', '=' * 60]))", {},
            ObjectiveError, ["exit code 1: [rank1]: ValueError"],
        ),
        ("print('val loss ...')", {}, ObjectiveError, ["metrics.val_loss: the regex found '...'", "no number"]),
        (
            "print('step 99'); print('val loss 1')", {"progress": {"regex": r"step (\d+)", "of": "{steps}"}},
            ObjectiveError, ["progress: the program is at 99 of 8"],
        ),
    ],
)  # fmt: skip
def test_a_failure_says_why(tmp_path, body, keys, error, words):
    study = study_of(*script(tmp_path, body + "\n"), metrics=LOSS, **keys)
    if error is None:
        assert run(tmp_path, study)[0] == {"val_loss": 1.0}
        return
    with pytest.raises(error) as fault:
        run(tmp_path, study)
    assert all(word in str(fault.value) for word in words), fault.value
    assert "\n" not in str(fault.value) and OUTPUT in fault.value.notes


def test_arguments_files_and_variables_have_the_values_of_the_trial(tmp_path):
    (tmp_path / "config.template.yaml").write_text("lr: {lr}\nwidth: {width}\nmap: {{a: 1}}\n")
    words = script(
        tmp_path,
        "print(json.dumps({'loss': 1.0}))\n"
        "open('told', 'w').write(json.dumps([sys.argv[1:], os.environ['TWICE'], os.environ['PYTHONUNBUFFERED'],\n"
        "    open(sys.argv[1] + '/sub/config.yaml').read()]))\n",
    )
    study = study_of(
        *words, "{run_dir}", "{batch_size / devices / accumulate}", "{micro_batch_size}", "{accumulate}", "{epochs}",
        "{steps}", "{trial}", "{seed}", "{decay}",
        {"when": "optimizer == 'sgd' and width > 100", "args": ["--sgd", "--min={lr / 10}"]},
        {"when": "optimizer == 'adamw'", "args": ["--adamw"]},
        metric="loss", environment={"TWICE": "{2 * batch_size}"}, devices=2, micro_batch_size=3,
        files={"{run_dir}/sub/config.yaml": "config.template.yaml"}, parameters={"width": 128},
        names={"decay": {"constant": "none"}},
    )  # fmt: skip
    run(tmp_path, study)
    (run_dir, *arguments), twice, unbuffered, config = json.loads((tmp_path / "told").read_text())
    assert arguments == ["2", "2", "4", "2", "8", "3", "7", "none", "--sgd", "--min=0.05"]
    assert (twice, unbuffered, config) == ("32", "1", "lr: 0.5\nwidth: 128\nmap: {a: 1}\n")
    assert Path(run_dir).is_relative_to(tmp_path / "runs")


def test_a_script_whose_optimizer_is_not_named_gets_the_rate_of_the_study(tmp_path):
    words = script(tmp_path, "print(json.dumps({'val_loss': float(sys.argv[1])}))\n")
    space = {"base_lr": 0.5}
    assert run(tmp_path, study_of(*words, "{lr}", space=space))[0] == {"val_loss": 0.5}
    named = study_of(*words, "{lr}", space=space | {"optimizer": "adam"})
    assert run(tmp_path, named)[0] == {"val_loss": pytest.approx(0.005)}


@pytest.mark.parametrize("keep", [True, False])
def test_the_folder_of_a_run_is_kept_or_deleted(tmp_path, keep):
    words = script(tmp_path, "open(sys.argv[1] + '/model', 'w')\nprint(json.dumps({'loss': 1.0}))\n")
    run(tmp_path, study_of(*words, "{run_dir}", metric="loss", keep_runs=keep))
    assert len(list((tmp_path / "runs").rglob("model"))) == keep
    words = script(tmp_path, "open(sys.argv[1] + '/model', 'w')\nsys.exit(1)\n")
    with pytest.raises(ObjectiveError):
        run(tmp_path, study_of(*words, "{run_dir}", metric="loss", keep_runs=keep))
    assert len(list((tmp_path / "runs").rglob("model"))) == 1  # it may go on in its folder


@pytest.mark.parametrize("keep", [True, False])
def test_no_empty_folder_stays(tmp_path, keep):
    words = script(tmp_path, "print(json.dumps({'loss': 1.0}))\n")
    spec = parse_spec(study_of(*words, "{run_dir}", metric="loss", keep_runs=keep), "study.toml")
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    stored = register(storage, spec, trials=None, version="test")
    runs = tmp_path / "runs"
    Worker(stored, Runtime(torch.device("cpu"), tmp_path, Command(spec, tmp_path), runs_dir=runs), 0).work()
    assert len(list(runs.glob("*/trial-*/*"))) == 2 * keep and len(list(runs.iterdir())) == keep
    storage.engine.dispose()


def test_a_score_command_adds_its_metrics(tmp_path):
    words = script(tmp_path, "open(sys.argv[1] + '/model', 'w').write('0.5')\nprint('val loss 1.0')\n")
    (tmp_path / "score.py").write_text("import sys; print('FID', open(sys.argv[1] + '/model').read())")
    study = study_of(
        *words, "{run_dir}", metric="fid", metrics=LOSS | {"fid": {"regex": r"FID (\S+)"}},
        score_command=["python", "score.py", "{run_dir}"],
    )  # fmt: skip
    assert run(tmp_path, study)[0] == {"val_loss": 1.0, "fid": 0.5}


def test_programs_beside_the_interpreter_are_found_without_an_activated_environment(tmp_path, monkeypatch):
    beside = str(Path(sys.executable).parent)
    others = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != beside]
    monkeypatch.setenv("PATH", os.pathsep.join(others))
    study = study_of(
        "sh", "-c", "echo val loss 0.5; command -v torchrun", metric="fid", score_command=["pytest", "--version"],
        metrics=LOSS | {"fid": {"regex": r"pytest (\d+)"}},
    )  # fmt: skip
    metrics, notes = run(tmp_path, study)
    assert set(metrics) == {"val_loss", "fid"} and f"{beside}/torchrun" in notes[OUTPUT]
    alone = study | {"environment": {"PATH": str(tmp_path)}, "command": ["torchrun"]}
    with pytest.raises(ObjectiveError, match="command: 'torchrun' cannot be started: no such program on the PATH"):
        run(tmp_path, alone)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"command": ["pyhton", "x.py"]}, ["command: 'pyhton' cannot be started"]),
        ({"command": ["python", "trian.py"]}, ["command: there is no file 'trian.py'"]),
        ({"command": ["python", "-u", "trian.py"]}, ["command: there is no file 'trian.py'"]),
        ({"command": ["./trian.sh"]}, ["command: './trian.sh' cannot be started"]),
        ({"folder": "nowhere"}, ["folder: ", "nowhere is no folder"]),
        ({"score_command": ["python", "scroe.py"]}, ["score_command: there is no file 'scroe.py'"]),
        ({"files": {"{run_dir}/a": "missing.yaml"}}, ["files.{run_dir}/a: ", "No such file"]),
        ({"space": {"batch_size": [8, 16], "base_lr": 0.1}}, ["space.batch_size: is searched and reaches", "{batch"]),
        ({"parameters": {"dropout": [0.1, 0.2]}}, ["parameters.dropout: is searched and reaches", "{dropout}"]),
        ({"command": ["true", "{batch_size / 5}"]}, ["command.1: ", "is 3.2, no whole number"]),
        ({"command": ["true", "{tokens}"]}, ["command.1: ", "'tokens' has no value"]),
        ({"command": ["true", "{beta1}"], "space": {"optimizer": "own"}}, ['{beta1}: has no value with optimizer']),
        ({"command": ["true", {"when": "optimizer + 1 > 2", "args": ["x"]}]}, ["command.1.when: "]),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_before_anything_is_written(tmp_path, monkeypatch, keys, words):
    monkeypatch.chdir(tmp_path)
    script(tmp_path, "")
    study = study_of("python", "script.py", metric="loss") | keys
    if "space" in keys and keys["space"].get("batch_size") is None:
        study["budget"] = {"amount": 5, "unit": "environment steps"}
    (tmp_path / "study.toml").write_text(tomli_w.dumps(study))
    with pytest.raises((SpecError, ObjectiveError)) as refusal:
        Study.create("study.toml", "sqlite:///study.db")
    assert all(word in str(refusal.value) for word in words), refusal.value
    assert not Path("study.db").exists()


def test_a_claim_needs_the_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script(tmp_path, "")
    study = study_of("python", "script.py", "{batch_size}", "{lr}")
    del study["search"]
    study["space"] = {"batch_size": [4, 8, 16, 64], "base_lr": [0.1, 0.2, 0.4, 0.8], "optimizer": "sgd"}
    study["claim"] = {"hypotheses": ["H3"], "metric": "loss", "direction": "minimize"}
    (tmp_path / "study.toml").write_text(tomli_w.dumps(study))
    with pytest.raises(SpecError, match=r"pass \{seed\} to the program"):
        Study.create("study.toml", "sqlite:///study.db")
    study["command"].append("{seed}")
    (tmp_path / "study.toml").write_text(tomli_w.dumps(study))
    assert len(Study.create("study.toml", "sqlite:///study.db").spec.claim.hypotheses) == 1


def test_a_stored_study_that_asks_for_less_goes_on(tmp_path, monkeypatch):
    """As a version before this one may have registered it."""
    monkeypatch.chdir(tmp_path)
    words = script(tmp_path, "print(json.dumps({'loss': 1.0}))\n")
    study = study_of(*words, metric="loss", space={"batch_size": [8, 16], "base_lr": 0.1})
    storage = open_storage("sqlite:///study.db", create=True)
    register(storage, parse_spec(study, "test"), trials=None, version="0")
    storage.engine.dispose()
    (tmp_path / "study.toml").write_text(tomli_w.dumps(study))
    assert Study.create("study.toml", "sqlite:///study.db").name == "program"


def test_outcomes_and_notes_are_stored(tmp_path):
    words = script(tmp_path, "print('val loss 1'); print('to the end')\nsys.exit(1 if '{lr}' in sys.argv else 0)\n")
    spec = parse_spec(study_of(*words, "{lr}", metrics=LOSS, search={"trials": 1}), "study.toml")
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(torch.device("cpu"), tmp_path, Command(spec, tmp_path), runs_dir=tmp_path), 0).work()
    [trial] = storage.get_all_trials(stored.study_id)
    assert trial.user_attrs[ARGUMENTS] == ["python", "script.py", "0.5"]
    assert trial.user_attrs[OUTPUT] == ["val loss 1", "to the end"]
    storage.engine.dispose()


def test_an_export_is_a_command_line_to_paste(tmp_path):
    words = script(tmp_path, "print(json.dumps({'loss': 1.0, 'n': len(sys.argv)}))\n")
    spec = parse_spec(
        study_of(*words, "--lr={lr}", "a b; $HOME", metric="loss", environment={"A": "x y"}, search={"trials": 1}),
        "study.toml",
    )
    url = f"sqlite:///{tmp_path / 'study.db'}"
    storage = open_storage(url, create=True)
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(torch.device("cpu"), tmp_path, Command(spec, tmp_path), runs_dir=tmp_path), 0).work()
    storage.engine.dispose()
    text = Study.open("program", url).export("command")
    assert text.splitlines()[-1] == "env 'A=x y' python script.py --lr=0.5 'a b; $HOME'"
    done = subprocess.run(
        ["sh", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | {"PATH": search_path()},
    )  # fmt: skip
    assert json.loads(done.stdout) == {"loss": 1.0, "n": 3}


TALKS = """
print("arguments", sys.argv[1:])
for step in range(1, 5):
    print(f"step {step}: val loss {float(sys.argv[1]) / step:.4f}")
if "fail" in sys.argv: sys.exit("no such file: data.bin")
"""


def written(folder, *arguments, **keys):
    study = study_of(*script(folder, TALKS), "{lr}", *arguments, **{"metrics": LOSS} | keys)
    (folder / "study.toml").write_text(tomli_w.dumps(study))
    return folder / "study.toml"


def test_a_trial_is_shown_with_its_arguments_outcome_curve_and_output(tmp_path):
    progress = {"regex": r"step (\d+)", "of": "4"}
    study = Study.create(written(tmp_path, progress=progress), f"sqlite:///{tmp_path / 'study.db'}")
    study.run(workers=0, progress=False)
    told = str(study.show(1))
    for words in (
        "trial 1 of program: complete, val_loss 0.125", "command    python script.py 0.5", "at  25.0%  val_loss 0.5",
        "arguments ['0.5']", "step 4: val loss 0.1250",
    ):  # fmt: skip
        assert words in told
    found = study.show(1).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["arguments"] == ["python", "script.py", "0.5"] and len(found["curve"]) == 4 and found["value"] == 0.125
    with pytest.raises(StudyError, match="study 'program' has no trial 7"):
        study.show(7)


def test_a_failed_trial_is_shown_with_its_reason(tmp_path):
    study = Study.create(written(tmp_path, "fail", search={"max_retries": 0}), f"sqlite:///{tmp_path / 'study.db'}")
    with pytest.raises(WorkFailed):
        study.run(workers=0, progress=False)
    told = str(study.show(0))
    assert "trial 0 of program: failed" in told and "no such file: data.bin" in told and "command    python" in told


@pytest.mark.parametrize(
    ("arguments", "keys", "words"),
    [
        ((), {}, ["$ python script.py 0.5", "  step 4: val loss 0.1250", "ended by itself", "metric val_loss: 0.125",
                  "told 4 times", "? progress: was not heard"]),
        ((), {"progress": {"regex": r"step (\d+)", "of": "4"}}, ["progress: 100.0% of the budget"]),
        (("fail",), {}, ["failed: command: exit code 1: no such file: data.bin"]),
        ((), {"metrics": LOSS | {"top1": {"regex": "top1 (.*)"}}}, ["? metric top1: was not heard; no line has"]),
        ((), {"metrics": LOSS | {"top1": {"csv": "x.csv", "column": "t"}}}, ["? metric top1: was not heard; x.csv"]),
    ],
)  # fmt: skip
def test_one_configuration_is_tried(tmp_path, arguments, keys, words):
    file, said = written(tmp_path, *arguments, **{"metrics": LOSS} | keys), []
    before = sorted(tmp_path.iterdir())
    found = try_out(file, seconds=30, say=said.append)
    told = "\n".join([*said, *found.lines()])
    assert all(each in told for each in words), told
    assert found.heard_metric and sorted(tmp_path.iterdir()) == before


def test_the_largest_batch_size_is_tried_and_a_metric_told_too_rarely_is_found(tmp_path):
    words = script(
        tmp_path,
        "steps = int(sys.argv[2])\nfor step in range(1, steps + 1):\n    print(f'step {step}: train loss 0.5')\n"
        "    if step % 50 == 0:\n        print('val loss 0.5')",
    )
    keys = {
        "metrics": LOSS, "progress": {"regex": r"step (\d+)", "of": "{steps}"}, "budget": {"examples": 1280},
        "space": {"batch_size": {"low": 2, "high": 32, "log2": True}, "base_lr": 0.5, "optimizer": "sgd"},
    }  # fmt: skip
    (tmp_path / "study.toml").write_text(tomli_w.dumps(study_of(*words, "{lr}", "{steps}", "{batch_size}", **keys)))
    said = []
    found = try_out(tmp_path / "study.toml", seconds=30, say=said.append)
    assert said[1].endswith(" script.py 0.5 40 32") and not found.heard_metric
    assert any("40 updates may be too few, if val_loss is told every so many only" in line for line in found.lines())


def test_a_configuration_that_takes_long_is_tried_for_a_moment(tmp_path):
    study = study_of(*script(tmp_path, "print('val loss 0.5', flush=True)\ntime.sleep(60)"), "{lr}", metrics=LOSS)
    (tmp_path / "study.toml").write_text(tomli_w.dumps(study))
    found = try_out(tmp_path / "study.toml", seconds=2, say=lambda line: None)
    assert found.ending == "ended after 2 s, as --seconds says" and found.values == {"val_loss": 0.5}


def test_a_change_of_the_code_during_a_study_is_said(tmp_path):
    study = Study.create(written(tmp_path, search={"trials": 4}), f"sqlite:///{tmp_path / 'study.db'}")
    study.run(workers=0, progress=False, trials=2)
    (tmp_path / "notes.txt").touch()
    assert code_changes(study.stored) is None
    (tmp_path / "script.py").write_text((tmp_path / "script.py").read_text() + "# another\n")
    study.run(workers=0, progress=False, trials=4)
    assert code_changes(study.stored).startswith("the code was changed during this study, before trial 2;")


QUADRATIC = """
import random
rate, size, seed = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
random.seed(NOISE)
off = math.log2(size) - math.log2(64 * rate)
print(f"val loss {1 + off * off / 10 + random.gauss(0, 0.05)}")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "deterministic"), [("seed * 7 + size + int(1e4 * rate)", False), ("size", True)])
def test_a_claim_on_a_program_is_judged_and_a_program_that_ignores_its_seed_is_caught(tmp_path, noise, deterministic):
    (tmp_path / "script.py").write_text("import math, sys\n" + QUADRATIC.replace("NOISE", noise))
    study = study_of("python", "-S", "-E", "script.py", "{lr}", "{batch_size}", "{seed}", metrics=LOSS)
    del study["search"]
    sizes = {"low": 1, "high": 128, "log2": True}
    study["space"] = {"batch_size": sizes, "base_lr": [2.0**-n for n in range(6)], "optimizer": "sgd"}
    study["claim"] = {"hypotheses": ["H9"], "metric": "val_loss", "direction": "minimize", "reports": 1}
    study["train_size"] = 128
    (tmp_path / "study.toml").write_text(tomli_w.dumps(study))
    made = Study.create(tmp_path / "study.toml", f"sqlite:///{tmp_path / 'study.db'}")
    made.run(workers=0, progress=False)
    if deterministic:
        with pytest.raises(BatchlawError, match=r"are the same in 48 of 48 cells.*was the seed used\?"):
            made.claim()
        assert made.answer()[0].startswith("No verdict: ")  # the run, which ends with it, has not failed
    else:
        assert made.answer()[0].startswith(f"H9 {made.claim().verdict}: ")
        claim = made.claim()
        assert claim.verdict in ("supported", "inconclusive") and claim.grade == "designed"
        assert claim.slope is None or claim.low <= 1 <= claim.high


def test_a_table_that_a_second_attempt_went_on_with_has_its_head_twice(tmp_path):
    (tmp_path / "summary.csv").write_text("epoch,top1\n0,50.0\nepoch,top1\n0,60.0\n")
    listener = Listener(csv="summary.csv", column="top1")
    assert read_metric(listener, tmp_path / "summary.csv", direction="maximize", before=None) == 60.0
