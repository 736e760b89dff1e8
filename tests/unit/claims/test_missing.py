"""Missing scores, and scores of runs that diverged: in files, in DataFrames, by request and by a tool's states.

The files in tests/data/tables are sweeps whose best batch size is 400 times the learning rate (in one of them 1600
times), over six learning rates and ten batch sizes with five seeds.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims.table_claim import claim
from batchlaw.claims.tables import surfaces
from batchlaw.errors import BatchlawError, DataError
from batchlaw.laws.tables import law, transfer
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs

TABLES = Path(__file__).parents[2] / "data" / "tables"
NAMES = {"score": "acc", "seed": "seed"}
MLFLOW = {
    "lr": "params.lr", "batch_size": "params.batch_size", "seed": "params.seed", "score": "metrics.val_loss",
    "direction": "minimize",
}  # fmt: skip
OPTUNA = {
    "lr": "params_lr",
    "batch_size": "params_batch_size",
    "seed": "user_attrs_seed",
    "score": "value",
    "direction": "maximize",
}


def surface_of(data, **columns):
    ((_, surface),), notes = surfaces(data, Columns.of(**(NAMES | columns)))
    return surface, notes


def sweep(name="diverged_nan"):
    """The cells of a file as text."""
    return pd.read_csv(TABLES / f"{name}.csv.gz", dtype=str, keep_default_na=False)


def written(folder, table, name="runs.csv"):
    table.to_csv(folder / name, index=False)
    return folder / name


MISSING = ["", "NA", "na", "N/A", "n/a", "null", "NULL", "None", "none", "NONE", "  ", " NA ", "<NA>", "#N/A"]
DIVERGED = [
    "nan", "NaN", "NAN", "Nan", "-nan", "+NaN", "nan(ind)", "-nan(ind)", "NaN(0x7)", "1.#INF", "-1.#INF", "1.#INF00",
    "1.#QNAN", "-1.#IND", "1.#SNAN", "inf", "Inf", "INF", "+Inf", "-inf", "infinity", "Infinity", "INFINITY",
    "-Infinity", "∞", "1.7976931348623157e+308", "-1.797e308", "1e999", "1e300", "3.4028234663852886e+38", " NaN ",
]  # fmt: skip


@pytest.mark.parametrize("text", MISSING)
def test_a_cell_of_a_file_that_says_nothing_is_missing(tmp_path, text):
    table = sweep()
    table.loc[table["acc"] == "NAN", "acc"] = "0.5"
    table.loc[7, "acc"] = text
    surface, notes = surface_of(written(tmp_path, table))
    assert np.argwhere(np.isnan(surface.scores)).tolist() == [[0, 1, 2]] and not surface.unstable.any()
    assert notes == ("1 of 300 scores is missing (batch_size = 4 and lr = 0.005)",)


@pytest.mark.parametrize("text", DIVERGED)
def test_a_cell_of_a_file_that_is_not_finite_diverged_with_the_worst_finite_score(tmp_path, text):
    table = sweep()
    table.loc[table["acc"] == "NAN", "acc"] = "0.5"
    table.loc[7, "acc"] = text
    surface, notes = surface_of(written(tmp_path, table))
    assert surface.unstable.sum() == 1 and surface.unstable[0, 1, 2]
    assert surface.scores[0, 1, 2] == 0.5 and np.isfinite(surface.scores).all()
    assert notes == ("1 of 300 runs diverged (batch_size = 4 and lr = 0.005)",)


@pytest.mark.parametrize("text", ["good", "1,5", "--", "nanometre", "12 GB", "0x10"])
def test_what_is_neither_is_refused_with_its_row(tmp_path, text):
    table = sweep()
    table.loc[7, "acc"] = text
    with pytest.raises(DataError, match=r"column 'acc' of runs.csv: row 9 holds '.*', not a number"):
        surface_of(written(tmp_path, table))


@pytest.mark.parametrize("absent", [np.nan, None, pd.NA])
def test_in_a_frame_nan_is_missing_and_infinity_diverged(absent):
    table = sweep().assign(acc=pd.to_numeric(sweep()["acc"], errors="coerce").fillna(0.5))
    table = table.astype({"lr": float, "batch_size": int, "seed": int})
    for kind in ("Float64", object):
        frame = table.astype({"acc": kind})
        frame.loc[7, "acc"] = absent
        frame.loc[[12, 13, 14], "acc"] = [np.inf, -np.inf, 1e301]
        surface, notes = surface_of(frame)
        assert np.argwhere(np.isnan(surface.scores)).tolist() == [[0, 1, 2]]
        assert np.argwhere(surface.unstable).tolist() == [[0, 2, seed] for seed in (2, 3, 4)]
        assert [note.partition(" (")[0] for note in notes] == ["1 of 300 scores is missing", "3 of 300 runs diverged"]


def test_text_in_a_frame_is_read_as_in_a_file():
    surface, notes = surface_of(sweep())
    assert surface.unstable.sum() == 10
    assert notes == ("10 of 300 runs diverged (all with batch_size = 2 and lr >= 0.08)",)
    assert np.isnan(surface_of(sweep("missing_none"))[0].scores).sum() == 10


@pytest.mark.parametrize("name", ["diverged_inf", "diverged_nan"])
def test_divergence_in_any_spelling_leaves_the_planted_slope(name):
    found = claim(TABLES / f"{name}.csv.gz", **NAMES)
    assert found.verdict == "supported" and found.slope == pytest.approx(1, abs=0.03)
    assert found.notes == ("10 of 300 runs diverged (all with batch_size = 2 and lr >= 0.08)",)


def test_missing_scores_are_diverged_on_request():
    found = claim(TABLES / "missing_none.csv.gz", **NAMES, missing="diverged")
    assert found.verdict == "supported" and found.slope == pytest.approx(1, abs=0.03)
    assert found.notes == ("10 of 300 runs diverged (all with batch_size = 2 and lr >= 0.08)",)
    frame = sweep("missing_none").astype({"lr": float, "batch_size": int})
    frame["acc"] = pd.to_numeric(frame["acc"], errors="coerce")
    again = claim(frame, **NAMES, missing="diverged")
    assert (again.verdict, again.slope) == (found.verdict, found.slope)


def test_missing_scores_decide_nothing():
    found = claim(TABLES / "missing_none.csv.gz", **NAMES)
    assert found.verdict == "inconclusive" and found.settles == "the runs whose scores are missing"
    assert found.reason.startswith(
        "2 cells are missing, at 2 learning rates (0.08, 0.16) and 1 batch size (2): the verdict would not be "
        "'supported' if they were the best; without them the slope is 0.97"
    )


def test_missing_scores_of_a_whole_batch_size_or_of_some_seeds_decide_nothing():
    table = sweep("missing_none")
    table.loc[table["batch_size"] == "2", "acc"] = "none"
    whole = claim(table, **NAMES)
    assert whole.verdict == "supported" and whole.notes[0].startswith("30 of 300 scores are missing")
    table = sweep("missing_none")
    table.loc[table["acc"] == "none", "acc"] = np.where(np.arange(10) % 5 == 0, "0.1", "none")
    assert claim(table, **NAMES).verdict == "supported"
    assert claim(sweep("missing_none").query("acc != 'none'"), **NAMES).verdict == "supported"  # cells of no row


def test_missing_scores_are_counted_with_where_they_are():
    found = claim(TABLES / "missing_none.csv.gz", **NAMES)
    assert found.notes == ("10 of 300 scores are missing (all with batch_size = 2 and lr >= 0.08)",)
    for told in (repr(found), found._repr_html_().replace("&gt;", ">")):
        assert "note: 10 of 300 scores are missing (all with" in told
    assert found.as_dict()["notes"] == list(found.notes)
    for of_rates in (law, transfer):
        same = of_rates(TABLES / "missing_none.csv.gz", **NAMES, missing="diverged")
        assert same.notes == ("10 of 300 runs diverged (all with batch_size = 2 and lr >= 0.08)",)
        assert json.loads(json.dumps(same.as_dict()))["notes"] == list(same.notes)
        assert "note: 10 of 300 runs diverged" in repr(same) and "note: 10 of 300" in same._repr_html_()


def test_infinity_as_the_largest_number():
    found = claim(TABLES / "mlflow_infinity.csv.gz", **MLFLOW)
    assert found.verdict == "supported" and found.slope == pytest.approx(1, abs=0.03)
    assert found.notes[0].startswith("10 of 300 runs diverged (all with params.batch_size = 2 and params.lr >=")


@pytest.mark.parametrize("loss", [1e39, 1e155, 1e160, 1e299])
def test_losses_that_no_training_has_are_divergence(tmp_path, loss):
    table = sweep("mlflow_infinity").replace("1.7976931348623157e+308", f"{loss}")
    assert claim(written(tmp_path, table), **MLFLOW).verdict == "supported"


def test_a_side_on_which_no_run_has_a_score_is_told():
    found = claim(TABLES / "wandb_crashed.csv.gz", score="val/acc", seed="seed")
    assert found.verdict == "inconclusive"
    assert found.notes == ("200 of 360 scores are missing (all with batch_size >= 64)",)
    known = found.levels[found.levels["given"] == "lr"]
    assert not ((known["status"] == "identified") & (known["best"] >= 64)).any()
    only = claim(TABLES / "wandb_crashed.csv.gz", score="val/acc", seed="seed", where="State == 'finished'")
    assert only.verdict == "inconclusive" and only.notes == ()


@pytest.mark.parametrize(
    ("lost", "place"),
    [
        ("batch_size <= 64", " (all with batch_size <= 64)"),
        ("lr > 0.05", " (all with lr >= 0.08)"),
        ("lr > 0.05 and batch_size <= 8", " (all with batch_size <= 8 and lr >= 0.08)"),
        ("batch_size == 16", " (all with batch_size = 16)"),
        ("seed == 1", ""),
    ],
)
def test_where_scores_are_missing_is_said_if_it_is_on_one_side(lost, place):
    frame = sweep().astype({"lr": float, "batch_size": int, "seed": int}).replace({"acc": {"NAN": "0.5"}})
    there = frame.assign(acc=frame["acc"].where(~frame.eval(lost), ""))
    n = int((there["acc"] == "").sum())
    assert surface_of(there)[1] == (f"{n} of 300 scores are missing{place}",)


def test_a_side_on_which_no_run_has_a_score_is_left_out_as_if_it_had_not_been_run():
    found = claim(TABLES / "wandb_crashed.csv.gz", score="val/acc", seed="seed")
    only = claim(TABLES / "wandb_crashed.csv.gz", score="val/acc", seed="seed", where="State == 'finished'")
    for side in ("lr", "batch_size"):
        rows = [frame[frame["given"] == side].set_index("value") for frame in (found.levels, only.levels)]
        both = rows[0].loc[rows[1].index]
        assert list(both["status"]) == list(rows[1]["status"])


def test_the_last_score_before_a_crash_is_no_score(tmp_path):
    table = sweep("wandb_crashed")
    table.loc[table["State"] == "crashed", "val/acc"] = "0.3"
    surface, notes = surface_of(written(tmp_path, table), score="val/acc")
    assert np.isnan(surface.scores[:, 4:]).all() and not np.isnan(surface.scores[:, :4]).any()
    assert notes == (
        "200 of 360 scores are missing (all with batch_size >= 64)",
        "the score of 200 rows counts as missing: State is crashed, and the last report before that is no score",
    )
    surface, notes = surface_of(
        written(tmp_path, table), score="val/acc", where="State in ('finished', 'crashed')"
    )  # whoever names the column has decided
    assert notes == () and (surface.scores[:, 4:] == 0.3).all()
    surface, _ = surface_of(written(tmp_path, table), score="val/acc", diverged_where="State == 'crashed'")
    assert surface.unstable[:, 4:].all()


def test_a_crash_in_which_the_loss_was_nan_is_divergence(tmp_path):
    table = sweep("wandb_crashed")
    table.loc[table["State"] == "crashed", "val/acc"] = "NaN"
    surface, _ = surface_of(written(tmp_path, table), score="val/acc")
    assert surface.unstable[:, 4:].all()


def test_pruned_trials_are_left_out_and_counted():
    surface, notes = surface_of(TABLES / "optuna_pruned.csv.gz", **OPTUNA)
    pruned = sweep("optuna_pruned")["state"] == "PRUNED"
    assert np.isnan(surface.scores).sum() == pruned.sum() == 92
    assert notes == ("92 of 300 scores are missing", "92 rows are left out: state is PRUNED")
    assert not (surface.scores == 0.3).any()
    surface, _ = surface_of(TABLES / "optuna_pruned.csv.gz", **OPTUNA, missing="diverged")
    assert not surface.unstable.any()  # a pruned trial is not one that diverged


def test_the_slope_of_the_trials_that_were_not_pruned():
    found = claim(TABLES / "optuna_pruned.csv.gz", **OPTUNA)
    assert found.verdict in ("supported", "inconclusive")
    assert found.slope is None or found.low < 1 < found.high


@pytest.mark.parametrize("state", ["RUNNING", "WAITING", "running", "Scheduled"])
def test_rows_of_runs_that_have_not_ended_are_no_scores(tmp_path, state):
    table = sweep("optuna_pruned").replace("PRUNED", state)
    _, notes = surface_of(written(tmp_path, table), **OPTUNA)
    assert f"92 rows are left out: state is {state}" in notes


def test_a_column_of_states_of_something_else_is_no_matter(tmp_path):
    table = sweep().assign(state=["Texas", "Utah", "Ohio"] * 100)
    assert surface_of(written(tmp_path, table))[1] == surface_of(written(tmp_path, sweep()))[1]


def test_finite_divergence_is_named_by_a_bound_or_an_expression(tmp_path):
    table = sweep("mlflow_infinity").replace("1.7976931348623157e+308", "6.5")
    path = written(tmp_path, table)
    plain = surface_of(path, **MLFLOW)[0]
    assert not plain.unstable.any()
    for named in (
        {"diverged_above": 6}, {"diverged_above": 6.4}, {"diverged_where": "metrics.val_loss > 6"},
        {"diverged_where": "`params.lr` >= 0.08 and params.batch_size == 2"},
    ):  # fmt: skip
        surface, notes = surface_of(path, **MLFLOW, **named)
        assert surface.unstable.sum() == 10 and surface.unstable[-1, 0].all()
        assert surface.scores.min() == -max(float(v) for v in table["metrics.val_loss"] if float(v) < 6)
        assert notes[0].startswith("10 of 300 runs diverged")
    assert not surface_of(path, **MLFLOW, diverged_above=6.5)[0].unstable.any()  # above, not at


def test_a_bound_holds_for_every_score_column_by_itself(tmp_path):
    wide = sweep().astype({"lr": float, "batch_size": int}).replace({"acc": {"NAN": "0.1"}})
    wide.loc[7, "acc"] = "0.1"
    wide = wide.pivot(index=["lr", "batch_size"], columns="seed", values="acc").add_prefix("s").reset_index()
    surface, _ = surface_of(written(tmp_path, wide), score="s0,s1,s2,s3,s4", seed=None, diverged_below=0.3)
    assert surface.unstable.sum() == 11 and surface.unstable[0, 1].tolist() == [False, False, True, False, False]


def test_a_row_without_a_score_may_be_named_diverged():
    surface, _ = surface_of(TABLES / "missing_none.csv.gz", diverged_where="batch_size == 2 and lr > 0.05")
    assert surface.unstable.sum() == 10 and np.isfinite(surface.scores).all()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"missing": "worst"}, "missing: got 'worst'; must be missing or diverged"),
        ({"diverged_above": 6}, "diverged_above: got 6; goes with a score to minimize; see diverged_below"),
        (
            {"diverged_below": 6, "direction": "minimize"},
            "diverged_below: got 6; goes with a score to maximize; see diverged_above",
        ),
        ({"diverged_above": "6", "direction": "minimize"}, "diverged_above: got '6'; must be a number"),
        ({"diverged_above": np.nan, "direction": "minimize"}, "diverged_above: got nan; must be a number"),
        ({"diverged_where": "acc <"}, "diverged_where: got 'acc <'; expected a number, a name, text or '('"),
        ({"diverged_where": "ac < 1"}, "diverged_where: got 'ac < 1'; there is no 'ac' (did you mean 'acc'?)"),
        ({"diverged_where": "acc"}, "diverged_where: got 'acc'; must be a condition"),
        ({"diverged_where": 3}, "diverged_where: got 3; must be an expression"),
        (
            {"where": "acc == 'high'"},
            "where: got \"acc == 'high'\"; '==' compares 'acc' of numbers with the text 'high'",
        ),
    ],
)
def test_a_wrong_option_is_one_line(changes, line):
    with pytest.raises(BatchlawError) as refusal:
        claim(TABLES / "diverged_nan.csv.gz", **(NAMES | changes))
    assert str(refusal.value).startswith(line) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"score": "lr", "lr": "lr"}, "score: got 'lr'; is named by lr, too"),
        ({"batch_size": "lr", "lr": "lr"}, "batch_size: got 'lr'; is named by lr, too"),
        ({"seed": "lr", "lr": "lr"}, "seed: got 'lr'; is named by lr, too"),
        ({"score": "acc,acc"}, "score: got 'acc'; is named by score, too"),
        ({"by": "seed"}, "by: got 'seed'; is named by seed, too"),
        ({"by": "net", "average": "net"}, "average: got 'net'; is named by by, too"),
    ],
)
def test_a_column_has_one_meaning(changes, line):
    with pytest.raises(BatchlawError) as refusal:
        claim(TABLES / "diverged_nan.csv.gz", **(NAMES | changes))
    assert str(refusal.value) == line


@pytest.mark.parametrize(
    "text", ["lr,batch_size,seed,acc", "lr,batch_size,seed,acc\n", "lr,batch_size,seed,acc\n,,,\n"]
)
def test_a_table_without_rows_is_refused(tmp_path, text):
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(DataError, match=r"data: runs.csv has no rows"):
        surface_of(tmp_path / "runs.csv")


def test_complex_numbers_are_no_scores():
    frame = sweep().assign(acc=1 + 2j)
    with pytest.raises(DataError, match=r"row 0 holds \(1\+2j\), not a number"):
        surface_of(frame)


def test_a_column_that_stands_twice_is_refused_if_it_is_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"score: got 'acc'; twice.csv.gz has several columns of this name"):
        claim(TABLES / "twice.csv.gz", **NAMES)
    with pytest.raises(DataError, match=r"column: got 'acc'; twice.csv.gz has several columns of this name"):
        claim(TABLES / "twice.csv.gz", score="seed", direction="maximize", where="acc > 0")
    (tmp_path / "others.csv").write_text(
        "lr,batch_size,seed,note,acc,note\n" + "\n".join(",".join([*row[:3], "", row[3], ""]) for row in sweep().values)
    )
    assert surface_of(tmp_path / "others.csv")[0].unstable.sum() == 10


def test_blanks_around_names_and_cells_are_no_part_of_them(tmp_path):
    lines = sweep().to_csv(index=False).splitlines()
    (tmp_path / "blanks.csv").write_text("\n".join(line.replace(",", " , ") for line in lines))
    expected = surface_of(TABLES / "diverged_nan.csv.gz")[0]
    for name in ("acc", " acc"):
        np.testing.assert_array_equal(surface_of(tmp_path / "blanks.csv", score=name)[0].scores, expected.scores)


def test_rows_without_anything_are_passed_over_and_others_are_told(tmp_path):
    text = sweep().to_csv(index=False)
    (tmp_path / "ends.csv").write_text(text + "\n\n,,,\n , , ,\n")
    np.testing.assert_array_equal(
        surface_of(tmp_path / "ends.csv")[0].scores, surface_of(TABLES / "diverged_nan.csv.gz")[0].scores
    )
    (tmp_path / "inside.csv").write_text(text.replace("\n", "\n\n", 1) + "0.1,x,0,1\n")
    notes = claim(tmp_path / "inside.csv").notes
    assert "1 row is left out: batch_size is 'x', which is no number" in notes


@pytest.mark.parametrize("text", ["", "NA", "none", " "])
def test_a_run_without_a_seed_is_refused_with_its_row(tmp_path, text):
    table = sweep()
    table.loc[7, "seed"] = text
    with pytest.raises(DataError, match=r"seed: got 'seed'; row 9 of runs.csv has no value there"):
        surface_of(written(tmp_path, table))


def test_rows_that_are_not_there_are_scores_that_are_missing():
    full = sweep().astype({"lr": float, "batch_size": int, "seed": int})
    full["acc"] = pd.to_numeric(full["acc"], errors="coerce").fillna(np.inf)
    expected = surface_of(full)[0]
    rows = (full["batch_size"] == 64) & (full["lr"] == 0.01) | (full.index == 7)
    surface, notes = surface_of(full[~rows])
    missing = np.isnan(surface.scores)
    assert missing.sum() == 6 and missing[1, 5].all() and missing[0, 1, 2]
    np.testing.assert_array_equal(surface.scores[~missing], expected.scores[~missing])
    assert notes[0].startswith("6 of 300 scores are missing")
    empty = surface_of(full.assign(acc=full["acc"].mask(rows)))[0]
    np.testing.assert_array_equal(surface.scores, empty.scores)


def test_too_few_levels_with_a_score_are_refused():
    frame = sweep().assign(acc=sweep()["acc"].where(sweep()["batch_size"].isin(["2", "4"]), ""))
    with pytest.raises(DataError, match="column 'batch_size' has too few levels, 2"):
        surface_of(frame)


def test_seeds_of_their_own_in_every_cell_are_not_paired():
    frame = sweep().assign(seed=np.random.default_rng(0).permutation(300).astype(str))
    surface, notes = surface_of(frame.drop(index=[0, 150]))
    assert not surface.paired and surface.n_replicates == 5 and surface.counts.min() == 4
    assert "the values of seed differ from cell to cell, so that runs are not paired" in notes


def test_rates_that_agree_to_rounding_are_one_level():
    found = claim(TABLES / "rates_drift.csv.gz", **NAMES)
    assert found.verdict == "supported" and found.slope == pytest.approx(1, abs=0.03)
    assert found.levels["value"].head(6).tolist() == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16] and found.notes == ()


@pytest.mark.parametrize("step", [1 + 2e-16, 1 - 2.2e-8, 1.000002, 1.019])
def test_rates_that_agree_to_two_percent_are_one_level(step):
    frame = sweep().astype({"lr": float})
    frame.loc[frame["seed"] == "0", "lr"] *= step  # the fewer of them: the level has the number of the others
    surface, notes = surface_of(frame)
    assert surface.given.tolist() == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16] and not np.isnan(surface.scores).any()
    said = [note for note in notes if note.startswith("learning rates that agree to 2% are one level, such as 0.005")]
    assert len(said) == (abs(step - 1) > 1e-6)


def test_rates_that_differ_by_more_are_levels_of_their_own():
    frame = sweep().astype({"lr": float, "seed": int})
    with pytest.raises(DataError, match="one score a cell"):
        surface_of(frame.assign(lr=frame["lr"] * 1.03 ** frame["seed"]))


def test_the_table_keeps_columns_it_was_not_asked_for(tmp_path):
    runs = read_runs(written(tmp_path, sweep().assign(net="a")), Columns.of(score="acc"))
    assert list(runs.table) == ["lr", "batch_size", "seed", "acc", "net"] and runs.table["acc"].dtype == float


def test_a_compressed_file_and_groups(tmp_path):
    both = pd.concat([sweep().assign(net="a"), sweep("missing_none").assign(net="b")])
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(both.to_csv(index=False).encode()))
    found = claim(path, **NAMES, by="net")
    assert found.notes == (
        "10 of 600 scores are missing (all with net = b and batch_size = 2 and lr >= 0.08)",
        "10 of 600 runs diverged (all with net = a and batch_size = 2 and lr >= 0.08)",
    )


def cliff():
    """Every run below the batch size 3200 × lr diverged; above it the accuracy falls slowly."""
    rows = [
        (lr, size, seed) for lr in 0.0025 * 2.0 ** np.arange(8) for size in 2.0 ** np.arange(2, 12) for seed in range(5)
    ]
    table = pd.DataFrame(rows, columns=["lr", "batch_size", "seed"])
    octaves = np.log2(table["batch_size"] / (3200 * table["lr"]))
    noise = 0.001 * np.random.default_rng(0).normal(size=len(table))
    return table.assign(acc=np.where(octaves < -0.01, np.inf, 0.95 - 0.01 * octaves + noise))


def test_the_best_batch_size_is_none_at_which_all_runs_diverged():
    levels = claim(cliff(), **NAMES).levels
    for row in levels[levels["given"] == "lr"].itertuples():
        best = 3200 * row.value
        if row.status == "identified":
            assert best / 2 < row.low <= best <= row.high and best / 2 < row.best
    assert (levels[levels["given"] == "lr"]["status"] == "identified").sum() >= 6


@pytest.mark.parametrize("missing", [False, True])
def test_the_best_rate_is_none_at_which_all_runs_diverged_and_no_law_predicts_one(missing):
    found = law(cliff().replace({"acc": {np.inf: np.nan}}) if missing else cliff(), **NAMES)
    for row in found.levels.itertuples():
        if row.status == "identified":
            assert row.best < 2 * row.batch_size / 3200 and row.high < 2 * row.batch_size / 3200
    if found.fitted:
        assert found.predict(batch_size=96).value <= 96 / 3200 * 1.05
