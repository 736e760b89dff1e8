"""The arguments and the output of programs, on the pages where people read: status, report and dashboard."""

import html
import json

import pytest
import tomli_w
from batchlaw.dashboard.curves import Curves
from batchlaw.dashboard.trials import ShownTrials
from batchlaw.results.status import example_lines
from batchlaw.study import Study
from optuna.artifacts.exceptions import ArtifactNotFound

SCRIPT = """
import json, sys
rate = float(sys.argv[1])
for step in range(1, 9):
    print(f"step {step} of <b>{rate}</b>")
if rate > 0.3: sys.exit("no such file: <data>.bin")
print(json.dumps({"progress": 1.0, "loss": rate}))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A search of a program with three rates, of which the largest fails."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "train.py").write_text(SCRIPT)
    table = {
        "name": "words", "command": ["python", "train.py", "{lr}"], "space": {"base_lr": [0.1, 0.2, 0.4]},
        "search": {
            "trials": 9, "metric": "loss", "direction": "minimize", "pruner": "none", "sampler": "random",
            "max_retries": 0,
        },
    }  # fmt: skip
    (folder / "study.toml").write_text(tomli_w.dumps(table))
    study = Study.create(folder / "study.toml", f"sqlite:///{folder / 'study.db'}")
    study.run(workers=0, progress=False)
    return study


def failed(study):
    return study.trials().query("outcome == 'failed'").index[-1]


def test_status_tells_the_best_command_and_why_the_last_failure_failed(study):
    status, last = study.status(), failed(study)
    lines, rate = example_lines(status), status.best.value
    assert lines[0] == f"  python train.py {rate}"
    assert lines[1] == f"trial {last} failed: ObjectiveError: command: exit code 1: no such file: <data>.bin"
    assert lines[2] == "  python train.py 0.4" and lines[-2:] == [
        "  | no such file: <data>.bin",
        f"all of it: batchlaw show words {last}",
    ]
    best, failure = json.loads(json.dumps(status.as_dict()))["examples"]
    assert best["arguments"] == ["python", "train.py", str(rate)] and len(best["output"]) == 9
    assert failure["trial"] == last and failure["output"][-1] == "no such file: <data>.bin"


def test_the_report_has_commands_reasons_and_output(study, tmp_path):
    page = study.report(tmp_path / "report.html").read_text()
    for words in (
        f"<pre>python train.py {study.status().best.value}</pre>", "<pre>python train.py 0.4</pre>",
        f"Trial {failed(study)}, failed:",
        html.escape("step 8 of <b>0.4</b>\nno such file: <data>.bin"),
    ):  # fmt: skip
        assert words in page


def test_the_dashboard_has_the_output_of_each_trial_as_a_file(study):
    shown = ShownTrials(study.stored.storage)
    files = Curves(shown)
    for trial in shown.get_all_trials(study.stored.study_id):
        told = {
            facts["filename"]: files.open_reader(facts["artifact_id"]).read().decode()
            for key, value in trial.system_attrs.items()
            if key.startswith("artifacts:") and (facts := json.loads(value))
        }
        rate = trial.params["base_lr"]
        assert trial.user_attrs["arguments"] == f"python train.py {rate}"
        assert told["output.txt"].startswith(f"step 1 of <b>{rate}</b>\nstep 2")
        assert told.keys() == ({"output.txt"} if rate == 0.4 else {"output.txt", "loss.svg"})
    with pytest.raises(ArtifactNotFound):
        files.open_reader(f"{study.stored.study_id:x}-0-9")
