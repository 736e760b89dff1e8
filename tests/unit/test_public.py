"""The public names: all there, all documented, with examples that run, and none that loads what it has no use for."""

import doctest
import inspect
import subprocess
import sys

import batchlaw
import pytest
from batchlaw import errors

HEAVY = ("torch", "pandas", "optuna", "sqlalchemy", "pydantic", "numpy", "scipy", "plotly", "rich", "typer")


def train(trial):
    return {"val_loss": trial.config.peak_lr}


def test_every_public_name_is_there_and_documented():
    for name in batchlaw.__all__:
        assert inspect.getdoc(getattr(batchlaw, name)), name
        assert name in dir(batchlaw)
    assert set(errors.__all__) <= set(batchlaw.__all__)
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = batchlaw.no_such_name


def test_every_public_method_of_a_study_and_a_trial_is_documented():
    for owner in (batchlaw.Study, batchlaw.Trial, batchlaw.Ranking):
        for name, member in inspect.getmembers(owner):
            if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{owner.__name__}.{name}"


def test_the_examples_of_a_study_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAW_STORAGE", f"sqlite:///{tmp_path / 'examples.db'}")
    # Of the class, and of its methods in the order of their lines: one study goes through all of them.
    found = [test for test in doctest.DocTestFinder().find(batchlaw.Study, "Study") if test.examples]
    assert {test.name for test in found} >= {"Study", "Study.create", "Study.ask"}
    names = {"bl": batchlaw, "train": train}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in sorted(found, key=lambda test: test.lineno or 0):
        test.globs = names
        runner.run(test, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", ["Interval", "claim", "law", "transfer"])
def test_the_examples_of_results_run(name):
    member = getattr(batchlaw, name)
    [example] = [test for test in doctest.DocTestFinder().find(member, name, globs={name: member}) if test.examples]
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("code", ["import batchlaw", "import batchlaw; batchlaw.Study; batchlaw.Pruned"])
def test_importing_it_loads_nothing_heavy(code):
    script = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(HEAVY)
