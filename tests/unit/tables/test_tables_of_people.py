"""Further tables as people write them, each with what is right about it."""

import io

import numpy as np
import pandas as pd
import pytest
from batchlaw import claim
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs

GRID = [(rate, size) for size in (16, 32, 64) for rate in (1e-3, 3e-3, 1e-2, 3e-2)]


def loss(rate, size):
    return round(0.3 + 0.06 * (np.log2(rate) + 6 - 0.5 * (np.log2(size) - 6)) ** 2, 4)


def read(folder, text, name="runs.csv"):
    (folder / name).write_text(text)
    return read_runs(folder / name, Columns.of())


def cells(found):
    columns = found.columns
    return found.table[[columns.lr, columns.batch_size, columns.score[0]]].to_numpy(float)


def lines(written, header="lr,batch size,val loss"):
    return header + "\n" + "".join(written(rate, size) for rate, size in GRID)


EXPECTED = np.array([(rate, size, loss(rate, size)) for rate, size in GRID])


@pytest.mark.parametrize(
    ("header", "factors"),
    [("lr (x1e-3),batch size", (1e3, 1)), ("lr [10^-3],batch size", (1e3, 1)), ("lr,batch size (k)", (1, 1e-3)),
     ("lr,batch (K tokens)", (1, 1e-3)), ("lr (× 10**-4),bs", (1e4, 1)), ("lr (1e-3),bs", (1, 1))],
)  # fmt: skip
def test_units_of_headers_are_heeded_and_said(tmp_path, header, factors):
    text = lines(lambda r, b: f"{r * factors[0]:g},{b * factors[1]:g},{loss(r, b)}\n", f"{header},val loss")
    found = read(tmp_path, text)
    np.testing.assert_allclose(cells(found), EXPECTED)
    assert any("are read in units of" in note for note in found.notes) is (factors != (1, 1))


@pytest.mark.parametrize("row", ["5e-4 / 1e-3,64,0.5\n", "Total runs,12,\n", "cosine,64,0.4\n", "0.1,a few,0.4\n"])
def test_a_row_without_one_rate_or_batch_size_is_left_out_and_named(tmp_path, row):
    found = read(tmp_path, lines(lambda r, b: f"{r:g},{b},{loss(r, b)}\n") + row)
    np.testing.assert_allclose(cells(found), EXPECTED)
    assert len(found.notes) == 1 and "which is no number" in found.notes[0]


def test_semicolons_beside_as_many_decimal_commas(tmp_path):
    text = lines(
        lambda r, b: f"{b};{r:.4f};{loss(r, b):.4f}\n".replace(".", ","), "Batchgröße;Lernrate;Verlust;Zeit [s]"
    )
    np.testing.assert_allclose(cells(read(tmp_path, text)), EXPECTED)


def test_of_two_costs_that_of_examples_is_taken_and_of_two_accuracies_the_first():
    def score(header):
        text = f"lr,bs,{header}\n0.1,32,1,2\n0.2,32,3,4\n"
        return read_runs(pd.read_csv(io.StringIO(text)), Columns.of()).columns.score

    assert score("time_to_train_minutes,epochs_to_converge") == ("epochs_to_converge",)
    assert score("Top-5 (%),Top-1 (%)") == ("Top-1 (%)",)


def test_the_metric_of_a_matrix_is_told_below_it_and_by_bold_cells_of_columns(tmp_path):
    below = (
        "lr,16,32,64\n" + "".join(f"{r:g},90,91,92\n" for r in (1e-3, 1e-2, 1e-1)) + "Accuracy on held-out data,,,\n"
    )
    assert read(tmp_path, below).columns.maximize
    page = (
        "| LR | BS=32 | BS=64 | BS=128 |\n|:-:|:-:|:-:|:-:|\n| 1e-4 | 88.1 | 87.0 | 85.9 |\n"
        "| 3e-4 | **91.2** | 90.4 | 89.0 |\n| 1e-3 | 90.0 | **91.0** | **90.8** |\n| 3e-3 | OOM | 84.2 | 88.7 |\n"
    )
    found = read(tmp_path, page, "page.md")
    assert found.columns.maximize and "by the cells in bold" in found.columns.recognised
    seen = claim(tmp_path / "page.md")
    assert seen.grade == "observed" and seen.observed.query("given == 'batch_size'")["best"].tolist() == [
        3e-4,
        1e-3,
        1e-3,
    ]
