"""Critical batch sizes of tables: what is recognised, on what they rest, and what is refused."""

import json
import subprocess
import sys

import batchlaw as bl
import numpy as np
import pandas as pd
import pytest
from batchlaw.errors import BatchlawError, DataError
from batchlaw.figures.critical import critical_figure

SIZES = [16, 32, 64, 96, 128, 256]


def samples(size, *, critical=80, least=1e5):
    return least * (1 + size / critical)


@pytest.fixture
def reference_runs(tmp_path):
    """A file in the manner of MLPerf's reference convergence points: records by name, a list of runs in each."""
    generator = np.random.default_rng(0)
    records = {
        f"ref_{size}": {
            "Benchmark": "made", "Creator": "us" if size < 64 else "them", "BS": size,
            "Hyperparams": {"opt_base_learning_rate": 1e-4 * size**0.5, "warmup_samples": 10 * size},
            "Epochs to converge": (samples(size) * np.exp(generator.normal(scale=0.03, size=20))).round().tolist(),
        }
        for size in SIZES
    }  # fmt: skip
    path = tmp_path / "rcps.json"
    path.write_text(json.dumps(records))
    return path


def test_reference_runs_rest_on_chosen_rates(reference_runs):
    (found,) = bl.critical(reference_runs).series
    assert found.basis == "chosen rates"
    critical = found.critical_batch_size
    assert critical.low < 80 < critical.high and critical.high / critical.low < 1.6
    assert found.as_dict()["steps_min"] is None  # the unit of the column is not known to be examples
    assert found.overhead == (0.2, 256.0)
    assert found.overhead_batch_size.value == pytest.approx(1.2 * 256 + 0.2 * critical.value)


@pytest.mark.parametrize("written", ["DNF", "did not converge", [], None])
def test_reference_runs_that_do_not_arrive_are_told(reference_runs, written):
    records = json.loads(reference_runs.read_text())
    runs = records["ref_16"]["Epochs to converge"]
    records["ref_16"]["Epochs to converge"] = written if written in ([], None) else [written, *runs[1:]]
    reference_runs.write_text(json.dumps(records))
    (found,) = bl.critical(reference_runs).series
    assert found.batch_size.tolist() == SIZES[1:]
    assert "settings with a run that does not reach the target are left out: 1" in found.notes


def test_of_several_settings_at_a_batch_size_the_fewest_steps_count(reference_runs):
    records = json.loads(reference_runs.read_text())
    slow = {**records["ref_64"], "Hyperparams": {"opt_base_learning_rate": 1e-2, "warmup_samples": 640}}
    slow["Epochs to converge"] = [3 * value for value in slow["Epochs to converge"]]
    reference_runs.write_text(json.dumps(records | {"ref_64_slow": slow}))
    (found,) = bl.critical(reference_runs).series
    assert found.basis == "chosen rates" and "several rates were tried at 1 of 6 batch sizes" in found.notes
    assert found.examples[2] == pytest.approx(samples(64), rel=0.03)


def sweep():
    rows = []
    for model, critical in (("small", 100), ("large", 400)):
        for size in 2 ** np.arange(4, 12):
            for off in (-2, -1, 0, 1, 2):
                for seed in range(3):
                    steps = 1000 * (1 + critical / size) * (1 + 0.1 * off**2) * (1 + 0.01 * seed)
                    rows.append((model, size, 0.01 * 2.0**off * size**0.5, seed, steps, 0.4))
    return pd.DataFrame(rows, columns=["model", "batch_size", "lr", "seed", "steps_to_target", "train_loss"])


def test_rates_are_tuned_at_each_batch_size_and_each_model_has_its_own():
    found = bl.critical(sweep())
    assert [each.group["model"] for each in found.series] == ["small", "large"]
    assert found.table["basis"].tolist() == ["tuned rates"] * 2
    assert found.table["critical_batch_size"].tolist() == pytest.approx([100, 400], rel=0.01)
    best = 0.01 * found.series[0].batch_size ** 0.5
    assert found.series[0].lr == pytest.approx(best)
    assert critical_figure(found).data


def test_a_rate_at_the_edge_and_runs_that_do_not_arrive_are_told():
    table = sweep()
    table = table[table["model"] == "small"]
    cut = table[(table["batch_size"] > 16) | (table["lr"] > 0.03)].copy()  # 16: the best is the lowest left
    cut.loc[(cut["batch_size"] == 2048) & (cut["lr"] < 0.4) & (cut["seed"] == 1), "steps_to_target"] = np.nan
    (found,) = bl.critical(cut).series
    assert any("lowest rate tried takes the fewest steps at batch size 16" in note for note in found.notes)
    assert any("a run that does not reach the target are left out: 2" in note for note in found.notes)


def test_a_critical_batch_size_beyond_those_run_is_told():
    table = sweep()
    table = table[table["model"] == "large"]  # 400
    for part, told in ((table[table["batch_size"] < 300], "above"), (table[table["batch_size"] > 500], "below")):
        (found,) = bl.critical(part).series
        assert any(f"lies {told} the batch sizes that were run" in line for line in found.remarks)
    assert not any("were run" in line for line in bl.critical(table).series[0].remarks)


def test_wrong_requests_are_one_line():
    table = sweep()
    with pytest.raises(DataError, match="no column of steps or examples to a target"):
        bl.critical(table.drop(columns="steps_to_target"))
    with pytest.raises(DataError, match="3 batch sizes or more"):
        bl.critical(table[table["batch_size"] <= 32])
    with pytest.raises(DataError, match="no column is called a batch size"):
        bl.critical(table.rename(columns={"batch_size": "how_many"}))
    with pytest.raises(BatchlawError, match="above 0"):
        bl.critical(table, overhead=-1)
    with pytest.raises(BatchlawError, match="both tell"):
        bl.critical(table, steps="steps_to_target", examples="seed")


@pytest.mark.slow
def test_the_command_tells_the_same(reference_runs, tmp_path):
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "batchlaw", "critical", str(reference_runs), "--html", str(page)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "rests on chosen rates" in shown and "E_min/S_min" in shown and page.stat().st_size > 1000
    told = subprocess.run([*command[:5], "--json"], capture_output=True, text=True, check=True).stdout
    value = json.loads(told)["critical_batch_size"]["value"]
    assert value == bl.critical(reference_runs).series[0].critical_batch_size.value
    refused = subprocess.run([*command[:5], "--score", "x"], capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
