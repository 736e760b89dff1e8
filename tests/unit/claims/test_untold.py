"""Tables that do not tell the learning rate, the batch size, or what a repeated run is."""

import io

import numpy as np
import pandas as pd
import pytest
from batchlaw import claim
from batchlaw.errors import DataError
from batchlaw.stats.pooling import pool_slopes
from batchlaw.stats.slope import Slope

CURVE = [(64, 46000), (128, 23000), (256, 13300), (512, 7000), (1024, 3840)]  # steps to a target loss
GRID = [(2.0**i, 2.0**j) for i in range(-8, 0) for j in range(2, 10)]  # the best batch size is 1024 × rate


def height(rate, size):
    return 1 + 0.1 * (np.log2(size / rate) - 10) ** 2


def of_seeds(*names, n=(3, 4)):
    """Runs whose seeds shift the score, and so do the parts of a seed, such as its folds."""
    draw = np.random.default_rng(0)
    rows = [
        (rate, size, seed, part, height(rate, size) + 0.05 * seed + 0.02 * part + 0.01 * draw.normal())
        for rate, size in GRID
        for seed in range(n[0])
        for part in range(n[1])
    ]
    return pd.DataFrame(rows, columns=["lr", "batch_size", *names, "val_loss"])


def test_without_a_learning_rate_the_cost_of_batch_sizes_is_told():
    rows = [(model, size, 3.0, steps * times) for model, times in (("85M", 1), ("151M", 2)) for size, steps in CURVE]
    found = claim(pd.DataFrame(rows, columns=["model", "batch_size", "target_loss", "steps"]))
    assert (found.grade, found.verdict, found.slope) == ("observed", "inconclusive", None)
    assert "no column tells the learning rate" in found.reason and "no column is called a learning rate" in found.read
    told = [sentence for sentence in found.sentences if sentence.startswith("steps")]
    assert len(told) == 2 and "46000 at B = 64" in " ".join(told) and "7680 at B = 1024" in " ".join(told)
    assert "in examples it takes 1.3 times as many" in found.sentences
    assert found.observed["best"].isna().all() and found.further.empty
    assert found.settles == "the learning rate of each run, in a column of its own"


def test_without_a_batch_size_the_best_rate_is_told_and_whether_it_lies_inside():
    found = claim(pd.DataFrame({"lr": [0.001, 0.01, 0.1], "val_acc": [0.91, 0.95, 0.93]}))
    assert found.grade == "observed" and "no column tells the batch size" in found.reason
    assert "the best rate lies inside the 3 tried" in found.sentences
    assert found.observed[["best", "score"]].to_numpy().tolist() == [[0.01, 0.95]]


def test_the_logarithm_of_a_rate_is_asked_about():
    with pytest.raises(DataError, match=r"'10 \*\* log_lr', if that is its logarithm"):
        claim(pd.DataFrame({"log_lr": [-3, -2, -1], "batch_size": 32, "val_acc": [0.91, 0.95, 0.93]}))


@pytest.mark.parametrize("names", [("seed", "fold"), ("data_seed", "init_seed"), ("seed", "repeat")])
def test_what_is_repeated_within_a_seed_is_one_replicate(names):
    found = claim(of_seeds(*names))
    assert (found.grade, found.verdict) == ("replicated", "supported")
    assert f"those of one {names[0]} are one replicate" in " ".join(found.notes)
    assert found.blocks[0][0][1][0].evidence.forward.surface.n_replicates == 3


def test_folds_alone_are_paired_replicates_and_it_is_said_what_they_share():
    found = claim(of_seeds("seed", "fold", n=(1, 4)).drop(columns="seed"))
    assert found.grade == "replicated" and "seed is fold (folds share training data" in found.read
    wide = of_seeds("seed", "fold", n=(1, 4)).pivot(index=["lr", "batch_size"], columns="fold", values="val_loss")
    wide = wide.add_prefix("acc_fold").reset_index()
    assert "score is acc_fold0 … acc_fold3 of 4 seeds" in claim(wide).read


@pytest.mark.parametrize("written", ["[{0}, {1}]", "[{0} {1}]", "({0}, {1})", "[np.float64({0}), np.float64({1})]"])
def test_lists_of_scores_are_seeds_unless_they_go_one_way(tmp_path, written):
    draw = np.random.default_rng(0)
    for fall, grade in ((0.0, "replicated"), (0.5, "fitted")):
        cells = [
            (rate, size, written.format(*np.round(height(rate, size) + 0.05 * draw.normal(size=2) + [fall, 0], 4)))
            for rate, size in GRID
        ]
        pd.DataFrame(cells, columns=["lr", "batch_size", "val_loss"]).to_csv(tmp_path / "runs.csv", index=False)
        found = claim(tmp_path / "runs.csv")
        assert found.grade == grade
        assert any("of each the last epoch with a score counts" in note for note in found.notes) is (grade == "fitted")


@pytest.mark.parametrize(
    ("cells", "line"),
    [(("", ""), "column 'acc' of .*: no cell holds a score"), (("x", "y"), "column 'acc' of .*: it holds 'x', not a")],
)
def test_a_score_column_without_a_number_is_named(monkeypatch, cells, line):
    text = "lr,bs,acc\n" + "".join(f"0.1,{16 * 2**k},{cell}\n" for k, cell in enumerate(cells))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(DataError, match=line):
        claim("-")


def test_slopes_that_are_only_bounded_widen_a_mean_and_are_not_left_out():
    known = [Slope.between(0.1, 0.3, 0.05), Slope.between(0.0, 0.2, 0.05), Slope.between(0.05, 0.25, 0.05)]
    open_ = [Slope.between(0.0, 1.4, 0.05, bounded=True) for _ in range(3)]
    alone, together = pool_slopes(known), pool_slopes([*known, *open_])
    assert alone.ci_high < 0.75 < together.ci_high and together.ci_low < alone.ci_low
    assert (alone.n_bounded, together.n_bounded, together.n_groups) == (0, 3, 6)
