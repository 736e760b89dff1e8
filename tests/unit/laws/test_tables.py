"""The public law, from tables whose ridge is planted."""

import doctest
import json

import pandas as pd
import pytest
from batchlaw.claims.table_claim import claim
from batchlaw.errors import BatchlawError
from batchlaw.laws import laws_of, tables
from batchlaw.laws.tables import law
from batchlaw.results.interval import Interval

from tests.unit.claims.test_tables import HPOBENCH
from tests.unit.laws.conftest import COLUMNS


@pytest.fixture(scope="module")
def found(sqrt_table):
    return law(sqrt_table, **COLUMNS, optimizer="momentum")


def test_the_example_of_its_docstring():
    ran = doctest.testmod(tables)
    assert ran.failed == 0 and ran.attempted > 5


def test_a_table_gives_what_the_study_of_the_same_scores_gives(found, sqrt_study):
    (of_study,) = laws_of(*sqrt_study)
    left_out = {"title", "grade", "strata", "read"}
    told, again = ({k: v for k, v in law.as_dict().items() if k not in left_out} for law in (found, of_study))
    assert told == again and found.grade == "replicated"


def test_it_is_the_slope_that_claims_are_judged_by(found, sqrt_table):
    h7 = claim(sqrt_table, **COLUMNS, hypothesis="H7")
    assert h7.verdict == "supported" and (h7.slope, h7.low, h7.high) == (found.exponent, found.low, found.high)


def test_a_batch_size_in_between_is_predicted_with_its_interval(found):
    predicted = found.predict(batch_size=24)
    assert isinstance(predicted, Interval) and predicted.low < predicted.value < predicted.high
    assert predicted.value == pytest.approx(2 ** (0.5 * (4.584963 - 4.5) - 5), rel=0.1)


def test_outside_of_what_was_seen_it_is_refused_unless_told(found):
    line = "batch_size: got 1024; must be from 2 to 256, where the law was seen; see extrapolate"
    with pytest.raises(BatchlawError) as refusal:
        found.predict(1024)
    assert str(refusal.value) == line
    assert found.predict(1024, extrapolate=True).value > found.predict(256).value
    for wrong in ("24", float("nan"), float("inf")):
        with pytest.raises(BatchlawError, match=f"batch_size: got {wrong!r}; must be a number of examples"):
            found.predict(wrong, extrapolate=True)
    with pytest.raises(BatchlawError, match="batch_size: got 0"):
        found.predict(0, extrapolate=True)


def test_levels_have_the_best_rate_and_what_the_curve_says(found):
    levels = found.levels
    assert list(levels["batch_size"]) == [2.0**k for k in range(1, 9)] and (levels["status"] == "identified").all()
    assert ((levels["low"] < levels["best"]) & (levels["best"] < levels["high"])).all()
    for row in levels.itertuples():
        assert (row.predicted, row.predicted_low, row.predicted_high) == tuple(found.predict(row.batch_size))


def test_groups_are_strata_and_the_best_of_them_stands_on_top(sqrt_table):
    both = pd.concat([
        sqrt_table.assign(optimizer="adam"), sqrt_table.assign(optimizer="sgd", loss=sqrt_table["loss"] + 1)
    ])  # fmt: skip
    found = law(both, **COLUMNS, by="optimizer")
    assert found.stratum == {"optimizer": "adam"} and [part.name for part in found.strata] == [
        "optimizer adam", "optimizer sgd"
    ]  # fmt: skip
    assert [part.as_dict()["bend"]["curve"] for part in found.strata] == ["surge", "mccandlish"]
    assert "Law of the table, optimizer sgd: exponent 0.5" in repr(found)
    assert len(found.as_dict()["strata"]) == 2


def test_an_exponent_that_sets_alone_bound_says_so():
    found = law(
        HPOBENCH / "credit_g.csv.gz", lr="learning_rate_init", score=[f"acc_s{seed}" for seed in range(5)],
        average="width, alpha",
    )  # fmt: skip
    assert found.low < 0.4 and found.high > 0.6 and found.critical_batch_size is None  # the reference is 0.6
    assert repr(found).startswith("Law of credit_g.csv.gz: exponent in [") and found.as_dict()["bounded"]
    assert found.exponent is None and "not determined: the sets in which the best rates lie allow" in repr(found)
    low, high = found.fitted.seen
    levels = found.levels.set_index("batch_size").predicted
    assert found.predict(high).value > 0 and levels.loc[low:high].notna().all()
    assert levels[(levels.index < low) | (levels.index > high)].isna().all()
    with pytest.raises(BatchlawError, match="the exponent is not determined"):
        found.predict(2 * high, extrapolate=True)
    json.dumps(found.as_dict(), allow_nan=False)


def test_too_few_rates_give_no_law(sqrt_table):
    found = law(sqrt_table, **COLUMNS, where="lr > 0.1")
    assert found.exponent is None and found.low is None and found.critical_batch_size is None
    assert "the tuned factor has 4 levels" in found.lack and found.levels["predicted"].isna().all()
    assert repr(found).startswith("Law of the table: none (replicated)\n  no law: ")
    json.dumps(found.as_dict(), allow_nan=False)
    with pytest.raises(BatchlawError, match=r"there is no law to predict by: the tuned factor has 4"):
        found.predict(batch_size=8)


def test_it_shows_itself(found):
    assert repr(found).startswith("Law of the table: exponent 0.5")
    assert found.formula in repr(found) and "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"optimizer": "lion9"}, "optimizer: got 'lion9'; must be one of sgd"),
        ({"alpha": 0.0}, "alpha: got 0.0; must lie between 0 and 1"),
        ({"bootstrap_seed": -1}, "bootstrap_seed: got -1; must be at least 0"),
        ({"score": "los"}, "score: got 'los'; the table has no such column (did you mean 'loss'?)"),
    ],
)
def test_what_is_refused_names_the_argument(sqrt_table, changes, line):
    with pytest.raises(BatchlawError) as refusal:
        law(sqrt_table, **(COLUMNS | changes))
    assert str(refusal.value).startswith(line)
