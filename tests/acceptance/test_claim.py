"""`claim`: on a designed study that was really run, on files, and as a report in a browser."""

import gzip
import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import browse, needs_browser

HPOBENCH = Path(__file__).parents[1] / "data" / "hpobench"
KC1 = (
    "--csv", HPOBENCH / "kc1.csv.gz", "--lr", "learning_rate_init", "--batch-size", "batch_size",
    "--score", "acc_s0,acc_s1,acc_s2,acc_s3,acc_s4",
)  # fmt: skip


@pytest.fixture
def claim(batchlaw, designed):
    return lambda *arguments, code=0: batchlaw("claim", *arguments, code=code, folder=designed)


def test_a_run_says_beforehand_what_would_decide_and_afterwards_how_to_judge(designed):
    output = (designed / "output.txt").read_text()
    assert output.index("H9: B_opt grows in proportion") < output.index("72 trials") < output.index("72 of 72 trials")
    assert "supported if the slope's interval lies within [0.75, 1.25]" in output
    assert "batchlaw claim tiny-claim --html tiny-claim.html" in output


def test_a_study_is_judged_the_same_each_time(claim):
    first, again = (json.loads(claim("tiny-claim", "--json").stdout) for _ in range(2))
    assert first == again
    assert [finding["hypothesis"] for finding in first["findings"]] == ["H9", "H8", "H6"]
    assert {finding["verdict"] for finding in first["findings"]} <= {
        "supported", "refuted", "no relation", "inconclusive"
    }  # fmt: skip
    assert len(first["per_lr"]) == 9 and len(first["per_batch_size"]) == 8
    (alone,) = [json.loads(claim("tiny-claim", "--hypothesis", "h6", "--json").stdout)]
    assert alone["hypothesis"] == "H6" and "findings" not in alone


def test_the_table_names_verdict_reason_and_remedy(claim):
    output = claim("tiny-claim").stdout
    assert "learning rate" in output and "H9 " in output and "H8 " in output
    assert "would settle it" in output or "inconclusive" not in output


def test_a_file_is_judged(claim):
    record = json.loads(claim(*KC1, "--hypothesis", "H7", "--json").stdout)
    assert record["verdict"] == "supported" and 0.36 < record["slope"] < 0.46
    text = claim(*KC1, "--hypothesis", "H7", "--where", "width == 64 and alpha == 1e-8").stdout
    assert "H7" in text


def test_groups_are_pooled(claim):
    arguments = (*KC1, "--hypothesis", "H6", "--group", "width", "--where", "width >= 161")
    record = json.loads(claim(*arguments, "--json").stdout)
    assert {"slope", "ci_low", "ci_high", "prediction_low", "prediction_high"} <= set(record["pooled"])
    assert len(record["groups"]) >= 3 and record["groups"][0]["group"] == {"width": 161}
    assert "width 161" in claim(*arguments).stdout


BAD = [
    ((), "give one of"),
    (("tiny-claim", "--csv", "x.csv"), "give one of"),
    (("nothing",), "there is no study 'nothing'"),
    (("tiny-claim", "--hypothesis", "H99"), "--hypothesis: got 'H99'"),
    (("tiny-claim", "--hypothesis", "H14"), "study 'tiny-claim': space.warmup_fraction: H14 needs 2 levels or more"),
    (("tiny-claim", "--seed", "-1"), "--seed: got -1"),
    ((*KC1, "--hypothesis", "H1"), "--hypothesis: got 'H1'; a file can be judged on"),
    (("--csv", "none.csv"), "--lr: is required"),
    (("--csv", "none.csv", "--lr", "a", "--batch-size", "b", "--score", "c"), "none.csv: No such file"),
    ((*KC1, "--direction", "up"), "--direction: got 'up'"),
    ((*KC1, "--where", "depth == 2"), "--where 'depth == 2'"),
    (("tiny-claim", "--html", "missing/report.html"), "--html missing/report.html: No such file"),
    (("plan", "none.toml"), "none.toml: No such file"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_a_wrong_request_is_one_line(claim, arguments, words):
    done = claim(*arguments, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_list_and_plan(claim):
    listed = claim("--list").stdout
    assert all(name in listed for name in ("H6", "H7", "H8", "H9"))
    plan = json.loads(claim("plan", "claim.toml", "--json").stdout)
    assert (plan["cells"], plan["runs"]) == (72, 360) and plan["seconds"] > 0
    assert "72 cells × 5 replicates = 360 runs" in claim("plan", "claim.toml").stdout


def test_options_that_would_break_the_design_are_refused(batchlaw, designed):
    for option in (("--trials", 5), ("--seed", 1)):
        done = batchlaw("run", "claim.toml", *option, code=2, folder=designed)
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
    done = claim("--csv", packed, "--lr", "a", "--batch-size", "b", "--score", "c", code=2)
    assert "broken.csv.gz" in done.stderr
