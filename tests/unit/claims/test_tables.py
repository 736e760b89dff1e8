"""CSV files of results made elsewhere."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims.evidence import gather
from batchlaw.claims.tables import surfaces
from batchlaw.claims.verdict import judge
from batchlaw.errors import BatchlawError, DataError
from batchlaw.tables.columns import Columns

from tests.unit.stats.conftest import planted

HPOBENCH = Path(__file__).parents[2] / "data" / "hpobench"


def columns(**changes):
    return Columns.of(**({"lr": "lr", "batch_size": "batch", "score": "score"} | changes))


def table_of(surface):
    """A row a run."""
    rows = [
        {"lr": lr, "batch": batch, "seed": seed, "score": surface.scores[i, j, seed]}
        for i, lr in enumerate(surface.given)
        for j, batch in enumerate(surface.tuned)
        for seed in range(surface.n_replicates)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def table():
    return table_of(planted(1.0, seeds=3, n_given=6, n_tuned=7)[0])


def read(folder, table, **changes):
    path = folder / "results.csv"
    table.to_csv(path, index=False)
    return [surface for _, surface in surfaces(path, columns(**changes))[0]]


def test_what_was_written_is_read_whatever_the_order_of_rows(tmp_path, table):
    expected = planted(1.0, seeds=3, n_given=6, n_tuned=7)[0]
    for order in (table, table.sample(frac=1, random_state=0)):
        (found,) = read(tmp_path, order, seed="seed")
        np.testing.assert_allclose(found.scores, expected.scores)
        assert found.paired and (found.given == expected.given).all() and (found.tuned == expected.tuned).all()


@pytest.mark.parametrize("seed", [None, "seed"])
def test_the_verdict_does_not_depend_on_the_order_of_rows(tmp_path, table, seed):
    records = [
        gather(read(tmp_path, order, seed=seed)[0]).as_dict()
        for order in (table, table.sample(frac=1, random_state=0), table.iloc[::-1])
    ]
    assert records[0] == records[1] == records[2]


def test_repeated_rows_are_paired_only_where_a_column_names_their_seed(tmp_path, table):
    assert read(tmp_path, table)[0].paired
    assert not read(tmp_path, table.rename(columns={"seed": "unnamed"}))[0].paired
    wide = table.pivot(index=["lr", "batch"], columns="seed", values="score").reset_index()
    wide.columns = ["lr", "batch", "s0", "s1", "s2"]
    (found,) = read(tmp_path, wide, score="s0, s1, s2", direction="maximize")
    assert found.paired and found.n_replicates == 3


def test_losses_are_turned_around(tmp_path, table):
    (up,) = read(tmp_path, table, seed="seed")
    (down,) = read(tmp_path, table, seed="seed", direction="minimize")
    np.testing.assert_allclose(up.scores, -down.scores)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_nan_and_infinity_are_divergence_with_the_worst_finite_score(tmp_path, table, text):
    worst = table["score"].min()
    table = table.astype({"score": object})
    table.loc[(table["lr"] == table["lr"][0]) & (table["batch"] == 2.0) & (table["seed"] == 1), "score"] = text
    (found,) = read(tmp_path, table, seed="seed")
    assert found.unstable.sum() == 1 and found.unstable[0, 0, 1] and found.scores[0, 0, 1] == pytest.approx(worst)


def test_gzip_groups_and_where(tmp_path, table):
    both = pd.concat([table.assign(net="a"), table.assign(net="b"), table.assign(net="c", score=np.nan)])
    path = tmp_path / "results.csv.gz"
    path.write_bytes(gzip.compress(both.to_csv(index=False).encode()))
    found, _ = surfaces(path, columns(by="net", seed="seed", where="net != 'c' and batch <= 64"))
    assert [name for name, _ in found] == [{"net": "a"}, {"net": "b"}]
    assert found[0][1].tuned[-1] == 64


def drop(name):
    return lambda table: table.drop(columns=name)


BAD = [
    # what is done to the table, options, what the line must hold
    (drop("score"), {}, ["score: got 'score'", "no such column", "lr, batch, seed"]),
    (drop("lr"), {}, ["lr: got 'lr'"]),
    (lambda t: t.rename(columns={"batch": "batch_size"}), {}, ["batch_size: got 'batch'", "did you mean 'batch_size'"]),
    (lambda t: t, {"seed": "sed"}, ["seed: got 'sed'", "did you mean 'seed'"]),
    (lambda t: t, {"by": ["net"]}, ["by: got 'net'"]),
    (
        lambda t: t.assign(score=t["score"].astype(object).where(t.index != 7, "good")),
        {},
        ["'score'", "row 9", "'good'"],
    ),
    (lambda t: t.assign(lr=t["lr"].where(t.index != 3, 0.0)), {}, ["'lr'", "row 5", "above 0"]),
    (lambda t: t.assign(batch=t["batch"].where(t.index != 3, -2.0)), {}, ["'batch'", "row 5", "above 0"]),
    (lambda t: t[t["lr"] == t["lr"][0]], {}, ["'lr'", "too few levels, 1"]),
    (lambda t: t[t["batch"] < 8], {}, ["'batch'", "too few levels, 2"]),
    (lambda t: t[t["seed"] == 0], {}, ["one score a cell", "replicates"]),
    (lambda t: t.drop(index=[0]).rename(columns={"seed": "unnamed"}), {}, ["2 to 3 rows", "batch = 2", "see seed"]),
    (lambda t: t.assign(seed=0), {"seed": "seed"}, ["seed: got 'seed'", "3 have lr", "does not tell"]),
    (lambda t: t.assign(score=np.nan), {}, ["no score is a finite number"]),
    (lambda t: t.assign(score=np.inf), {}, ["no score is a finite number"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "options", "words"), BAD)
def test_a_bad_file_is_one_line(tmp_path, table, change, options, words):
    with pytest.raises(DataError) as refusal:
        read(tmp_path, change(table), **options)
    line = str(refusal.value)
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("where", "word"), [("batch >", "batch >"), ("nothing == 1", "nothing"), ("batch > 1e9", "no row")]
)
def test_a_bad_expression_is_one_line(tmp_path, table, where, word):
    with pytest.raises(BatchlawError, match="where: got") as refusal:
        read(tmp_path, table, where=where)
    assert word in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2,3\n4\n"])
def test_what_is_no_table_is_one_line(tmp_path, content):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as refusal:
        surfaces(path, columns())
    assert "\n" not in str(refusal.value)
    with pytest.raises(DataError, match="No such file"):
        surfaces(tmp_path / "none.csv", columns())


# Slopes of log of the best learning rate on log batch size, from the same rows without intervals, computed apart from
# this project.
REFERENCE = [("australian", 0.44), ("car", 0.56), ("credit_g", 0.60), ("kc1", 0.40)]


@pytest.mark.parametrize(("name", "reference"), REFERENCE)
def test_published_grids(name, reference):
    """HPOBench: reverse slopes that the reference does not contradict; B_opt(ε) lies at the edges, and has no slope."""
    chosen = columns(
        lr="learning_rate_init", batch_size="batch_size", score=[f"acc_s{seed}" for seed in range(5)],
        average=["width", "alpha"],
    )  # fmt: skip
    ((_, surface),), _ = surfaces(HPOBENCH / f"{name}.csv.gz", chosen)
    forward, reverse = judge(gather(surface), ["H9", "H6"])
    assert forward.verdict == "inconclusive" and forward.slope is None
    assert forward.side.ridge.identified.sum() < 4
    censored = sum(status.endswith("censored") for status in forward.side.ridge.status)
    assert censored >= 6
    assert reverse.slope is None or reverse.slope.ci_low <= reference <= reverse.slope.ci_high
    assert reverse.verdict in ("refuted", "inconclusive")
    if reverse.verdict == "inconclusive":  # rates 1.85 octaves apart tell a best one to within 3.7 at best
        assert "learning rates 1 octave apart" in reverse.settle and "runs of each cell" not in reverse.settle


def test_five_batch_sizes_with_a_planted_slope_of_a_half_do_not_support_proportion():
    chosen = columns(batch_size="batch_size", score="loss", seed="seed", direction="minimize")
    ((_, surface),), _ = surfaces(Path(__file__).parents[2] / "data" / "tables" / "five_batch_sizes.csv.gz", chosen)
    finding = judge(gather(surface), ["H9"])[0]
    assert finding.verdict == "refuted" and finding.slope.ci_low < 0.5 < finding.slope.ci_high


def test_four_batch_sizes_are_not_enough_for_a_slope():
    surface, _ = planted(1.0, noise=0.05, n_given=6, n_tuned=4)
    finding = judge(gather(surface), ["H9"])[0]
    assert finding.verdict == "inconclusive" and "4 levels over 3.0 octaves" in finding.reason
