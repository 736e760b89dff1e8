"""README and docs/: every command exists, every tutorial runs as it stands, the pages are built without a warning."""

import os
import re
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import typer
from batchlaw import cli

from tests import conftest
from tests.documentation import PAGES, ROOT, blocks_of, commands_in, invocations, same_line

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
END = "= end of a command ="


def unknown_words(words):
    """What a command line has that batchlaw does not know: a command, or options."""
    command = typer.main.get_command(cli.app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words[0].rstrip(",.;:)")
        if name not in command.commands:
            return [name]
        command, words = command.commands[name], words[1:]
    known = set(chain.from_iterable(parameter.opts for parameter in command.params)) | {"--help"}
    return [word for word in words if re.match(r"--\w", word) and word.split("=")[0].rstrip(",.;:)") not in known]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_that_is_shown_exists(page):
    assert not [(words, unknown) for words in invocations(page) if (unknown := unknown_words(words))]


def names_of(command, prefix="batchlaw"):
    """Every command of the program, such as "batchlaw storage copy"."""
    for name, each in command.commands.items():
        yield from names_of(each, f"{prefix} {name}") if hasattr(each, "commands") else [f"{prefix} {name}"]


def test_every_command_stands_in_the_table_of_commands():
    told = (ROOT / "docs" / "reference" / "commands.md").read_text()
    names = list(names_of(typer.main.get_command(cli.app)))
    assert "batchlaw storage copy" in names
    assert not [name for name in names if f"`{name}" not in told]


def test_a_command_that_is_gone_would_be_found():
    assert unknown_words(["claim", "runs.csv", "--replicate", "seed"]) == ["--replicate"]
    assert unknown_words(["storage", "move", "a", "b"]) == ["move"]


def session(commands, folder):
    """Run commands one after the other in one shell; what each has printed."""
    script = "".join(f"{command}\necho '{END}'\n" for command in commands)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BATCHLAW_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder), "COLUMNS": "120", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout.split(f"{END}\n")[:-1]


@pytest.fixture
def own_database():
    """A database for the tutorial of a fleet."""
    yield from conftest.server_database("postgresql")


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_it_stands(page, tmp_path, own_database):
    blocks = blocks_of(page)
    for block in blocks:
        if block.title:
            (tmp_path / block.title).write_text(block.text)
    shown = [command for block in blocks if block.language == "console" for command in commands_in(block)]
    (tmp_path / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "digits-joint.toml", tmp_path / "studies")
    # The documentation's own addresses: a clone's folder, and a database server.
    commands = [command.replace("docs/tutorials", str(page.parent)) for command, _ in shown]
    commands = [re.sub(r"postgresql\+psycopg://\S+", own_database, command) for command in commands]
    for (command, lines), printed in zip(shown, session(commands, tmp_path), strict=True):
        left = printed.splitlines()
        for line in lines:
            found = next((i for i, other in enumerate(left) if same_line(line, other)), None)
            assert found is not None, f"{command}: {line!r} is not printed:\n{printed}"
            left = left[found + 1 :]
    code = "\n".join(block.text for block in blocks if block.language == "python" and not block.title)
    if code:
        session([f"python - <<'CODE'\n{code}\nCODE"], tmp_path)


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path):
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path], cwd=ROOT, check=True)
    assert "validation_accuracy" in (tmp_path / "reference" / "keys" / "index.html").read_text()


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 1200
