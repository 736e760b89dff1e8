"""Laws and costs of single runs, by a smooth surface through them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from batchlaw.errors import BatchlawError, DataError
from batchlaw.laws.tables import law, transfer

HYSTS = Path(__file__).parents[2] / "data" / "tables" / "hysts_cifar10_resnet20.csv"
COLUMNS = {"score": "loss", "direction": "minimize"}


def single_runs(slope=0.5, seed=0, *, holes=0.1, noise=0.01, level=2.0):
    """One run a cell; the best rate is 2^(slope·(log₂ B - 6) - 5)."""
    generator = np.random.default_rng(seed)
    cells = [(2.0**x, 2.0**y) for y in range(2, 11) for x in range(-10, 1)]
    runs = pd.DataFrame(cells, columns=["lr", "batch_size"])[generator.random(len(cells)) >= holes]
    off = np.log2(runs["lr"]) - slope * (np.log2(runs["batch_size"]) - 6) + 5
    runs["loss"] = level + 0.1 * off**2 + noise * generator.normal(size=len(runs))
    return runs


@pytest.fixture(scope="module")
def found():
    return law(single_runs(), **COLUMNS)


def test_the_planted_law_is_found_and_graded(found):
    assert found.grade == "fitted" and found.low <= 0.5 <= found.high and found.high - found.low < 0.5
    predicted = found.predict(batch_size=48)
    assert predicted.low <= 2 ** (0.5 * (np.log2(48) - 6) - 5) <= predicted.high
    told = found.as_dict()
    assert told["noise"] == pytest.approx(0.01, rel=0.5) and told["grade"] == "fitted" and told["pooled"] is None


def test_far_outside_is_refused(found):
    with pytest.raises(BatchlawError, match="where the law was seen"):
        found.predict(batch_size=2**14)


def test_the_costs_are_those_of_the_planted_curve():
    costs = transfer(single_runs(), **COLUMNS, reference_batch_size=64)
    assert costs.grade == "fitted" and costs.reference_batch_size == 64
    for rule, slope in (("constant", 0.0), ("sqrt", 0.5), ("linear", 1.0)):
        rows = costs.costs[(costs.costs["rule"] == rule) & ~costs.costs["at_least"]]
        expected = 0.1 * ((slope - 0.5) * (np.log2(rows["batch_size"]) - 6)) ** 2
        assert len(rows) >= 7 and (rows["cost"] - expected).abs().max() < 0.05
        assert ((rows["low"] - 0.01 <= expected) & (expected <= rows["high"] + 0.01)).mean() >= 0.8
    means = costs.means.set_index("rule")["cost"]
    assert means["sqrt"] < 0.02 < means["constant"] and means["law"] < 0.03
    assert costs.rules[0].name in ("sqrt", "law")


def test_without_a_reference_the_middle_one_is_taken():
    assert transfer(single_runs(), **COLUMNS).reference_batch_size == 64
    with pytest.raises(BatchlawError, match="reference_batch_size: got 65; must be one of 4, 8"):
        transfer(single_runs(), **COLUMNS, reference_batch_size=65)


def test_large_blocks_have_laws_of_their_own_which_are_put_together():
    parts = [single_runs(0.5, seed, level=3.0 - seed).assign(N=10**seed) for seed in range(4)]
    found = law(pd.concat(parts), **COLUMNS)
    assert [part.stratum for part in found.strata] == [{"N": 10**seed} for seed in range(4)]
    assert found.stratum == {"N": 1000}  # the lowest loss
    assert found.pooled.n_groups == 4 and found.pooled.ci_low <= 0.5 <= found.pooled.ci_high
    assert found.pooled.prediction_low <= found.pooled.ci_low and "N differs" in found.notes[0]
    by = law(pd.concat(parts), **COLUMNS, by="N")
    assert by.pooled.slope == pytest.approx(found.pooled.slope)
    assert by.notes == ()


def test_small_blocks_are_compared_within():
    runs = single_runs()
    runs["depth"] = np.random.default_rng(0).integers(0, 3, len(runs))
    runs["loss"] += 1.0 * runs["depth"]
    found = law(runs, **COLUMNS)
    assert len(found.strata) == 1 and "within each of 3 combinations" in found.notes[0]
    assert found.low <= 0.5 <= found.high and found.as_dict()["guide"]


def test_irregular_runs_of_others_give_a_law_as_a_guide():
    found = law(HYSTS, score="test_error", direction="minimize", where="schedule == 'cosine' and epochs == 200")
    assert found.grade == "fitted" and found.as_dict()["guide"]
    assert found.exponent is not None and 0 < found.high - found.low < 2
    assert any("a guide and no test" in line for line in found.lines())


def test_too_few_runs_are_a_lack_and_no_cost():
    few = single_runs().iloc[::8][:10]
    assert "a surface needs 16" in law(few, **COLUMNS).lack
    with pytest.raises(DataError, match="no cost can be told: one run a cell; 10 runs"):
        transfer(few, **COLUMNS)


def test_where_every_rate_is_as_good_there_is_no_exponent():
    runs = single_runs()
    runs["loss"] = 2 + 0.1 * np.random.default_rng(3).normal(size=len(runs))
    found = law(runs, **COLUMNS)
    assert found.fitted is None or found.high - found.low > 1
