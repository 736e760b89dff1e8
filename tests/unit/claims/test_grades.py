"""Tables in the manner of those that people have: each is read, graded and described, and none says too much.

The tables are written by `tests/data/odd_tables/write.py`, with a best rate that goes as √B where nothing else is said.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims.table_claim import claim
from batchlaw.errors import DataError
from batchlaw.laws.tables import law, transfer

DATA = Path(__file__).parents[2] / "data"
TABLES = DATA / "odd_tables"

# name: (options, grade, what is said in notes, reason or sentences, what is not)
EXPECTED = {
    "students_grid": ({}, "observed", ["too far apart to see how the best one moves", "test accuracy at the best"], []),
    "random_trials": (
        {"direction": "minimize"}, None,
        ["a sampler chose them", "the best trial has learning rate", "6 rows are left out: state is PRUNED"],
        ["a full grid"],
    ),
    "tpe_trials": ({}, None, ["a sampler chose them", "the best trial has learning rate"], ["best rate lies at an"]),
    "chosen_rates": (
        {}, "observed",
        [
            "the rate was chosen, not swept; nothing about the best rate", "in proportion to B^1, which is a rule",
            "2.7 times fewer for 16 times", "gpus moves with the learning rate and the batch size",
        ],
        ["a line through"],
    ),
    "one_factor_at_a_time": (
        {}, "observed",
        [
            "nothing about how the best of one moves with the other", "is the highest of 5 tried: a better one may",
            "val_acc at learning rate 0.001:",
        ],
        ["at the best rate tried"],
    ),
    "two_levels": (
        {}, "observed", ["two batch sizes give a ratio, not a slope", "no optimum lies between them"], ["goes as B"]
    ),
    "means": ({}, "replicated", ["val_loss_std as its deviation", "66 runs of 11 learning rates"], ["are assumed"]),
    "matrix": ({"direction": "maximize"}, None, ["25 runs of 5 learning rates and 5 batch sizes, a full grid"], []),
    "several_metrics": ({}, None, ["val_loss at the best rate"], ["seeds"]),
    "dropout": ({}, None, ["dropout differs, too: scores are compared within each of 3"], ["is no seed: each"]),
    "rate_not_applied": (
        {}, "observed", ["the learning rate has no effect that shows over 4.0 decades: was it applied?"], ["B^"]
    ),
    "chance_above": ({}, "observed", ["the best rate tried is 0.01 at 5 of 5"], ["was it applied"]),
    "own_rates": ({}, "fitted", ["each batch size with rates of its own", "a guide, and no test"], ["sampler"]),
    "few_cells_with_seeds": ({}, "observed", ["16 runs of 3 learning rates"], ["scores are missing"]),
    "seed_not_used": (
        {}, "fitted", ["copies of one another", "was the seed used?", "a guide, and no test"], ["would be 'refuted'"]
    ),
    "two_budgets": ({}, None, ["epochs differs, too: scores are compared within each of 2 comb"], ["a line through"]),
}  # fmt: skip


def said(found):
    return "\n".join([found.reason, *found.sentences, *found.notes])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_table_of_people_has_its_grade_and_says_what_it_shows(name):
    options, grade, told, untold = EXPECTED[name]
    found = claim(TABLES / f"{name}.csv", **options)
    assert found.verdict == "inconclusive"  # none has enough runs for a verdict on B_opt ∝ ε
    assert found.grade == (grade or found.grade) and found.grade in ("replicated", "fitted", "observed")
    text = said(found)
    for part in told:
        assert part in text
    for part in untold:
        assert part not in text
    record = found.as_dict()
    assert record["grade"] == found.grade and record["observed"][0]["sentences"]
    assert all(row["grade"] for row in record["verdicts"])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_law_of_a_table_holds_the_planted_exponent_or_is_none(name):
    """√B was planted, but for the table whose rate was not applied."""
    options = EXPECTED[name][0]
    found = law(TABLES / f"{name}.csv", **options)
    assert found.grade in ("replicated", "fitted", "observed")
    if name in ("own_rates", "means"):
        assert found.exponent is not None
    if found.exponent is None:
        assert found.lack and (found.observed is not None)
        return
    assert name != "rate_not_applied" and found.low <= 0.5 <= found.high
    costs = transfer(TABLES / f"{name}.csv", **options)
    assert costs.means["rule"].iloc[0] in ("sqrt", "law")
    if found.grade == "fitted":
        assert costs.as_dict()["guide"]


def test_where_a_factor_had_no_effect_more_runs_are_not_advised():
    found = claim(TABLES / "rate_not_applied.csv")
    assert "whether the factor is applied" in found.settles and found.further.empty


def test_what_differs_within_cells_is_described_within_its_levels():
    """The plain means say that the largest batch is best; with either optimizer it is the worst."""
    rows = [
        (size, rate, opt, 1.0 + 0.1 * np.log2(size) + abs(np.log10(rate) + 2) - 2.0 * (opt == "b"))
        for size in (16, 32, 64, 128) for rate in (1e-3, 1e-2, 1e-1) for opt in "ab"
        if opt == "a" or (size == 128) or rate == 1e-2
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["batch_size", "lr", "optimizer", "loss"])
    found = claim(table)
    best = found.observed.query("given == 'lr' and n_tried > 1")
    assert set(best["best"]) == {16.0} and set(best["optimizer"]) == {"a", "b"}


def test_many_small_blocks_are_compared_by_what_is_left_of_their_effects():
    """Each run of a deeper network is better, and deeper ones were run at the largest batch size most."""
    generator = np.random.default_rng(3)
    rows = []
    for depth in range(12):
        sizes = [16, 32, 64, 128] if depth < 6 else [64, 128, 128, 32]
        for number, size in enumerate(sizes[:3]):
            rows.append((size, 0.01 * 2 ** ((depth + number) % 2), depth, 5 - 0.3 * depth + 0.2 * np.log2(size)))
    table = pd.DataFrame(rows, columns=["batch_size", "lr", "depth", "loss"]).sample(frac=1, random_state=generator)
    found = claim(table)
    assert any("depth differs, too: of a score the mean effect" in each for each in found.sentences)
    best = found.observed.query("given == 'lr' and n_tried > 1")
    assert set(best["best"]) == {16.0}


def test_a_page_of_runs_that_had_spikes_is_a_selection():
    table = pd.DataFrame({
        "batch": [32, 64, 128, 256] * 6, "LR": np.repeat([1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2], 4),
        "spike step": range(100, 124), "val loss": np.linspace(4, 5, 24),
    })  # fmt: skip
    found = claim(table)
    assert found.grade == "observed" and "look selected by that spike" in found.reason
    assert law(table).fitted is None
    with pytest.raises(DataError, match=r"no cost can be told: .*selected"):
        transfer(table)


@pytest.mark.parametrize(("extra", "kept"), [(0, "observed"), (1, "observed")])
def test_copies_of_single_runs_are_no_replicates(extra, kept):
    table = pd.read_csv(TABLES / "two_levels.csv")
    table = pd.concat([table.assign(loss=table["loss"] + 1e-5)] * (1 + 2 * extra))
    assert claim(table).grade == kept


def test_optimizers_with_rates_of_their_own_are_a_factor_and_no_sampler():
    rows = [("sgd", size, size / 2560, top) for size, top in ((256, 76.1), (1024, 76.0), (4096, 75.6), (16384, 73.4))]
    rows += [("lamb", size, rate / 20, top - 0.5) for _, size, rate, top in rows]
    found = claim(pd.DataFrame(rows, columns=["optimizer", "batch_size", "lr", "top1"]))
    assert found.grade == "observed" and "sampler" not in said(found)
    assert "the rate was chosen, not swept" in said(found)
    assert set(found.observed["optimizer"]) == {"sgd", "lamb"} and (found.observed["edge"] == "only").all()


def test_a_batch_of_one_device_is_multiplied_by_the_steps_that_are_accumulated():
    rows = [
        (4, steps, rate, abs(np.log10(rate) + 3) + 0.1 * steps) for steps in (1, 2, 4, 8) for rate in (1e-4, 1e-3, 1e-2)
    ]
    columns = ["per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "eval_loss"]
    found = claim(pd.DataFrame(rows, columns=columns))
    assert "batch size is per_device_train_batch_size × gradient_accumulation_steps" in found.read
    assert set(found.observed.query("given == 'batch_size'")["value"]) == {4, 8, 16, 32}
    assert "steps moves with" not in said(found)


@pytest.mark.slow
def test_of_very_many_single_runs_some_are_fitted_as_a_guide():
    generator = np.random.default_rng(5)
    size, rate = 2.0 ** generator.integers(3, 9, 700), 10 ** generator.uniform(-4, -1, 700)
    off = np.log2(rate) - 0.5 * np.log2(size) + 8
    table = pd.DataFrame({"batch_size": size, "lr": rate, "loss": 1 + 0.1 * off**2 + 0.05 * generator.normal(size=700)})
    found = law(table)
    assert found.grade == "fitted" and found.low <= 0.5 <= found.high
    assert "400 of 700 single runs, drawn at random" in found.as_dict()["guide"]
