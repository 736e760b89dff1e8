"""status, export, replay and schema on a finished study."""

import csv
import io
import json
import subprocess
import sys
import tomllib
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from batchlaw.recipe.schedule import schedule_of

from tests.acceptance.conftest import environment

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture
def read(batchlaw_here, finished):
    return lambda *arguments, code=0: batchlaw_here(*arguments, code=code, folder=finished)


def test_json_has_the_documented_form(read):
    document = json.loads(read("export", "tiny", "--format", "json", "--top", 3).stdout)
    assert document["study"] == "tiny"
    values = [configuration["value"] for configuration in document["configurations"]]
    assert len(values) == 3 and values == sorted(values, reverse=True)
    for configuration in document["configurations"]:
        assert {"params", "peak_lr", "value", "standard_error", "n_replicates", "trial"} <= set(configuration)
        assert configuration["n_replicates"] == 2 == len(configuration["replicate_values"])
        assert configuration["standard_error_of"] == "seeds"
        a, b = configuration["replicate_values"]
        assert configuration["standard_error"] == pytest.approx(abs(a - b) / 2)  # sd/√2 of two values
        assert {"batch_size", "base_lr", "scaling_rule", "warmup_fraction", "optimizer"} <= set(configuration["params"])
    assert document["configurations"][0]["tied_with_best"] is True


def test_json_says_where_each_configuration_comes_from(read):
    document = json.loads(read("export", "tiny", "--format", "json", "--top", 2).stdout)
    for configuration in document["configurations"]:
        provenance = configuration["provenance"]
        assert {name: provenance[name] for name in ("study", "fingerprint", "metric", "direction")} == {
            name: document[name] for name in ("study", "fingerprint", "metric", "direction")
        }
        for name in ("trial", "value", "standard_error", "device"):
            assert provenance[name] == configuration[name]
        assert provenance["ci_low"] <= configuration["value"] <= provenance["ci_high"]
        assert len(provenance["seeds"]) == provenance["n_seeds"] == configuration["n_replicates"]
        assert provenance["versions"]["optuna"] == version("optuna")
        assert datetime.fromisoformat(provenance["exported"]).utcoffset() == timedelta(0)
        low, high = provenance["peak_lrs"]
        assert low <= configuration["peak_lr"] <= high
        assert provenance["train_size"] == 64 and provenance["budget"] == {"epochs": 2.0}


def test_yaml_toml_and_csv_hold_the_same(read):
    def timeless(document):
        for configuration in document["configurations"]:
            configuration["provenance"].pop("exported")
        return document

    as_json = timeless(json.loads(read("export", "tiny", "--format", "json", "--top", 2).stdout))
    assert timeless(yaml.safe_load(read("export", "tiny", "--format", "yaml", "--top", 2).stdout)) == as_json
    assert timeless(tomllib.loads(read("export", "tiny", "--format", "toml", "--top", 2).stdout)) == as_json
    rows = list(csv.DictReader(io.StringIO(read("export", "tiny", "--format", "csv", "--top", 2).stdout)))
    assert [float(row["peak_lr"]) for row in rows] == [c["peak_lr"] for c in as_json["configurations"]]
    assert [int(row["batch_size"]) for row in rows] == [c["params"]["batch_size"] for c in as_json["configurations"]]
    told = [c["provenance"] for c in as_json["configurations"]]
    assert [float(row["ci_high"]) for row in rows] == [provenance["ci_high"] for provenance in told]
    assert [row["seeds"].split() for row in rows] == [list(map(str, provenance["seeds"])) for provenance in told]
    assert [json.loads(row["versions"]) for row in rows] == [provenance["versions"] for provenance in told]


def test_hosts_in_other_time_zones_see_the_same(finished):
    seen = []
    for zone in ("Asia/Tokyo", "America/New_York", "UTC"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "batchlaw", "status", "tiny", "--json"],
            cwd=finished, env=environment(finished) | {"TZ": zone}, capture_output=True, text=True,
        )  # fmt: skip
        seen.append(json.loads(done.stdout))
    assert seen[0]["trials_a_minute"] > 0 and seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("per", ["batch_size", "optimizer", "scaling_rule", "base_lr"])
def test_the_best_of_each_value_of_a_knob(read, per):
    chosen = json.loads(read("export", "tiny", "--format", "json", "--per", per).stdout)["configurations"]
    everything = json.loads(read("export", "tiny", "--format", "json", "--top", 100).stdout)["configurations"]
    if per == "base_lr":
        assert 1 <= len(chosen) <= 5  # half decades from 0.01 to 1
        return
    best = {}
    for configuration in everything:
        best.setdefault(configuration["params"][per], configuration["trial"])
    assert {c["params"][per]: c["trial"] for c in chosen} == best


def test_the_python_form_runs_as_it_is(read, finished, tmp_path):
    read("export", "tiny", "--format", "python", "-o", tmp_path / "best.py")
    done = subprocess.run([sys.executable, tmp_path / "best.py"], capture_output=True, text=True, check=True)
    config = json.loads(read("export", "tiny", "--format", "json").stdout)["configurations"][0]
    assert f"batch size {config['params']['batch_size']}" in done.stdout


def test_a_file_that_cannot_be_written_is_one_line(read):
    assert read("export", "tiny", "-o", "/no/such/folder/x", code=2).stderr.startswith(
        "error: --output: got '/no/such/folder/x'; No such file"
    )


def test_verification_trains_fresh_seeds_and_scores_test_data(batchlaw, finished):
    exported = batchlaw("export", "tiny", "--format", "json", "--verify", 3, folder=finished).stdout
    verified = json.loads(exported)["verified"]
    assert verified["n_seeds"] == 3
    assert verified["optimism"]["value"] == pytest.approx(verified["search_value"] - verified["fresh"]["value"])
    assert verified["test"]["metric"] == "test_accuracy" and 0 < verified["test"]["value"] < 1
    assert verified["fresh"]["standard_error"] > 0


@pytest.mark.release
@pytest.mark.parametrize(("form", "words"), [("table", "fresh seeds"), ("python", "# Verified on 3 fresh seeds")])
def test_what_was_verified_is_said(batchlaw, finished, form, words):
    assert words in batchlaw("export", "tiny", "--format", form, "--verify", 3, folder=finished).stdout


@pytest.mark.slow
def test_replay_equals_the_record(batchlaw, read, finished):
    assert "equal to the last bit" in batchlaw("replay", "tiny", 0, folder=finished).stdout
    assert read("replay", "tiny", 10, code=2).stderr == "error: TRIAL: got 10; study 'tiny' has the trials 0 to 9\n"


def test_status_for_people_and_programs(read):
    words = read("status", "tiny").stdout
    assert "10 of 10 trials" in words and "best validation_accuracy" in words
    told = json.loads(read("status", "tiny", "--json").stdout)
    assert told["done"] == told["trials"] == sum(told["outcomes"].values()) == 10
    assert told["best"]["params"].keys() >= {"base_lr", "log2_batch_size"}


def test_the_schema_is_json_schema_for_the_shipped_studies(read):
    schema = json.loads(read("schema").stdout)
    assert schema["type"] == "object" and {"name", "task", "budget", "space", "search"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--help"],
        ["export", "tiny"],
        ["export", "tiny", "--format", "python"],
        ["status", "tiny"],
        ["list"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_reading_commands_never_import_torch(finished, arguments):
    script = (
        "import sys; sys.argv = ['batchlaw', *sys.argv[1:]]\n"
        "from batchlaw.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules, 'torchvision' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=finished, env=environment(finished), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == "False False\n"


@pytest.mark.parametrize(
    "name", ["run", "create", "worker", "replay", "status", "list", "rename", "delete", "export", "schema", "dashboard"]
)
def test_every_command_has_help_with_an_example(batchlaw_here, name):
    told = batchlaw_here(name, "--help").stdout
    assert f"Example: batchlaw {name}" in " ".join(told.split())


def test_help_names_every_command(batchlaw_here):
    told = batchlaw_here("--help").stdout
    for name in (
        "run",
        "create",
        "worker",
        "replay",
        "status",
        "list",
        "rename",
        "delete",
        "export",
        "schema",
        "dashboard",
    ):
        assert f" {name} " in told


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "x.toml", "--trials", "0"], "--trials: got 0; must be between 1 and 1e+06"),
        (["run", "x.toml", "--trials", "many"], "--trials: got 'many'; "),
        (["run", "x.toml", "--workers", "-1"], "--workers: got -1; must be between 1 and 1,024"),
        (["run", "x.toml"], "x.toml: there is no such file"),
        (["run", f"{STUDIES}/digits-joint.toml", "--device", "abacus"], "--device: got 'abacus'; must be auto, cpu or"),
        (["export", "tiny", "--format", "xml"], "--format: got 'xml'; must be one of table, json"),
        (["export", "tiny", "--top", "0"], "--top: got 0; must be between 1"),
        (["export", "tiny", "--top", "2", "--format", "timm"], "--top: got 2; must be 1; timm holds one configuration"),
        (["export", "tiny", "--per", "optimizer", "--format", "python"], "--per: got 'optimizer'; must not be given"),
        (["dashboard", "--port", "70000"], "--port: got 70000; must be between 0 and 65,535"),
        (
            ["status", "tiny"],
            "--storage: got 'sqlite:///batchlaw.db'; there is no such database; batchlaw run STUDY.toml",
        ),
        (["statu"], "No such command 'statu'"),
        (["export"], "Missing argument 'STUDY'"),
        (["export", "tiny", "--colour"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_line_exit_2_and_writes_nothing(batchlaw_here, tmp_path, arguments, line):
    told = batchlaw_here(*arguments, code=2)
    assert told.stderr.startswith(f"error: {line}") and told.stderr.count("\n") == 1
    assert told.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_recorded_configuration_reads_back(read, finished):
    from batchlaw.results.records import records_of
    from batchlaw.storage import load, open_storage
    from batchlaw.storage.attributes import CONFIG

    storage = open_storage(f"sqlite:///{finished / 'batchlaw.db'}")
    stored = load(storage, "tiny")
    for record, trial in zip(records_of(stored), storage.get_all_trials(stored.study_id), strict=True):
        assert record.config.steps == schedule_of(record.config).steps
        assert record.config.model_dump(mode="json") == trial.user_attrs[CONFIG]
    storage.engine.dispose()
