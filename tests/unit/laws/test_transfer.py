"""What rules cost, on studies and tables with a planted ridge."""

import json

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


def test_a_cost_needs_three_known_seeds(sqrt_table):
    with pytest.raises(DataError, match="seed: is needed, or a narrower `where`, since a cell has several rows"):
        transfer(sqrt_table, **(COLUMNS | {"seed": None}))
    with pytest.raises(DataError, match="the table has 2 seeds; a cost needs 3"):
        transfer(sqrt_table, **COLUMNS, where="seed < 2")
