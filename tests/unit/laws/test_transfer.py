"""What rules cost, on studies and tables with a planted ridge."""

import json

import numpy as np
import pytest
from batchlaw.errors import BatchlawError, DataError
from batchlaw.laws import laws_of
from batchlaw.laws.tables import transfer
from batchlaw.laws.transfer import transfers_of

from tests.unit.laws.conftest import COLUMNS


@pytest.fixture(scope="module")
def found(sqrt_study):
    (found,) = transfers_of(sqrt_study[0], laws_of(*sqrt_study))
    return found


def test_rules_are_ranked_by_what_they_cost(found):
    names = [rule.name for rule in found.rules]
    assert set(names[:2]) == {"law", "sqrt"} and found.rules[0].excess is None
    by_name = {rule.name: rule for rule in found.rules}
    assert by_name["constant"].p_adjusted < 0.001 and by_name["linear"].regret.ci_low > 0
    assert "sde" in found.unmeasured


def test_a_reference_is_one_of_the_batch_sizes(sqrt_study):
    with pytest.raises(BatchlawError, match="reference_batch_size: got 3; must be one of 2, 4, 8"):
        transfers_of(sqrt_study[0], laws_of(*sqrt_study), reference=3)


def test_costs_stand_at_each_batch_size_and_as_means(found):
    costs, means = found.costs, found.means
    assert list(costs) == ["rule", "batch_size", "lr", "cost", "low", "high", "at_least"]
    assert len(costs) == 8 * len(means) and list(means["rule"]) == [rule.name for rule in found.rules]
    at_reference = costs[(costs["batch_size"] == found.reference_batch_size) & (costs["rule"] == "sqrt")]
    assert (at_reference[["cost", "low", "high"]] == 0).all(axis=None)
    beside = costs[(costs["batch_size"] != found.reference_batch_size) & (costs["rule"] == "linear")]
    assert beside["cost"].mean() == pytest.approx(means.set_index("rule").loc["linear", "cost"])
    assert ((costs["low"] <= costs["cost"]) & (costs["cost"] <= costs["high"])).all()


def test_it_shows_itself(found):
    assert repr(found).startswith(
        "Transfer on tiny: the learning rate tuned at batch size 32, moved to the others (des"
    )
    assert "constant: mean cost +" in repr(found) and found._repr_html_().count("<table") == 2
    record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert record["costs"][0]["rule"] == record["means"][0]["rule"] and record["means"][0]["excess"] is None


def test_a_table_gives_what_the_study_of_the_same_scores_gives(found, sqrt_table):
    again = transfer(sqrt_table, **COLUMNS, reference_batch_size=32, optimizer="momentum")
    assert again.grade == "replicated" and again.means.equals(found.means)
    assert again.costs.equals(found.costs)


def test_the_middle_batch_size_is_the_reference_of_a_table(sqrt_table):
    assert transfer(sqrt_table, **COLUMNS).reference_batch_size == 32
    with pytest.raises(BatchlawError, match="reference_batch_size: got 3; must be one of"):
        transfer(sqrt_table, **COLUMNS, reference_batch_size=3)


def test_without_three_known_seeds_a_surface_tells_the_costs(sqrt_table):
    for table, columns in (
        (sqrt_table.drop(columns="seed"), {"seed": None}),
        (sqrt_table[sqrt_table["seed"] < 2], {}),
    ):
        found = transfer(table, **(COLUMNS | columns))
        assert found.grade == "fitted" and found.means["rule"].iloc[0] in ("sqrt", "law")
    assert transfer(sqrt_table, **COLUMNS).grade == "replicated"


def test_missing_scores_take_no_part_in_costs(sqrt_table):
    """With a tenth of the scores missing the costs are those of the whole table, and the best rule is the same."""
    whole = transfer(sqrt_table, **COLUMNS)
    lost = np.random.default_rng(0).random(len(sqrt_table)) < 0.1
    some = transfer(sqrt_table.assign(loss=sqrt_table["loss"].mask(lost)), **COLUMNS)
    costs = [found.costs.set_index(["rule", "batch_size"])["cost"] for found in (whole, some)]
    apart = (costs[0] - costs[1]).abs()
    assert apart.median() < 0.05 and apart.groupby("rule").mean()["sqrt"] < 0.15
    assert whole.means["rule"].iloc[0] == some.means["rule"].iloc[0] == "sqrt" or some.means["cost"].iloc[0] < 0.1
    assert any(note.startswith(f"{lost.sum()} of {len(lost)} scores are missing") for note in some.notes)


def test_a_rate_beyond_the_scores_that_are_there_is_marked(sqrt_table):
    """Without scores above a rate at one batch size a rule that goes there has the score of the last."""
    high = (sqrt_table["batch_size"] == 256) & (sqrt_table["lr"] > 2.0**-4)
    found = transfer(sqrt_table[~high], **COLUMNS)
    rows = found.costs.set_index(["rule", "batch_size"])["at_least"]
    assert rows["linear", 256.0] and not rows["constant", 256.0]
    assert not transfer(sqrt_table, **COLUMNS).costs.set_index(["rule", "batch_size"])["at_least"]["linear", 256.0]


def test_batch_sizes_without_scores_are_left_out_of_costs(sqrt_table):
    gone = sqrt_table["batch_size"].isin([2, 128])
    found = transfer(sqrt_table.assign(loss=sqrt_table["loss"].mask(gone)), **COLUMNS)
    assert sorted(set(found.costs["batch_size"])) == [4, 8, 16, 32, 64, 256]
    assert (
        "no cost is told at batch size 2, 128: a seed has fewer than 3 scores there, or every run diverged"
        in found.notes
    )
    with pytest.raises(DataError, match="a cost needs two batch sizes"):
        few = (sqrt_table["seed"] == 0) & (sqrt_table["batch_size"] > 2) & (sqrt_table["lr"] > 2.0**-9)
        transfer(sqrt_table.assign(loss=sqrt_table["loss"].mask(few)), **COLUMNS)
