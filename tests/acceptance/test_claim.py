"""`claim`: on a designed study that was really run, on files, and as a report in a browser."""

import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
import tomli_w
from batchlaw.claims.study_claim import claim_of_study
from batchlaw.claims.table_claim import claim as judge
from batchlaw.storage import load, open_storage

from tests.acceptance.conftest import browse, claim_study, needs_browser

HPOBENCH = Path(__file__).parents[1] / "data" / "hpobench"
TABLE = Path(__file__).parents[1] / "data" / "tables" / "diverged_nan.csv.gz"
KC1 = (
    HPOBENCH / "kc1.csv.gz", "--lr", "learning_rate_init", "--batch-size", "batch_size",
    "--score", "acc_s0,acc_s1,acc_s2,acc_s3,acc_s4", "--average", "alpha,width",
)  # fmt: skip
IN_PYTHON = {
    "data": KC1[0], "lr": KC1[2], "batch_size": KC1[4], "score": [f"acc_s{seed}" for seed in range(5)],
    "average": ["alpha", "width"],
}  # fmt: skip


@pytest.fixture
def claim(batchlaw_here, designed):
    return lambda *arguments, code=0: batchlaw_here("claim", *arguments, code=code, folder=designed)


def test_a_run_says_beforehand_what_would_decide_and_afterwards_how_to_judge(designed):
    output = (designed / "output.txt").read_text()
    assert output.index("H9: B_opt grows in proportion") < output.index("72 trials") < output.index("72 of 72 trials")
    assert "supported if the slope's interval lies within [0.75, 1.25]" in output
    assert "batchlaw claim tiny-claim --html tiny-claim.html" in output


def test_a_study_is_judged_the_same_each_time_and_in_python(claim, designed):
    first, again = (json.loads(claim("tiny-claim", "--json").stdout) for _ in range(2))
    assert first == again
    assert first["hypothesis"] == "H9" and first["grade"] == "designed"
    assert [row["hypothesis"] for row in first["verdicts"]] == ["H9", "H8", "H6"]
    assert {row["verdict"] for row in first["verdicts"]} <= {"supported", "refuted", "no relation", "inconclusive"}
    given = [row["given"] for row in first["levels"]]
    assert given.count("lr") == 9 and given.count("batch_size") == 8
    storage = open_storage(f"sqlite:///{designed / 'batchlaw.db'}")
    assert first == json.loads(json.dumps(claim_of_study(load(storage, "tiny-claim")).as_dict()))
    storage.engine.dispose()
    alone = json.loads(claim("tiny-claim", "--hypothesis", "h6", "--json").stdout)
    assert alone["hypothesis"] == "H6" and len(alone["verdicts"]) == 1


def test_the_table_names_verdict_reason_and_remedy(claim):
    output = claim("tiny-claim").stdout
    assert "learning rate" in output and "H9 " in output and "H8 " in output
    verdicts = json.loads(claim("tiny-claim", "--json").stdout)["verdicts"]
    assert output.count("would settle it") == sum(row["verdict"] == "inconclusive" for row in verdicts)


def test_a_file_is_judged(claim):
    record = json.loads(claim(*KC1, "--hypothesis", "H7", "--json").stdout)
    assert record == json.loads(json.dumps(judge(**IN_PYTHON, hypothesis="H7").as_dict()))
    assert record["verdict"] in ("supported", "inconclusive") and record["grade"] == "replicated"
    assert record["low"] < 0.4 < record["high"]
    text = claim(*KC1, "--hypothesis", "H7", "--where", "width == 64 and alpha == 1e-8").stdout
    assert "H7" in text


def test_factors_of_a_file_are_no_seeds(claim):
    """Ten regularizations of every cell are no replicates; each is judged by itself."""
    found = claim(*KC1[:-2], "--where", "width == 64 and alpha < 1e-6").stdout
    assert "H9 inconclusive (replicated)" in found
    assert "note: alpha differs within cells and is no seed: each of 3 levels is judged by itself" in found


def test_groups_are_pooled(claim, tmp_path):
    header, *rows = gzip.decompress(TABLE.read_bytes()).decode().splitlines()
    lines = [f"{row},{net}" for net in ("a", "b", "c") for row in rows]
    (tmp_path / "nets.csv").write_text("\n".join([f"{header},net", *lines]))
    arguments = (tmp_path / "nets.csv", "--score", "acc", "--seed", "seed", "--by", "net")
    record = json.loads(claim(*arguments, "--json").stdout)
    (pooled,) = record["pooled"]
    assert {"slope", "low", "high", "prediction_low", "prediction_high"} <= set(pooled)
    assert (record["slope"], record["low"]) == (pooled["slope"], pooled["low"])
    assert [row["net"] for row in record["verdicts"]] == ["a", "b", "c", "pooled"]
    assert record["verdicts"][-1]["verdict"] == record["verdict"] and 0.9 < record["slope"] < 1.1
    assert (record["settles"] is None) == (record["verdict"] != "inconclusive")
    assert "net a" in claim(*arguments).stdout


def test_a_reader_sees_the_set_of_each_level_and_what_carried_the_verdict(claim):
    done = claim(TABLE, "--score", "acc", "--seed", "seed")
    lines = [line.strip() for line in done.stdout.splitlines()]
    table = [line for line in lines if line.endswith("identified")]
    assert len(table) == 6 and re.fullmatch(r"0\.005 +8 \[4, 1\d\.?\d*\] +identified", table[0])
    assert next(line for line in lines if line.startswith("H9 ")).startswith(
        "H9 supported (replicated): B_opt grows in proportion to ε; the slope is 0.97 ["
    )
    assert any(
        line.startswith("found by aligning the curves of 6 learning rates, of which 6, over 5") for line in lines
    )
    crashed = claim(TABLE.with_name("wandb_crashed.csv.gz"), "--score", "val/acc", "--seed", "seed").stdout
    assert re.search(r"0\.32 +≥ 16 +right censored", crashed)
    assert "would settle it: batch sizes up to 512, 4 octaves above those tried" in crashed


CRASHED = Path(__file__).parents[1] / "data" / "tables" / "wandb_crashed.csv.gz"


@pytest.mark.parametrize("command", ["claim", "law", "transfer"])
def test_what_is_missing_is_said(batchlaw_here, tmp_path, command):
    arguments = (command, CRASHED, "--score", "val/acc", "--seed", "seed")
    line = "200 of 360 scores are missing (all with batch_size >= 64)"
    assert f"note: {line}" in batchlaw_here(*arguments, folder=tmp_path).stdout
    assert line in json.loads(batchlaw_here(*arguments, "--json", folder=tmp_path).stdout)["notes"]
    named = batchlaw_here(*arguments, "--diverged-where", "State == 'crashed'", "--json", folder=tmp_path)
    assert "200 of 360 runs diverged (all with batch_size >= 64)" in json.loads(named.stdout)["notes"]
    if command != "law":  # which there is none of to draw
        batchlaw_here(*arguments, "--html", tmp_path / "page.html", folder=tmp_path)
        assert (
            "Note: 200 of 360 scores are missing (all with batch_size &gt;= 64)."
            in (tmp_path / "page.html").read_text()
        )


BAD = [
    ((), "give one of"),
    (("tiny-claim", "--list"), "give one of"),
    (("tiny-claim", "--score", "loss"), "--score: got 'loss'; goes with a file, and 'tiny-claim' names a study"),
    (("nothing",), "there is no study 'nothing'"),
    (("tiny-claim", "--hypothesis", "H99"), "--hypothesis: got 'H99'"),
    (("tiny-claim", "--hypothesis", "H14"), "study 'tiny-claim': space.warmup_fraction: H14 needs 2 levels or more"),
    (("tiny-claim", "--bootstrap-seed", "-1"), "--bootstrap-seed: got -1"),
    ((*KC1, "--hypothesis", "H1"), "--hypothesis: got 'H1'; a table can be judged on"),
    (("none.csv",), "STUDY_OR_FILE: got 'none.csv'; No such file"),
    (("none.csv", "--score", "c"), "STUDY_OR_FILE: got 'none.csv'; No such file"),
    ((*KC1, "--by", "widt"), "--by: got 'widt'; kc1.csv.gz has no such column (did you mean 'width'?)"),
    ((*KC1, "--alpha", "2"), "--alpha: got 2.0; must lie between 0 and 1"),
    ((*KC1, "--direction", "up"), "--direction: got 'up'"),
    ((*KC1, "--where", "depth == 2"), "--where: got 'depth == 2'; there is no 'depth' (did you mean 'width'?)"),
    ((*KC1, "--diverged-above", "1"), "--diverged-above: got 1; goes with a score to minimize; see --diverged-below"),
    ((*KC1, "--missing", "lost"), "--missing: got 'lost'; must be missing or diverged"),
    ((*KC1, "--diverged-where", "alpha >"), "--diverged-where: got 'alpha >'; expected a number"),
    (("tiny-claim", "--html", "missing/report.html"), "--html: got 'missing/report.html'; No such file"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_a_wrong_request_is_one_line(claim, arguments, words):
    done = claim(*arguments, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_the_list_of_claims(claim):
    listed = claim("--list").stdout
    assert all(name in listed for name in ("H6", "H7", "H8", "H9"))


def test_a_designed_run_ends_with_its_verdicts(designed):
    lines = (designed / "output.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines if line.startswith("H") and line.split()[1] in VERDICTS] == [
        "H9",
        "H8",
        "H6",
    ]


@pytest.mark.release
def test_cost(batchlaw, batchlaw_here, designed):
    cost = json.loads(batchlaw("cost", "claim.toml", "--json", folder=designed).stdout)
    assert (cost["cells"], cost["runs"]) == (72, 360) and cost["seconds"] > 0
    assert "72 cells × 5 replicates = 360 runs" in batchlaw("cost", "claim.toml", folder=designed).stdout
    assert "none.toml: there is no such file" in batchlaw_here("cost", "none.toml", code=2, folder=designed).stderr


def test_options_that_would_break_the_design_are_refused(batchlaw_here, designed):
    for option in (("--trials", 5), ("--seed", 1)):
        done = batchlaw_here("run", "claim.toml", *option, code=2, folder=designed)
        assert f"{option[0]}: got {option[1]}" in done.stderr


@needs_browser
def test_the_report_is_one_file_that_draws_without_a_network(claim, designed, tmp_path):
    page = tmp_path / "report.html"
    claim("tiny-claim", "--html", page)
    text = page.read_text().partition("<body>")[2]  # the script before it draws, and names addresses it never calls
    assert "H9" in text and "How to read this" in text
    assert 'src="http' not in text and 'href="http' not in text
    done = browse(page.as_uri(), tmp_path)
    assert done.stdout.count('class="main-svg"') >= 3
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_gzip_is_told_by_its_name(claim, tmp_path):
    packed = tmp_path / "broken.csv.gz"
    packed.write_bytes(gzip.compress(b"a,b\n1,2\n")[:-9])
    done = claim(packed, "--lr", "a", "--batch-size", "b", "--score", "c", code=2)
    assert "broken.csv.gz" in done.stderr


VERDICTS = ("supported:", "refuted:", "inconclusive:", "no")
CLIFF = Path(__file__).parents[1] / "data" / "cliff"


@pytest.mark.slow
def test_a_function_that_returns_nan_where_it_diverges_is_judged(batchlaw, tmp_path):
    for file in CLIFF.iterdir():
        shutil.copy(file, tmp_path)
    assert "60 complete · 36 diverged" in batchlaw("run", "cliff.toml", "--workers", 1).stdout
    text = batchlaw("claim", "cliff", "--html", "report.html").stdout
    assert "H9 " in text and "H6 " in text
    note = "108 runs were not trained and count as diverged: the first two seeds of their cells diverged"
    assert f"note: {note}\n" in text and f"Note: {note}." in (tmp_path / "report.html").read_text()
    record = json.loads(batchlaw("claim", "cliff", "--json").stdout)
    assert record["notes"][0] == note and len(record["notes"]) == 2


@pytest.mark.release
def test_a_staggered_grid_from_file_to_verdict(batchlaw, batchlaw_here, tmp_path):
    table = claim_study()
    table["claim"] |= {"hypotheses": ["H9"], "grid": "staggered"}
    table["task"]["train_size"] = 256
    (tmp_path / "claim.toml").write_text(tomli_w.dumps(table))
    assert "batch sizes 1, 2, 4, 10, 20, 40, 81, 161 at base_lr" in batchlaw("cost", "claim.toml").stdout
    said = batchlaw("run", "claim.toml").stdout
    assert said.count("the grid is staggered") == 1 and "72 of 72 trials" in said
    record = json.loads(batchlaw_here("claim", "tiny-claim", "--json").stdout)
    assert {level["given"] for level in record["levels"]} == {"lr"}
    assert "has a staggered grid" in batchlaw_here("law", "tiny-claim", code=2).stderr
    params = json.loads(batchlaw_here("export", "tiny-claim", "--format", "json", "--top", 72).stdout)
    assert {10, 13, 81, 102} <= {found["params"]["batch_size"] for found in params["configurations"]}
