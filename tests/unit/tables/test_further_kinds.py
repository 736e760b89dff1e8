"""Kinds of tables that were tried after the others: where the scores, the rates and the runs of each stand."""

import json

import numpy as np
import pandas as pd
import pytest
from batchlaw import claim, recommend
from batchlaw.errors import BatchlawError
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs

CELLS = [(rate, size) for rate in (1e-3, 3e-3, 1e-2, 3e-2) for size in (16, 32, 64)]


def loss(rate, size):
    return round(0.3 + 0.06 * (np.log2(rate) + 6 - 0.5 * (np.log2(size) - 6)) ** 2, 4)


EXPECTED = np.array([(rate, size, loss(rate, size)) for rate, size in CELLS])
LOG = "".join(f"[10:00:00] lr: {rate:g}, batch_size: {size}, val_loss: {loss(rate, size)}\n" for rate, size in CELLS)
YAML = "".join(f"- lr: {rate:g}\n  bs: {size}\n  val_loss: {loss(rate, size)}\n" for rate, size in CELLS)
NAMES = "run,val_loss\n" + "".join(f"resnet18_lr{rate:g}_bs{size},{loss(rate, size)}\n" for rate, size in CELLS)
TURNED = "\n".join(
    [
        "run," + ",".join(f"run {place}" for place in range(len(CELLS))),
        "lr," + ",".join(f"{rate:g}" for rate, _ in CELLS),
        "batch size," + ",".join(str(size) for _, size in CELLS),
        "val loss," + ",".join(str(loss(*cell)) for cell in CELLS),
    ]
)
GROUPED = ",batch 16,,batch 32,,batch 64,\nlr" + ",train loss,val loss" * 3 + "\n"
GROUPED += "".join(
    f"{rate:g}" + "".join(f",0.1,{loss(rate, size)}" for size in (16, 32, 64)) + "\n"
    for rate in (1e-3, 3e-3, 1e-2, 3e-2)
)
LATEX = (
    r"\begin{table}\caption{Validation loss, \textbf{best} in bold}\begin{tabular}{l|*{3}c}\toprule LR & $B{=}16$ & "
    + r"$B{=}32$ & $B{=}64$ \\ \midrule"
    + "".join(
        f"${rate:g}$ & " + " & ".join(rf"\textbf{{{loss(rate, size)}}}" for size in (16, 32, 64)) + r" \\" + "\n"
        for rate in (1e-3, 3e-3, 1e-2, 3e-2)
    )
    + r"\bottomrule\end{tabular}\end{table}"
)
PRODUCTS = "lr,batch,val_loss\n" + "".join(f"{rate:g},{size // 8}x8,{loss(rate, size)}\n" for rate, size in CELLS)
LOGS = "log10_lr,log2_bs,val_loss\n" + "".join(f"{np.log10(r)},{np.log2(b):g},{loss(r, b)}\n" for r, b in CELLS)
SPLITS = "lr,bs,split,loss\n" + "".join(f"{r:g},{b},train,0.1\n{r:g},{b},val,{loss(r, b)}\n" for r, b in CELLS)
METRICS = "lr,bs,metric,value\n" + "".join(
    f"{r:g},{b},train_loss,0.1\n{r:g},{b},val_loss,{loss(r, b)}\n{r:g},{b},val_acc,90\n" for r, b in CELLS
)
TWO = "lr,bs,train/val loss\n" + "".join(f"{r:g},{b},0.1 / {loss(r, b)}\n" for r, b in CELLS)
FRENCH = "Taux d'apprentissage;Taille de lot;Perte\n" + "".join(f"{r:g};{b};{loss(r, b)}\n" for r, b in CELLS)
COMET = "lr,bs,val_loss (MIN),val_loss (LAST)\n" + "".join(f"{r:g},{b},0.1,{loss(r, b)}\n" for r, b in CELLS)
EPOCHS = "lr,bs,val_loss_epoch1,val_loss_epoch10,val_loss_epoch5\n" + "".join(
    f"{r:g},{b},3,{loss(r, b)},1\n" for r, b in CELLS
)
READ = {
    # the text of a file, and what is said of it
    "log": (LOG, ""),
    "yaml": (YAML, ""),
    "names of runs": (NAMES, "bs and lr are read from the column 'run'"),
    "a column is a run": (TURNED, ""),
    "two rows of headers": (GROUPED, ""),
    "latex": (LATEX, ""),
    "devices": (PRODUCTS, "batch is read as a product, such as 2x8"),
    "logarithms": (LOGS, ""),
    "splits": (SPLITS, "12 rows are left out: of the levels of split val counts; --where chooses another"),
    "metrics": (METRICS, "24 rows are left out: of the levels of metric val_loss counts; --where chooses another"),
    "two scores in a cell": (TWO, ""),
    "French": (FRENCH, ""),
    "last and best": (COMET, ""),
    "a column an epoch": (EPOCHS, ""),
}


def cells(found):
    columns = found.columns
    rows = found.table[[columns.lr, columns.batch_size, columns.score[0]]].astype(float)
    return rows.sort_values(list(rows.columns[:2])).to_numpy()


@pytest.mark.parametrize("name", READ)
def test_a_table_of_another_kind_is_read_right(tmp_path, name):
    text, note = READ[name]
    path = tmp_path / ("runs.yaml" if name == "yaml" else "runs")
    path.write_text(text)
    found = read_runs(path, Columns.of())
    np.testing.assert_allclose(cells(found), EXPECTED)
    assert not found.columns.maximize and len(found.columns.score) == 1
    assert found.notes == ((note,) if note else ())


TRAPS = [
    # columns of scores that are no seeds, and the one that counts
    (["bleu_1", "bleu_2", "bleu_3", "bleu_4"], "bleu_4"),
    (["recall_5", "recall_10", "recall_20"], "recall_20"),
    (["acc_50", "acc_100", "acc_200"], "acc_200"),
    (["loss_1k", "loss_2k", "loss_4k"], "loss_4k"),
    (["acc_1", "acc_2", "acc_3"], "acc_3"),  # they rise in every row, as those of epochs do
]


@pytest.mark.parametrize(("scores", "counts"), TRAPS)
def test_columns_that_differ_by_a_number_are_no_seeds_where_it_counts_something_else(scores, counts):
    rows = [(*cell, *(place + loss(*cell) for place in range(len(scores)))) for cell in CELLS]
    found = read_runs(pd.DataFrame(rows, columns=["lr", "bs", *scores]), Columns.of()).columns
    assert found.score == (counts,)
    assert all(name in found.recognised for name in scores if name != counts)


def test_columns_of_seeds_without_a_word_for_them_are_seeds():
    noise = np.random.default_rng(0).normal(0, 0.01, (len(CELLS), 3))
    rows = [(*cell, *(loss(*cell) + own)) for cell, own in zip(CELLS, noise, strict=True)]
    table = pd.DataFrame(rows, columns=["lr", "bs", "loss_1", "loss_2", "loss_3"])
    assert read_runs(table, Columns.of()).columns.score == ("loss_1", "loss_2", "loss_3")


def test_two_scores_in_a_cell_that_nothing_names_are_asked_about_and_fractions_are_numbers(tmp_path):
    two = "".join(f"{r:g},{b},{93 + loss(r, b)} / {90 + loss(r, b)}\n" for r, b in CELLS)
    (tmp_path / "runs.csv").write_text("lr,bs,accuracy\n" + two)
    with pytest.raises(BatchlawError, match=r"accuracy \(first of two\), accuracy \(second of two\)"):
        read_runs(tmp_path / "runs.csv", Columns.of())
    (tmp_path / "runs.csv").write_text("lr,bs,accuracy\n" + "".join(f"{r:g},{b},{b}/100\n" for r, b in CELLS))
    found = read_runs(tmp_path / "runs.csv", Columns.of())
    assert set(found.table["accuracy"].astype(float)) == {0.16, 0.32, 0.64}


def test_a_rate_that_decays_within_a_run_is_that_of_its_peak_and_rows_of_training_are_no_epochs():
    rows = []
    for rate, size in CELLS:
        for epoch in range(3):
            shared = (f"{rate}-{size}", epoch, rate / 2**epoch, size)
            rows += [(*shared, "0.1", ""), (*shared, "", str(loss(rate, size) + 2 - epoch))]
    table = pd.DataFrame(rows, columns=["run", "epoch", "lr", "batch_size", "loss", "eval_loss"])
    found = read_runs(table, Columns.of())
    np.testing.assert_allclose(cells(found), EXPECTED)
    assert found.notes == (
        "72 rows are those of 12 runs; of each the last epoch with a score counts",
        "lr changes within 12 runs: the largest of each counts, the peak",
    )


def test_a_deviation_of_as_many_seeds_as_the_name_of_the_score_says():
    name = "Test acc. (mean±std, 4 seeds)"
    found = read_runs(pd.DataFrame([(*cell, "90.1±0.4") for cell in CELLS], columns=["lr", "bs", name]), Columns.of())
    assert (found.error, found.n_seeds, found.columns.maximize) == (None, 4, True)
    assert found.table[f"{name} std"].tolist() == [0.4] * 12


def test_a_base_rate_is_told_from_the_rate_that_runs_had():
    table = pd.DataFrame([(*cell, loss(*cell)) for cell in CELLS], columns=["base_lr", "bs", "loss"])
    told = read_runs(table, Columns.of()).columns.recognised
    assert "base_lr may be scaled by a rule before it is used: then --lr 'base_lr * sqrt(bs / 128)' or the like" in told
    assert "scaled" not in read_runs(table, Columns.of(lr="base_lr * sqrt(bs / 128)")).columns.recognised


def test_where_all_scores_are_the_same_no_level_is_the_best():
    table = pd.DataFrame([(*cell, 0.1) for cell in CELLS], columns=["lr", "batch_size", "acc"])
    found = claim(table)
    assert found.grade == "observed" and found.observed["best"].isna().all()
    assert not any("lies at an edge" in told or "lies inside" in told for told in found.sentences)
    assert "0.1 is the score at each of batch sizes 16, 32, 64" in recommend(table).lines()


def test_of_equal_scores_the_level_nearest_the_middle_is_the_best():
    table = pd.DataFrame({"lr": [0.01, 0.02, 0.04, 0.08], "batch_size": 32, "acc": [0.9, 0.9, 0.8, 0.7]})
    (best,) = claim(table).observed.query("given == 'batch_size'").to_dict("records")
    assert (best["best"], best["edge"]) == (0.02, None)


FOLDERS = {
    "Keras Tuner": {
        "trial.json": lambda r, b: json.dumps(
            {
                "hyperparameters": {"space": [], "values": {"learning_rate": r, "batch_size": b}},
                "metrics": {"metrics": {"val_loss": {"direction": "min"}}}, "score": loss(r, b), "status": "COMPLETED",
            }
        )
    },
    "Sacred": {
        "config.json": lambda r, b: json.dumps({"lr": r, "batch_size": b}),
        "metrics.json": lambda r, b: json.dumps({"val_loss": loss(r, b)}),
    },
    "Ray Tune": {
        "params.json": lambda r, b: json.dumps({"lr": r, "batch_size": b}),
        "result.json": lambda r, b: "\n".join(
            json.dumps({"training_iteration": k, "val_loss": loss(r, b) + 2 - k}) for k in (1, 2)
        ),
    },
    "Lightning": {
        "hparams.yaml": lambda r, b: f"lr: {r}\nbatch_size: {b}\n",
        "metrics.csv": lambda r, b: f"epoch,train_loss,val_loss\n0,0.5,\n0,,{loss(r, b) + 1}\n1,,{loss(r, b)}\n",
    },
    "Hydra": {
        ".hydra/config.yaml": lambda r, b: f"optimizer:\n  lr: {r}\nbatch_size: {b}\n",
        ".hydra/hydra.yaml": lambda r, b: "hydra:\n  job:\n    lr: 7\n",
        "results.json": lambda r, b: json.dumps({"val_loss": loss(r, b)}),
    },
}  # fmt: skip


@pytest.mark.parametrize("tool", FOLDERS)
def test_a_folder_with_a_folder_for_each_run_is_read(tmp_path, tool):
    for place, cell in enumerate(CELLS):
        for name, write in FOLDERS[tool].items():
            file = tmp_path / "runs" / "a" / str(place) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(write(*cell))
    asked = {"direction": "minimize"} if tool == "Keras Tuner" else {}  # its score has no name
    found = read_runs(tmp_path / "runs", Columns.of(**asked))
    np.testing.assert_allclose(cells(found), EXPECTED)


def test_a_folder_of_nothing_that_is_known_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.bin").write_bytes(b"0")
    with pytest.raises(BatchlawError, match="the folder has neither TensorBoard runs nor tables"):
        read_runs(tmp_path, Columns.of())
