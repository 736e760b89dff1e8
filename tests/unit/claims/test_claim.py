"""The public claim, from tables whose ridge is planted."""

import doctest
import gzip
import json

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims import table_claim as module
from batchlaw.claims.table_claim import claim
from batchlaw.errors import BatchlawError, DataError

from tests.unit.claims.test_tables import table_of
from tests.unit.stats.conftest import planted

COLUMNS = {"batch_size": "batch", "score": "score", "seed": "seed"}


@pytest.fixture(scope="module")
def runs():
    return table_of(planted(1.0, noise=0.05)[0])


@pytest.fixture(scope="module")
def found(runs):
    return claim(runs, **COLUMNS)


def test_the_example_of_its_docstring():
    ran = doctest.testmod(module)
    assert ran.failed == 0 and ran.attempted > 5


def test_the_planted_slope_is_supported(found):
    assert (found.grade, found.hypothesis, found.verdict, found.settles) == ("replicated", "H9", "supported", None)
    assert found.low < 1 < found.high and found.low < found.slope < found.high
    assert "within [0.75, 1.25]" in found.reason


def test_a_file_gives_what_the_same_frame_gives(found, runs, tmp_path):
    file = tmp_path / "runs.csv.gz"
    file.write_bytes(gzip.compress(runs.to_csv(index=False).encode()))
    for path in (file, str(file)):
        assert rounded(claim(path, **COLUMNS)) == rounded(found) | {"title": "runs.csv.gz"}


def rounded(found):
    """As JSON with ten digits: pandas 2 may read a number of a file wrongly in its last bit."""
    return json.loads(json.dumps(found.as_dict()), parse_float=lambda text: float(f"{float(text):.10g}"))


def test_the_frame_is_left_as_it_is(runs):
    before = runs.copy()
    claim(runs, **COLUMNS, where="batch > 1")
    pd.testing.assert_frame_equal(runs, before)


def test_losses_are_minimized(found, runs):
    turned = claim(runs.assign(score=-runs["score"]), **COLUMNS, direction="minimize")
    assert (turned.verdict, turned.slope) == (found.verdict, pytest.approx(found.slope))


def test_levels_stand_in_both_directions_with_their_status(found):
    levels = found.levels
    assert list(levels) == ["given", "value", "best", "low", "high", "status"]
    assert set(levels["given"]) == {"lr", "batch_size"}
    identified = levels[levels["status"] == "identified"]
    assert ((identified["low"] < identified["best"]) & (identified["best"] < identified["high"])).all()
    censored = levels[levels["status"] == "left_censored"]
    assert len(censored) and censored[["best", "low"]].isna().all(axis=None) and censored["high"].notna().all()


def test_one_verdict_has_one_row(found):
    (row,) = found.verdicts.to_dict("records")
    assert row["slope"] == found.slope and row["p_value"] == row["p_adjusted"] < 0.025
    assert list(found.verdicts) == [
        "hypothesis", "verdict", "slope", "low", "high", "p_value", "p_adjusted", "grade", "reason"
    ]  # fmt: skip


def test_groups_stand_in_front_and_are_pooled(runs):
    parts = [runs.assign(net=net, score=runs["score"] + 0.02 * k) for k, net in enumerate("abc")]
    found = claim(pd.concat(parts), **COLUMNS, by="net", hypothesis="h6")
    verdicts = found.verdicts
    assert list(verdicts["net"]) == ["a", "b", "c", "pooled"] and verdicts.columns[0] == "net"
    pooled = verdicts.iloc[-1]
    assert (pooled["slope"], pooled["verdict"]) == (found.slope, found.verdict)
    assert found.hypothesis == "H6" and "3 of 3 groups" in found.reason
    assert set(found.levels["net"]) == {"a", "b", "c"}
    assert found.as_dict()["pooled"][0]["slope"] == found.slope
    seen = []
    claim(pd.concat(parts[:2]), **COLUMNS, by=["net"], track=lambda groups: seen.append(len(groups)) or iter(groups))
    assert seen == [2]


def test_a_hypothesis_without_a_slope_has_none():
    found = claim(table_of(planted(1.0, noise=0.05, n_tuned=4)[0]), **COLUMNS)
    assert found.verdict == "inconclusive" and (found.slope, found.low, found.high) == (None, None, None)
    assert found.verdicts["slope"].isna().all() and found.settles
    assert "would settle it" in repr(found)


def test_alpha_counts_and_the_bootstrap_seed_does_not(found, runs):
    noisy = table_of(planted(1.0, noise=0.2)[0])
    one, wide = (claim(noisy, **COLUMNS, alpha=alpha) for alpha in (0.05, 0.001))
    assert wide.low < one.low < one.high < wide.high
    other = claim(runs, **COLUMNS, bootstrap_seed=1)
    assert other.as_dict() == found.as_dict()  # nothing is bootstrapped


def test_it_shows_itself(found):
    assert repr(found).startswith("Claim on the table: H9 supported, slope ")
    html = found._repr_html_()
    assert "<b>Claim on the table" in html and html.count("<table") == 2 and "&lt;" not in html.split("<table")[0]


def test_json_holds_every_attribute(found):
    record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    for name in ("verdict", "slope", "low", "high", "grade", "reason", "settles", "hypothesis"):
        assert record[name] == getattr(found, name)
    assert len(record["levels"]) == len(found.levels) and record["verdicts"][0]["verdict"] == found.verdict
    (surface,) = record["surfaces"]
    assert set(surface) >= {
        "n_identified", "per_lr", "per_batch_size", "reverse", "rho_squared", "collapse", "cliff_ratio"
    }  # fmt: skip
    assert set(surface["reverse"]) == {"slope", "low", "high"}
    assert "ci_low" not in json.dumps(record)


@pytest.mark.parametrize(
    ("changes", "argument", "line"),
    [
        ({"hypothesis": "H99"}, "hypothesis", "hypothesis: got 'H99'; must be one of H1, "),
        ({"hypothesis": "H1"}, "hypothesis", "hypothesis: got 'H1'; a table can be judged on H6, H7, H8, H9, H19"),
        ({"direction": "up"}, "direction", "direction: got 'up'; must be maximize or minimize"),
        ({"alpha": 1.0}, "alpha", "alpha: got 1.0; must lie between 0 and 1"),
        ({"alpha": "x"}, "alpha", "alpha: got 'x'; must lie between 0 and 1"),
        ({"bootstrap_seed": -1}, "bootstrap_seed", "bootstrap_seed: got -1; must be at least 0"),
        ({"bootstrap_seed": "x"}, "bootstrap_seed", "bootstrap_seed: got 'x'; must be a whole number"),
        ({"score": 3}, "score", "score: got 3; must be the name of a column, or several"),
        ({"by": 3}, "by", "by: got 3; must be the name of a column, or several"),
        ({"lr": 3}, "lr", "lr: got 3; must be the name of a column"),
        ({"hypothesis": 9}, "hypothesis", "hypothesis: got 9; must be one of H1, "),
        ({"lr": "rate"}, "lr", "lr: got 'rate'; the table has no such column; it has lr, batch, seed, score"),
    ],
)
def test_what_is_refused_names_the_argument(runs, changes, argument, line):
    with pytest.raises(BatchlawError) as refusal:
        claim(runs, **(COLUMNS | changes))
    assert str(refusal.value).startswith(line) and refusal.value.argument == argument


@pytest.mark.parametrize("data", [3, None, {"lr": [0.1]}])
def test_what_is_no_table_and_no_path_is_refused(data):
    with pytest.raises(
        DataError, match=f"data: must be a DataFrame, or the path of a file or several, not {type(data).__name__}"
    ):
        claim(data, **COLUMNS)


def test_a_column_that_comes_twice_is_refused(runs):
    with pytest.raises(DataError, match="lr: got 'lr'; the table has several columns of this name"):
        claim(pd.concat([runs, runs[["lr"]]], axis=1), **COLUMNS)


def test_a_row_of_no_group_is_named_and_not_left_out(runs):
    grouped = runs.assign(group=["a"] * (len(runs) - 1) + [None])
    with pytest.raises(DataError, match=f"by: got 'group'; row {len(runs) - 1} of the table has no value there"):
        claim(grouped, **COLUMNS, by="group")


def test_a_bad_number_of_a_frame_is_named_by_its_index(runs):
    broken = runs.set_index(np.arange(len(runs)) + 100).astype({"score": object})
    broken.loc[107, "score"] = "good"
    with pytest.raises(DataError, match="column 'score' of the table: row 107 holds 'good', not a number"):
        claim(broken, **COLUMNS)
