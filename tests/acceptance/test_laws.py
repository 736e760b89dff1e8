"""law, transfer, recommend and export --for-batch-size as a person runs them, on a study that was really trained."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from batchlaw.laws.studies import law_of_study
from batchlaw.laws.tables import law
from batchlaw.storage import load, open_storage

from tests.acceptance.browser import Browser
from tests.acceptance.conftest import made_once, needs_browser, run
from tests.conftest import tiny_study

CAR = (
    str(Path(__file__).parents[1] / "data" / "hpobench" / "car.csv.gz"), "--lr", "learning_rate_init",
    "--score", "acc_s0,acc_s1,acc_s2,acc_s3,acc_s4", "--average", "width,alpha", "--optimizer", "adam",
)  # fmt: skip
ONE_NETWORK = ("--where", "width == 1024 and alpha == 1e-8")
LRS = [2.0**exponent for exponent in range(-5, 5)]


def _judged(folder):
    study = tiny_study(task={"train_size": 256, "model_options": {"widths": [16]}}, budget={"epochs": 6})
    del study["search"]
    study["space"] = {"batch_size": {"low": 1, "high": 128, "log2": True}, "base_lr": LRS, "optimizer": "momentum"}
    study["claim"] = {"hypotheses": ["H6"], "noise_scale": True, "reports": 2}
    (folder / "tiny.toml").write_text(tomli_w.dumps(study))
    run(folder, "run", "tiny.toml")


@pytest.fixture(scope="session")
def judged(tmp_path_factory):
    """A folder with a finished designed study of a few hundred runs, enough for a law."""
    return made_once(tmp_path_factory, "judged", _judged)


@pytest.fixture
def read(batchlaw_here, judged):
    return lambda *arguments, code=0: batchlaw_here(*arguments, code=code, folder=judged)


def test_the_law_for_people_and_programs(read, judged):
    told = json.loads(read("law", "tiny", "--json").stdout)
    storage = open_storage(f"sqlite:///{judged / 'batchlaw.db'}")
    found = law_of_study(load(storage, "tiny"))
    storage.engine.dispose()
    assert told == json.loads(json.dumps(found.as_dict()))
    assert told["exponent"] > 0.2  # a larger batch takes a larger rate, on digits as elsewhere
    assert told["grade"] == "designed" and told["noise_scale"]["value"] > 0
    words = read("law", "tiny").stdout
    assert "exponent of a straight line" in words and "gradient noise scale in training" in words


def test_a_file_has_a_law_and_costs_like_a_study(read, tmp_path):
    told = json.loads(read("law", *CAR, "--json").stdout)
    assert told == json.loads(
        json.dumps(law(CAR[0], lr=CAR[2], score=CAR[4], average=CAR[6], optimizer="adam").as_dict())
    )
    assert told["grade"] == "replicated" and told["low"] < 0.56 < told["high"]  # the reference in tests/data
    costs = json.loads(read("transfer", *CAR, *ONE_NETWORK, "--json").stdout)
    assert {row["rule"] for row in costs["means"]} >= {"constant", "sqrt", "linear"}
    assert "exponent" in read("law", *CAR).stdout
    assert "moved to the others" in read("transfer", *CAR, *ONE_NETWORK, "--html", tmp_path / "page.html").stdout
    assert "What does a rule cost?" in (tmp_path / "page.html").read_text()


def test_a_batch_size_never_tried(read, judged, tmp_path):
    predicted = json.loads(read("export", "tiny", "--for-batch-size", 24, "--format", "json").stdout)
    configuration = predicted["configurations"][0]
    assert configuration["params"]["batch_size"] == 24 and configuration["value"] is None
    found = configuration["predicted"]
    assert found["ci_low"] < configuration["peak_lr"] < found["ci_high"] and found["carried_by"] == "law"
    read("export", "tiny", "--for-batch-size", 24, "--format", "python", "-o", tmp_path / "at24.py")
    done = subprocess.run([sys.executable, tmp_path / "at24.py"], capture_output=True, text=True, check=True)
    assert "batch size 24" in done.stdout
    refused = read("export", "tiny", "--for-batch-size", 200, code=2).stderr
    assert (
        refused.startswith("error: --for-batch-size: got 200; must be from")
        and "; --extrapolate goes beyond" in refused
        and refused.count("\n") == 1
    )
    beyond = read("export", "tiny", "--for-batch-size", 200, "--extrapolate")
    assert "warning: batch size 200 lies outside" in beyond.stderr
    constant = read("export", "tiny", "--for-batch-size", 24, "--rule", "constant")
    assert "speaks against the constant rule" in constant.stderr


def test_an_exported_configuration_says_between_which_rates_the_best_one_lies(read):
    level = {row["batch_size"]: row for row in json.loads(read("law", "tiny", "--json").stdout)["levels"]}
    exported = json.loads(read("export", "tiny", "--per", "batch_size", "--format", "json").stdout)
    sizes = [each["params"]["batch_size"] for each in exported["configurations"]]
    told = [each["provenance"]["best_rate"] for each in exported["configurations"]]
    assert len(told) == len(level) == 8
    for size, rate in zip(sizes, told, strict=True):
        assert rate == {"low": level[size]["low"], "high": level[size]["high"], "confidence": 95.0}
    words = "the best peak learning rate at this batch size lies "
    assert words in read("export", "tiny", "--format", "python").stdout


def test_what_rules_cost(read):
    told = json.loads(read("transfer", "tiny", "--reference", 16, "--json").stdout)
    regrets = {row["rule"]: row["cost"] for row in told["means"]}
    assert {"constant", "sqrt", "linear"} <= set(regrets) and "sde" in told["unmeasured"]
    assert regrets["constant"] == max(regrets.values())
    assert "moved to the others" in read("transfer", "tiny").stdout


@pytest.mark.release
def test_what_rules_cost_when_they_are_trained(batchlaw, judged):
    train = ("transfer", "tiny", "--reference", 16, "--train", "--json")
    trained = json.loads(batchlaw(*train, folder=judged).stdout)
    again = {row["rule"]: row["cost"] for row in trained["means"]}
    assert again["constant"] == max(again.values())


def test_the_fastest_that_is_good_enough(read):
    told = json.loads(read("recommend", "tiny", "--json").stdout)
    assert told["chosen"]["within_one_standard_error"] and told["chosen"]["seconds"] <= told["best"]["seconds"]
    assert told["clock"] == "the trials' own clocks"
    words = read("recommend", "tiny").stdout
    assert f"--trial {told['chosen']['trial']}" in " ".join(words.split())
    number = told["chosen"]["trial"]
    taken = json.loads(read("export", "tiny", "--trial", number, "--format", "json").stdout)
    assert [configuration["trial"] for configuration in taken["configurations"]] == [number]


def test_the_fastest_for_each_score(read):
    told = json.loads(read("recommend", "tiny", "--front", "--json").stdout)
    assert [each["seconds_a_run"] for each in told] == sorted(each["seconds_a_run"] for each in told) and told
    words = read("recommend", "tiny", "--front").stdout
    assert words.startswith("Fastest configurations for their score of tiny by ") and "export tiny --trial N" in words


SLOW = pytest.mark.slow


@needs_browser
@pytest.mark.parametrize("name", ["law", pytest.param("transfer", marks=SLOW), pytest.param("recommend", marks=SLOW)])
def test_the_pages_draw(read, tmp_path, name):
    read(name, "tiny", "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").as_uri()
    with Browser(tmp_path) as browser:
        browser.open(page)
        browser.wait("document.querySelectorAll('.main-svg').length > 0")
        assert browser.complaints() == []
        assert {address for address in browser.requests() if not address.startswith(("data:", "blob:"))} <= {page}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["law", "nobody"], "there is no study 'nobody'"),
        (["transfer", "tiny", "--reference", "3"], "--reference: got 3; must be one of 1, 2, 4"),
        (["recommend", "tiny", "--devices", "4"], "--devices: got 4; sharing steps among devices needs a profile"),
        (["transfer", *CAR, "--train"], f"--train: goes with a study, and {CAR[0]} is a file"),
        (["law", "tiny", "--lr", "lr"], "--lr: got 'lr'; goes with a file, and 'tiny' names a study"),
        (["transfer", *CAR[:5]], "no cost can be told: alpha and width differ within cells, in 42 combinations"),
        (["law", "runs.csv"], "STUDY_OR_FILE: got 'runs.csv'; No such file"),
        (["recommend", "tiny", "--on", "abacus"], "--on: got 'abacus'; study 'tiny' has profiles of: none"),
        (["recommend", "tiny", "--front", "--devices", "2"], "--devices: got 2; does not go with --front"),
        (["recommend", CAR[0], "--front"], f"--front: got True; goes with a study, and {CAR[0]!r} is a file"),
        (["recommend", "tiny", "--seconds", "0"], "--seconds: got 0; must be between 0.001 and"),
        (["export", "tiny", "--for-batch-size", "0"], "--for-batch-size: got 0; must be between 1 and"),
        (["export", "tiny", "--for-batch-size", "24", "--rule", "cube"], "--rule: got 'cube'; must be one of law"),
        (
            ["export", "tiny", "--rule", "sqrt"],
            "--rule: got 'sqrt'; goes with a batch size to predict for",
        ),
        (["export", "tiny", "--trial", "9999"], "--trial: got 9999; must be a completed trial"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_line(read, arguments, line):
    told = read(*arguments, code=2)
    assert told.stderr.startswith(f"error: {line}") and told.stderr.count("\n") == 1 and told.stdout == ""
