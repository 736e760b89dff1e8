"""`profile` as a person runs it."""

import json

import pytest
import tomli_w
from batchlaw.results.step_time import Profile
from batchlaw.storage import load, open_storage, profiles_of

from tests.acceptance.conftest import browse, needs_browser
from tests.conftest import tiny_study

QUICK = ("--seconds", "0.01", "--threads", "1")


@pytest.fixture
def batchlaw(batchlaw_here):
    return batchlaw_here  # with one thread, which the tests have anyway


def test_json_has_a_row_for_each_optimizer_and_batch_size(batchlaw, study_file):
    done = batchlaw("profile", study_file, *QUICK, "--json")
    record = json.loads(done.stdout)
    measured = [(row["optimizer"], row["batch_size"]) for row in record["rows"]]
    assert measured == [(family, size) for family in ("momentum", "adam") for size in (8, 16, 32, 64)]
    assert (record["study"], record["threads"], record["largest"]["batch_size"]) == ("tiny", 1, 64)
    assert Profile.from_record(record).as_record() == record
    assert done.stderr.splitlines()[-1].startswith("not kept: --storage: got 'sqlite:///batchlaw.db'; there is no such")


def test_a_profile_is_kept_with_the_registered_study_and_replaced(batchlaw, study_file, tmp_path):
    batchlaw("create", study_file)
    batchlaw("profile", study_file, *QUICK)
    done = batchlaw("profile", study_file, *QUICK, "--optimizer", "adam", "--json")
    assert done.stderr.splitlines()[-1] == "kept with study tiny"
    storage = open_storage(f"sqlite:///{tmp_path / 'batchlaw.db'}")
    assert profiles_of(load(storage, "tiny")) == [json.loads(done.stdout)]
    storage.engine.dispose()


def test_a_profile_of_a_changed_file_is_printed_and_not_kept(batchlaw, study_file, tmp_path):
    batchlaw("create", study_file)
    study_file.write_text(tomli_w.dumps(tiny_study(task={"model_options": {"widths": [9]}})))
    done = batchlaw("profile", study_file, *QUICK)
    assert "task.model_options.widths: stored [8], given [9]" in done.stderr.splitlines()[-1]
    storage = open_storage(f"sqlite:///{tmp_path / 'batchlaw.db'}")
    assert profiles_of(load(storage, "tiny")) == []
    storage.engine.dispose()


def test_people_get_a_table_an_optimizer_with_its_knee_and_the_largest_batch(batchlaw, tmp_path):
    file = tmp_path / "wide.toml"
    file.write_text(tomli_w.dumps(tiny_study(space={"batch_size": {"low": 1, "high": 64, "log2": True}})))
    told = batchlaw("profile", file, *QUICK).stdout
    assert told.startswith("tiny on cpu (") and ", 1 thread, float32\n" in told
    for optimizer in ("momentum", "adam"):
        table = told.partition(f"\n{optimizer}")[2].splitlines()
        assert [line.split()[0] for line in table[2:9]] == ["1", "2", "4", "8", "16", "32", "64"]
        assert "knee" in table[9] and "most examples a second at " in table[9]
    assert told.endswith("largest batch in one piece: at least 64, the training size\n")


@needs_browser
def test_the_page_is_one_file_that_draws_without_a_network(batchlaw, study_file, tmp_path):
    page = tmp_path / "profile.html"
    done = batchlaw("profile", study_file, *QUICK, "--html", page)
    assert f"wrote {page}" in done.stderr
    body = page.read_text().partition("<body>")[2]  # the script before it names addresses it never calls
    assert 'src="http' not in body and 'href="http' not in body
    shown = browse(page.as_uri(), tmp_path)
    assert shown.stdout.count('class="main-svg"') >= 2 and shown.stdout.count('class="scatterlayer') == 2
    assert not [line for line in shown.stderr.splitlines() if "CONSOLE" in line]


OWN = {"objective": "mine:train", "train_size": 64}


@pytest.mark.parametrize(
    ("changes", "options", "line"),
    [
        ({}, ["--optimizer", "lion"], "--optimizer: got 'lion'; the space has momentum, adam"),
        ({}, ["--seconds", "0"], "--seconds: got 0; must be between 0.01 and 60"),
        ({}, ["--threads", "0"], "--threads: got 0; must be between 1 and 4,096"),
        ({}, ["--devices", "1"], "--devices: got 1; must be 2 or more; this machine has "),
        ({}, ["--devices", "4096"], "--devices: got 4096; must be 2 or more; this machine has "),
        ({}, ["--device", "abacus"], "--device: got 'abacus'; must be auto, cpu or"),
        ({}, ["--html", "no/such/x.html"], "--html no/such/x.html: the folder no/such does not exist"),
        ({}, ["--storage", "nonsense"], "--storage: must be a database URL"),
        (
            {"task": {"dataset": "cifar10", "train_size": 64}},
            ["--data-dir", "nowhere"],
            "task.dataset: cifar10 is not under nowhere",
        ),
        ({"task": {"model": "abacus"}}, [], "tiny.toml: task.model: must be one of mlp"),
        (OWN, [], "--storage: got 'sqlite:///batchlaw.db'; there is no such database"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_line_exit_2_and_writes_nothing(batchlaw, tmp_path, changes, options, line):
    study = tiny_study(**changes)
    if "objective" in study:
        del study["task"]
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(study))
    told = batchlaw("profile", "tiny.toml", *options, code=2)
    assert told.stderr.startswith(f"error: {line}") and told.stderr.count("\n") == 1
    assert told.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_the_help_says_what_a_profile_holds_for_with_an_example(batchlaw):
    told = " ".join(batchlaw("profile", "--help").stdout.split())
    assert "Example: batchlaw profile" in told
    assert "holds for one device and its CPU threads" in told
