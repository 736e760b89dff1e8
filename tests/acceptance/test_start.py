"""What a command loads before it does anything: a reading command starts without what it has no use for."""

import subprocess
import sys

import pytest

from tests.acceptance.conftest import environment

# Each takes from some hundredths of a second up (measured: `python -X importtime`).
HEAVY = (
    "torch", "torchvision", "optuna", "sqlalchemy", "alembic", "pydantic", "numpy", "scipy", "scipy.stats", "pandas",
    "sklearn", "statsmodels", "plotly", "optuna_dashboard", "rich.progress",
)  # fmt: skip
READS = {"optuna", "sqlalchemy", "pydantic", "numpy"}  # what it takes to read a study
SCRIPT = """\
import sys
sys.argv = ["batchlaw", *sys.argv[1:]]
from batchlaw.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def loaded(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stderr.split()) & set(HEAVY)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["status", "--help"], ["run", "--help"], ["--version"]], ids=" ".join
)
def test_help_needs_no_study(tmp_path, arguments):
    assert loaded(tmp_path, *arguments) <= {"pydantic"}  # which typer itself looks for


def test_the_schema_needs_the_spec_alone(tmp_path):
    assert loaded(tmp_path, "schema") == {"pydantic"}


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["status", "tiny"], set()),
        (["status", "tiny", "--json"], set()),
        (["reap", "tiny"], set()),
        (["list"], set()),
        (["export", "tiny", "--format", "json"], {"scipy"}),
        (["recommend", "tiny"], None),
        (["create", "tiny.toml"], None),  # as `run` does before it starts its workers
        (["storage", "check"], {"alembic"}),  # which knows what version Optuna wants
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_reading_command_loads_little_more_than_the_database(finished, arguments, more):
    found = loaded(finished, *arguments)
    assert found >= READS and "torch" not in found
    if more is not None:
        assert found == READS | more


def test_judging_and_laws_load_no_torch_and_no_alembic(designed):
    for arguments in (["claim", "tiny-claim", "--json"], ["law", "tiny-claim"], ["transfer", "tiny-claim"]):
        assert not loaded(designed, *arguments) & {"torch", "torchvision", "alembic", "optuna_dashboard"}, arguments


@pytest.mark.slow
def test_a_worker_of_a_program_or_of_a_function_without_pytorch_loads_none(tmp_path):
    (tmp_path / "own.py").write_text("def train(trial):\n    return {'loss': trial.config.base_lr}\n")
    for name, key in (("program", 'command = ["echo", "loss {base_lr}"]'), ("function", 'objective = "own:train"')):
        metrics = "[metrics]\nloss = {regex = 'loss (.*)'}\n" if name == "program" else ""
        (tmp_path / f"{name}.toml").write_text(
            f'name = "{name}"\n{key}\n{metrics}[space]\nbase_lr = {{low = 0.01, high = 1.0}}\n'
            '[search]\ntrials = 2\nmetric = "loss"\ndirection = "minimize"\n'
        )
        loaded(tmp_path, "create", f"{name}.toml")
        assert not loaded(tmp_path, "worker", f"{name}.toml") & {"torch", "torchvision", "plotly", "pandas"}
        assert "2 complete" in read(tmp_path, name)


def read(folder, name):
    """What status says of a study."""
    words = [sys.executable, "-m", "batchlaw", "status", name]
    return subprocess.run(words, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True).stdout
