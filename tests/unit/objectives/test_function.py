"""A user's function: found beside the study file, and never in the way of installed packages."""

import sys
from types import SimpleNamespace

import pytest
from batchlaw.errors import ObjectiveError
from batchlaw.objectives.function import load_function


@pytest.fixture(autouse=True)
def path_and_modules():
    """The path as it was, after every test; and the modules, which the tests add to."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    assert sys.path == path
    for name in set(sys.modules) - modules:
        if name.startswith("batchlaw_test_"):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    def write(body, module="batchlaw_test_mine", folder="study"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{module}.py").write_text(body)
        return tmp_path / folder

    return write


def test_the_folder_is_the_last_place_to_look_and_only_for_the_time_of_imports(write):
    folder = write("import sys\nPATH = list(sys.path)\ndef train(trial):\n    return PATH, list(sys.path)\n")
    at_import, in_call = load_function("batchlaw_test_mine:train", folder)(None)
    assert at_import[:-1] == in_call[:-1] == sys.path
    assert at_import[-1] == in_call[-1] == f"{folder}/"


def test_a_function_may_import_from_its_folder_when_it_runs(write):
    write("LOSS = 0.5\n", "batchlaw_test_helper")
    folder = write("def train(trial):\n    from batchlaw_test_helper import LOSS\n    return {'loss': LOSS}\n")
    assert load_function("batchlaw_test_mine:train", folder)(None) == {"loss": 0.5}


SPAWNING = """
import multiprocessing

def double(x):
    return 2 * x

def train(trial):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return {"loss": pool.map(double, [trial.loss])[0]}
"""


def test_processes_that_a_function_starts_find_its_module(write, monkeypatch):
    """As those of a DataLoader do wherever processes are not forked, which Python 3.14 no longer does by itself."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)  # or the new process would run pytest's own
    monkeypatch.delattr(main, "__file__", raising=False)
    train = load_function("batchlaw_test_mine:train", write(SPAWNING))
    assert train(SimpleNamespace(loss=4)) == {"loss": 8}


def test_an_installed_package_wins_and_the_error_says_where_it_was_found(write):
    folder = write("def train(trial):\n    return {}\n", "tomli_w")
    with pytest.raises(ObjectiveError) as refused:
        load_function("tomli_w:train", folder)
    assert str(refused.value).startswith("objective: 'tomli_w:train' names nothing, not a function; 'tomli_w' is ")
    assert "site-packages" in str(refused.value) and str(folder) in str(refused.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import not_to_be_found\n", "ModuleNotFoundError: No module named 'not_to_be_found'"),
        ("def train(trial)\n", "SyntaxError: expected ':'"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line_with_function_folder_and_error(write, body, words):
    folder = write(body)
    with pytest.raises(ObjectiveError) as refused:
        load_function("batchlaw_test_mine:train", folder)
    line = str(refused.value)
    assert line.startswith(f"objective: 'batchlaw_test_mine:train' cannot be imported from {folder}: {words}")
    assert "\n" not in line


def test_a_module_that_is_not_there_is_named(write):
    with pytest.raises(ObjectiveError, match=r"'batchlaw_test_none:train' cannot be imported from .*No module named"):
        load_function("batchlaw_test_none:train", write(""))


@pytest.mark.parametrize(("body", "what"), [("", "nothing"), ("train = 3\n", "an object of type int")])
def test_what_is_no_function_is_refused(write, body, what):
    with pytest.raises(ObjectiveError, match=f"names {what}, not a function"):
        load_function("batchlaw_test_mine:train", write(body))


def test_a_function_of_a_notebook_is_not_looked_for_elsewhere(write):
    with pytest.raises(ObjectiveError, match="runs in that process only"):
        load_function("__main__:train", write(""))


def test_two_studies_of_one_process_have_each_their_own_modules(write):
    """Though both are called the same, and so are those that they import."""
    body = "from batchlaw_test_helper import LOSS\ndef train(trial):\n    return {'loss': LOSS}\n"
    losses = {"one": 1.0, "two": 2.0}
    folders = {}
    for name, loss in losses.items():
        write(f"LOSS = {loss}\n", "batchlaw_test_helper", name)
        folders[name] = write(body, folder=name)
    functions = {name: load_function("batchlaw_test_mine:train", folder) for name, folder in folders.items()}
    assert {name: function(None)["loss"] for name, function in functions.items()} == losses
