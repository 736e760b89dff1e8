"""Rows of one cell are replicates of each other, or they are refused, averaged or said to differ."""

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims.table_claim import claim
from batchlaw.claims.tables import surfaces
from batchlaw.errors import DataError
from batchlaw.laws.tables import law
from batchlaw.tables.columns import Columns

from tests.unit.claims.test_tables import table_of
from tests.unit.stats.conftest import planted

N_CELLS, SEEDS = 48, 4


@pytest.fixture
def runs():
    """Six rates, eight batch sizes, four seeds; the index counts the rows."""
    return table_of(planted(1.0, noise=0.05, seeds=SEEDS, n_given=6, n_tuned=8)[0])


def read(table, **columns):
    ((_, surface),), notes = surfaces(table, Columns.of(**({"batch_size": "batch", "score": "score"} | columns)))
    return surface, notes


def alternating(table, values):
    """Equal shares of the values in every cell, in an order of rows that differs from that of the seeds."""
    return [values[row % len(values)] for row in range(len(table))]


SETTINGS = [  # the same levels in every cell, of a column that nobody named
    ("optimizer", ["sgd", "adam"]), ("weight_decay", [0.0, 1e-4]), ("depth", [2, 3]), ("dataset", ["a", "b", "c", "d"]),
    ("x17", ["p", "q"]), ("x17", [0.5, 0.25]), ("x17", [True, False]), ("config/momentum", [0.9, 0.99]),
    ("params_dropout", [0.0, 0.1]), ("epoch", [1, 2, 3, 4]), ("params.model", ["mlp", "cnn"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values"), SETTINGS)
def test_a_setting_that_varies_within_cells_is_refused(runs, name, values):
    table = runs.assign(**{name: alternating(runs, values)})
    for columns in ({}, {"seed": "seed"}):
        if len(values) == SEEDS and name in ("epoch", "dataset"):
            continue  # a level for each seed: see below
        with pytest.raises(DataError) as refusal:
            read(table, **columns)
        line = str(refusal.value)
        assert f"rows of one cell, lr = 0.00390625 and batch = 2, differ in {name!r}, which is no seed: " in line
        assert line.endswith("; see by, average or where") and "\n" not in line


@pytest.mark.parametrize(("name", "values"), [case for case in SETTINGS if case[0] in ("optimizer", "x17")][:2])
def test_each_level_of_a_setting_has_a_law_of_its_own(runs, name, values):
    table = runs.drop(columns="seed").assign(**{name: alternating(runs, values)})
    found = law(table, batch_size="batch", score="score")
    assert [part.stratum for part in found.strata] == [{name: value} for value in sorted(values)]
    assert any(f"{name} differs within cells and is no seed" in note for note in found.notes)


def test_a_file_is_refused_as_a_frame_is(runs, tmp_path):
    runs.assign(optimizer=alternating(runs, ["sgd", "adam"])).to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(DataError, match="differ in 'optimizer', which is no seed: sgd and adam"):
        read(tmp_path / "runs.csv", seed="seed")


def test_a_setting_that_was_drawn_at_random_is_refused(runs):
    drawn = 10 ** np.random.default_rng(0).uniform(-6, -2, len(runs))
    for name in ("weight_decay", "params_wd", "config/x"):
        with pytest.raises(DataError, match=f"differ in '{name}'"):
            read(runs.assign(**{name: drawn}), seed="seed")


def test_a_level_for_each_seed_is_refused_where_its_name_says_that_it_is_a_setting(runs):
    with pytest.raises(DataError, match="differ in 'weight_decay'"):
        read(runs.assign(weight_decay=runs["seed"] * 1e-4), seed="seed")
    assert read(runs.assign(stream=runs["seed"] + 100), seed="seed")[1] == ()


def test_its_levels_may_be_judged_apart_averaged_or_left_out(runs):
    shifted = [
        runs.assign(
            optimizer=name, score=runs["score"] + shift + 1e-3 * np.random.default_rng(n).normal(size=len(runs))
        )
        for n, (name, shift) in enumerate({"sgd": 0.0, "adam": 0.5, "lion": 1.0}.items())
    ]
    table = pd.concat(shifted)
    columns = {"batch_size": "batch", "score": "score", "seed": "seed"}
    assert len(claim(table, **columns, by="optimizer").verdicts) == 4
    only = read(table, seed="seed", where="optimizer == 'sgd'")[0]
    np.testing.assert_allclose(only.scores, read(shifted[0], seed="seed")[0].scores)
    surface, notes = read(table, seed="seed", average="optimizer")
    expected = np.mean([read(part, seed="seed")[0].scores for part in shifted], axis=0)
    np.testing.assert_allclose(surface.scores, expected)
    assert surface.paired and notes == ("a score is the mean over 3 combinations of levels: 3 of optimizer",)


def test_an_average_needs_every_level_and_a_seed(runs):
    table = pd.concat([runs.assign(depth=2), runs.assign(depth=3), runs.assign(depth=4)]).reset_index(drop=True)
    lost = table.drop(index=[0, 200])
    surface, notes = read(lost, seed="seed", average="depth")
    assert np.isnan(surface.scores).sum() == 2 and "2 of 192 scores are missing" in notes[0]
    table.loc[5, "score"] = np.inf
    surface, _ = read(table, seed="seed", average="depth")
    assert np.argwhere(surface.unstable).tolist() == [[0, 1, 1]]
    worst = table["score"][np.isfinite(table["score"])].min()
    assert surface.scores[0, 1, 1] == pytest.approx((worst + 2 * runs["score"][5]) / 3)
    with pytest.raises(DataError, match=r"average: .* rows with lr = .* have the same levels; see seed"):
        read(table.drop(columns="seed"), average="depth")
    with pytest.raises(DataError, match="average: got 'dept'; the table has no such column"):
        read(table, average="dept")


OUTCOMES = {
    "val_acc": lambda n, draw: draw.random(n),
    "accuracy_on_100": lambda n, draw: draw.binomial(100, 0.9, n) / 100,
    "epochs_run": lambda n, draw: draw.integers(8, 11, n),
    "seconds": lambda n, draw: draw.integers(38, 43, n),
    "converged": lambda n, draw: draw.random(n) < 0.5,
    "host": lambda n, draw: np.resize(["node1", "node2"], n),
    "run_id": lambda n, draw: [f"r{k}" for k in range(n)],
    "Name": lambda n, draw: [f"run-{k}" for k in range(n)],
    "params.seed": lambda n, draw: np.resize([0, 1, 2, 3], n),
    "random_state": lambda n, draw: np.resize([0, 1, 2, 3], n),
    "repetition": lambda n, draw: np.resize([0, 1, 2, 3], n),
    "number": lambda n, draw: np.arange(n),
    "start_time": lambda n, draw: np.resize(["09:00", "10:00"], n),
    "created_at": lambda n, draw: np.resize(["2025-01-01", "2025-01-02"], n),
    "user": lambda n, draw: np.resize(["ann", "bob"], n),
    "state": lambda n, draw: np.resize(["open", "shut"], n),
    "notes": lambda n, draw: [None] * n,
    "comment": lambda n, draw: ["", "good"] * (n // 2 - 10) + [""] * 20,
    "steps": lambda n, draw: np.full(n, 100),
    "best_epoch": lambda n, draw: draw.poisson(20, n),
    "lists": lambda n, draw: [[1, k] for k in range(n)],
}


@pytest.mark.parametrize("name", [name for name in OUTCOMES if name != "comment"])
@pytest.mark.parametrize("seed", [None, "seed"])
def test_what_a_run_brought_and_where_it_ran_is_no_setting(runs, name, seed):
    values = OUTCOMES[name](len(runs), np.random.default_rng(0))
    surface, notes = read(runs.assign(**{name: values}), seed=seed)
    assert surface.n_replicates == SEEDS and not any("unlike" in note for note in notes)


def test_a_column_that_may_be_a_setting_is_said(runs):
    chance = np.random.default_rng(0).choice(["left", "right"], len(runs))
    assert read(runs.assign(side=chance), seed="seed")[1] == ("rows of one cell also differ in side",)
    assert read(runs.assign(side=chance, k=np.random.default_rng(1).integers(3, size=len(runs))))[1] == (
        "rows of one cell also differ in side and k",
    )


def test_seeds_with_identical_scores_are_refused(runs):
    same = runs.assign(score=runs.groupby(["lr", "batch"])["score"].transform("first"))
    for columns in ({}, {"seed": "seed"}):
        with pytest.raises(
            DataError, match=r"all scores of a cell are the same in 48 of 48 cells, .*was the seed used\?"
        ):
            read(same, **columns)
    nearly = same.copy()
    nearly.loc[nearly.index < 4 * SEEDS, "score"] += 0.01 * nearly["seed"]
    with pytest.raises(DataError, match="the same in 44 of 48 cells"):
        read(nearly, seed="seed")
    wide = same.pivot(index=["lr", "batch"], columns="seed", values="score").add_prefix("s").reset_index()
    with pytest.raises(DataError, match="the same in 48 of 48"):
        read(wide, score="s0,s1,s2,s3", direction="maximize")
    diverged = same.assign(score=same["score"].where(same["batch"] > 8, np.inf))
    with pytest.raises(DataError, match="the same in 30 of 30"):
        read(diverged, seed="seed")


def test_two_seeds_with_the_same_scores_are_refused(runs):
    copied = runs.copy()
    copied.loc[copied["seed"] == 2, "score"] = copied.loc[copied["seed"] == 0, "score"].to_numpy()
    with pytest.raises(DataError, match="score of seed 0 and score of seed 2 have the same scores in 48 of 48 cells"):
        read(copied, seed="seed")
    wide = runs.pivot(index=["lr", "batch"], columns="seed", values="score").add_prefix("s").reset_index()
    with pytest.raises(DataError, match="s1 and s1b have the same scores"):
        read(wide.assign(s1b=wide["s1"]), score="s0,s1,s1b", direction="maximize")


def test_rows_that_stand_twice_are_refused(runs):
    twice = pd.concat([runs, runs])
    with pytest.raises(DataError, match="every score of a cell stands there twice in 48 of 48 cells"):
        read(twice.drop(columns="seed"))
    with pytest.raises(DataError, match="seed: got 'seed'; does not tell the rows of a cell apart: 2 have lr = "):
        read(twice, seed="seed")


@pytest.mark.parametrize("examples", [20, 100, 1000])
@pytest.mark.parametrize("seed", [None, "seed"])
def test_ties_of_accuracies_on_few_examples_are_no_copies(runs, examples, seed):
    chance = np.clip(0.9 + runs["score"] / 20, 0.1, 0.99)
    counts = np.random.default_rng(0).binomial(examples, chance)
    assert read(runs.assign(score=counts / examples), seed=seed)[0].n_replicates == SEEDS


def test_saturated_accuracies_of_a_part_of_the_grid_are_judged(runs):
    saturated = runs.assign(score=np.minimum(runs["score"], np.quantile(runs["score"], 0.4)))
    assert read(saturated, seed="seed")[0].n_replicates == SEEDS
