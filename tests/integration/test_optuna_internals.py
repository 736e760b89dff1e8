"""Where Optuna's inside differs from what `needs.py` lists, its public calls serve, with the same results."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import tomli_w
from batchlaw.storage.optuna_internals.needs import NEEDS, SWITCH, Need

from tests.conftest import tiny_study

# An Optuna in which a private method of each part takes one more argument, and a function has gone.
CHANGED = """
import optuna_dashboard._note
from optuna.pruners import HyperbandPruner
from optuna.storages import RDBStorage
from optuna.study import Study

def longer(owner, name, parameters):
    own = getattr(owner, name)
    space = {"own": own}
    exec(f"def changed({parameters}, of_the_future=None): return own({parameters})", space)
    setattr(owner, name, space["changed"])

longer(RDBStorage, "_get_trials", "self, study_id, states, included_trial_ids, trial_id_greater_than")
longer(HyperbandPruner, "_get_bracket_id", "self, study, trial")
own = Study._get_trials
Study._get_trials = lambda self, deepcopy=True, states=None, use_cache=False, of_the_future=None: own(
    self, deepcopy, states, use_cache
)
optuna_dashboard._note.split_text = optuna_dashboard._note.split_body
optuna_dashboard._note.split_body = lambda note_str, trial_id, length=None: optuna_dashboard._note.split_text(
    note_str, trial_id
)
"""
RUN = """
import json
import optuna
from batchlaw import Study
from batchlaw.results.records import records_of
from batchlaw.storage import load, open_storage
from optuna_dashboard import get_note

url = "sqlite:///study.db"
Study.create("study.toml", storage=url).run(workers=0, progress=False)
facts = [(trial.outcome, trial.value, trial.params) for trial in records_of(load(open_storage(url), "tiny"))]
print(json.dumps([facts, "12 of 12 trials" in get_note(optuna.load_study(study_name="tiny", storage=url))]))
"""


def lines_of(folder, code, **environment):
    """The results of a small study run by a process, and the lines that it wrote on standard error."""
    folder.mkdir()
    (folder / "study.toml").write_text(tomli_w.dumps(tiny_study(search={"trials": 12})))
    done = subprocess.run(
        [sys.executable, "-c", code + RUN], cwd=folder, capture_output=True, text=True, timeout=200,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr.splitlines()


@pytest.mark.release
def test_a_study_has_the_same_results_with_an_optuna_of_another_inside(tmp_path):
    known, silence = lines_of(tmp_path / "known", "", **{SWITCH: ""})
    changed, said = lines_of(tmp_path / "changed", CHANGED, **{SWITCH: ""})
    forced, reason = lines_of(tmp_path / "forced", "", **{SWITCH: "1"})
    assert known == changed == forced and not silence
    trials, noted = known
    assert len(trials) == 12 and noted
    (line,) = [line for line in said if "RDBStorage" in line]
    assert "public calls alone, which is slower: RDBStorage._get_trials has self, study_id" in line
    assert "Study._get_trials has" in line and "HyperbandPruner._get_bracket_id has" in line
    assert len(said) <= 2 and all("split_body has" in other for other in said if other != line)
    assert len(reason) == 1 and reason[0].endswith(f"{SWITCH} is set")


@pytest.mark.parametrize("need", [need for needs in NEEDS.values() for need in needs], ids=lambda need: need.path)
def test_every_need_is_met_by_this_optuna_and_a_change_is_noticed(need: Need):
    assert need.mismatch() is None
    assert "and not" in (replace(need, names=f"{need.names} of_the_future").mismatch() or "")
    assert (replace(need, path=f"{need.path}_of_the_past").mismatch() or "").endswith("is missing")
