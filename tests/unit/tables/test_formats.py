"""Files in every format, of the same sweep; and pages with several tables."""

import gzip
import io
import json
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims.table_claim import claim
from batchlaw.errors import BatchlawError, DataError
from batchlaw.tables.columns import Columns
from batchlaw.tables.grid import shown_cells
from batchlaw.tables.reading import read_runs

from tests.unit.claims.test_missing import TABLES

EXPORTS = TABLES.parent / "exports"


@pytest.fixture
def sweep():
    """Four rates, five batch sizes, two seeds; thousandths and batch sizes above 1,000."""
    cells = [
        (2.0**-power, size, seed) for power in (4, 6, 8, 10) for size in (256, 512, 1024, 2048, 4096) for seed in (0, 1)
    ]
    table = pd.DataFrame(cells, columns=["lr", "batch_size", "seed"])
    return table.assign(val_loss=np.round(1 + np.abs(np.log2(table["lr"]) + 7) / 7 + table["seed"] / 64, 6))


def read(data, **options):
    return read_runs(data, Columns.of(**options))


def same(found, sweep, order=("lr", "batch_size", "seed")):
    """Whether what was read is the sweep."""
    columns = found.columns
    table = found.table[[columns.lr, columns.batch_size, columns.seed, columns.score[0]]].astype(float)
    table.columns = sweep.columns
    ordered = [part.sort_values([*order]).reset_index(drop=True) for part in (table, sweep.astype(float))]
    pd.testing.assert_frame_equal(*ordered, rtol=1e-12, check_column_type=False)
    return not columns.maximize


def csv(table, **options):
    return table.to_csv(index=False, **options)


def german(table):
    return csv(table, sep=";", decimal=",", lineterminator="\r\n")


def thousands(table):
    return csv(table.assign(batch_size=table["batch_size"].map("{:,}".format)))


TEXTS = {
    "comma": csv,
    "tab": lambda t: csv(t, sep="\t"),
    "bar": lambda t: csv(t, sep="|"),
    "german": german,
    "sep line": lambda t: "sep=;\r\n" + german(t),
    "thousands": thousands,
    "quoted": lambda t: csv(t, quoting=1),
    "spaces": lambda t: csv(t).replace(",", ", "),
    "empty rows": lambda t: "\n\n" + csv(t).replace("\n", "\n,,,\n", 1) + ",,,\n , , ,\n\n",
    "title": lambda t: "Sweep of March,,,\n" + csv(t),
    "powers": lambda t: csv(t.assign(lr=np.log2(t["lr"]).map("2^{:.0f}".format))),
    "float32": lambda t: csv(t.assign(lr=t["lr"].astype(np.float32))),
    "emphasis": lambda t: csv(t.assign(val_loss=t["val_loss"].map("**{}**".format))),
    "json lines": lambda t: t.to_json(orient="records", lines=True),
    "json records": lambda t: t.to_json(orient="records", indent=1),
    "json columns": lambda t: t.to_json(),
    "json split": lambda t: t.to_json(orient="split"),
    "json lists": lambda t: t.to_json(orient="columns") and json.dumps(t.to_dict("list")),
    "json nested": lambda t: json.dumps(
        {
            "runs": [
                {
                    "config": {"optimizer": {"lr": row.lr}, "batch_size": row.batch_size},
                    "seed": row.seed,
                    "val_loss": row.val_loss,
                }
                for row in t.itertuples()
            ]
        }
    ),
    "json lists of runs": lambda t: json.dumps(
        [
            {"lr": lr, "batch_size": int(size), "runs": part[["seed", "val_loss"]].to_dict("records")}
            for (lr, size), part in t.groupby(["lr", "batch_size"])
        ]
    ),
    "json by name": lambda t: json.dumps({f"run-{i}": row for i, row in enumerate(t.to_dict("records"))}),
    "markdown": lambda t: (
        "# Runs\n\n"
        + "\n".join(
            ["| lr | batch_size | seed | val_loss |", "|---|--:|:-:|---|"]
            + [
                f"| `2^{np.log2(row.lr):.0f}` | {row.batch_size:,} | {row.seed} | **{row.val_loss}** |"
                for row in t.itertuples()
            ]
        )
        + "\n\nthe end"
    ),
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_of_any_kind_is_the_same_sweep(tmp_path, sweep, name):
    path = tmp_path / ("page.md" if name == "markdown" else "runs.json" if "json" in name else "runs.csv")
    path.write_text(TEXTS[name](sweep))
    assert same(read(path), sweep)
    (tmp_path / "no_ending").write_text(TEXTS[name](sweep))
    assert same(read(tmp_path / "no_ending"), sweep)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding_and_packing(tmp_path, sweep, encoding):
    named = sweep.rename(columns={"val_loss": "val_loss (größe)"})
    content = csv(named).encode(encoding)
    for name, written in (("a.csv", content), ("a.csv.gz", gzip.compress(content)), ("b", gzip.compress(content))):
        (tmp_path / name).write_bytes(written)
        found = read(tmp_path / name)
        assert same(found, sweep) and found.columns.score == ("val_loss (größe)",)
    with zipfile.ZipFile(tmp_path / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", content)
    assert same(read(tmp_path / "results.csv.zip"), sweep)


def test_parquet_excel_frames_and_standard_input(tmp_path, sweep, monkeypatch):
    sweep.to_parquet(tmp_path / "runs.parquet")
    sweep.to_excel(tmp_path / "runs.xlsx", index=False)
    before = sweep.copy()
    for data in (tmp_path / "runs.parquet", tmp_path / "runs.xlsx", sweep):
        assert same(read(data), sweep)
    pd.testing.assert_frame_equal(sweep, before)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(csv(sweep).encode())))
    assert same(read("-"), sweep)


@pytest.mark.parametrize("name", ["runs.xlsx", "runs.parquet"])
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes((EXPORTS / name.replace("runs.xlsx", "excel.xlsx")).read_bytes())
    for module in ("openpyxl", "pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=r"needs (openpyxl|pyarrow): pip install 'batchlaw\[tables\]'"):
        read(tmp_path / name)


def matrices(sweep):
    """The means over seeds, rates down and batch sizes across; and turned around."""
    down = sweep.groupby(["lr", "batch_size"])["val_loss"].mean().unstack()
    return down, down.T


HEADS = [
    # what stands in the corner, whether rates go down, how the other levels are written
    ("lr", True, "{}"),
    ("batch", False, "{}"),
    ("lr \\ bs", True, "{}"),
    ("B/lr", False, "{}"),
    ("", True, "{}"),
    ("", False, "{}"),
    ("learning rate", True, "B={}"),
    ("batch size", False, "lr={}"),
    ("rows", True, "bs {}"),
]


@pytest.mark.parametrize(("corner", "rates_down", "written"), HEADS)
def test_a_matrix_of_rates_and_batch_sizes(tmp_path, sweep, corner, rates_down, written):
    down, across = matrices(sweep)
    matrix = down if rates_down else across
    matrix.columns = [written.format(level) for level in matrix.columns]
    matrix.index.name = corner
    path = tmp_path / "val_loss.csv"
    matrix.reset_index(names=corner).to_csv(path, index=False)
    found = read(path)
    columns = found.columns
    assert not columns.maximize and len(found.table) == 20
    means = sweep.groupby(["lr", "batch_size"])["val_loss"].mean()
    for row in found.table[[columns.lr, columns.batch_size, columns.score[0]]].itertuples(index=False):
        assert row[2] == pytest.approx(means[row[0], row[1]])


def test_a_pivoted_frame_is_a_matrix(sweep):
    for matrix in matrices(sweep):
        found = read(matrix, direction="minimize")
        assert len(found.table) == 20 and sorted(set(found.table[found.columns.batch_size])) == [
            256,
            512,
            1024,
            2048,
            4096,
        ]


PAGE = """# Learning rates

Validation loss, lower is better.

| term | meaning |
|---|---|
| lr | learning rate |

```
| batch | 1e-3 | 1e-2 |
|---|---|---|
```

## Small

| batch | steps | 2^-6 | 2^-7 | 2^-8 |
|---|--:|--:|--:|--:|
| 32 | 9,143 | 4.1081 | 4.1274 | **4.0664** |
| 64 | 4,571 | 4.1106 | **4.0641** | OOM |
| 128 | 2,286 | — | 4.1469 | **4.0143** |
"""
LARGE = """
## Large

| batch | 2^-6 | 2^-7 |
|---|--:|--:|
| 32 | 3.1 | **3.0** |
| 64 | **2.9** | pending |
"""


def test_of_a_page_the_table_with_a_rate_and_a_batch_size_is_read_and_said(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    found = read(tmp_path / "page.md")
    assert found.notes[0] == "of 2 tables of page.md this is read: 2 (Small)"
    assert found.notes[1] == "in place of scores stand OOM (1): missing"
    assert "smaller is better, by the cells in bold" in found.columns.recognised
    assert found.table["lr"].tolist() == [2**-6] * 3 + [2**-7] * 3 + [2**-8] * 3
    scores = found.table[found.columns.score[0]].to_numpy()
    np.testing.assert_array_equal(scores, [4.1081, 4.1106, np.nan, 4.1274, 4.0641, 4.1469, 4.0664, np.nan, 4.0143])
    told = shown_cells(found)
    assert told.loc["0.00391"].tolist() == ["4.066 (1)", "1 missing", "4.014 (1)"]
    (tmp_path / "plain.md").write_text(PAGE.replace("**", ""))
    assert "smaller is better, by the word 'loss' before the table" in read(tmp_path / "plain.md").columns.recognised


def test_of_several_tables_that_fit_the_largest_is_read_and_the_others_are_named(tmp_path):
    (tmp_path / "page.md").write_text(PAGE + LARGE)
    found = read(tmp_path / "page.md")
    line = "of 3 tables of page.md this is read: 2 (Small); --table reads another that fits, or several with commas: "
    assert len(found.table) == 9 and found.notes[0] == line + "3 (Large)"
    assert len(read(tmp_path / "page.md", table=3).table) == 4
    both = read(tmp_path / "page.md", table="2,3")
    assert both.table["table"].value_counts().to_dict() == {"Small": 9, "Large": 4}
    with pytest.raises(DataError, match=r"table: got 4; page.md has 3 tables"):
        read(tmp_path / "page.md", table=4)
    with pytest.raises(BatchlawError, match="table: got 'x'; must be a number from 1"):
        read(tmp_path / "page.md", table="x")


def test_several_files_are_one_table_that_knows_their_paths(tmp_path, sweep):
    files = []
    for seed, part in sweep.groupby("seed"):
        files.append(tmp_path / f"seed{seed}.csv")
        part.to_csv(files[-1], index=False)
    found = read(files)
    assert same(found, sweep) and set(found.table["path"]) == set(map(str, files))
    assert found.notes == ("2 files are read as one table",)
    assert same(read(tmp_path), sweep)  # a folder of files


EPOCHS = [1, 2, 3]


@pytest.mark.parametrize("named", [True, False])
def test_rows_of_epochs_are_reduced_to_a_run_and_said(sweep, named):
    parts = []
    for epoch in EPOCHS:
        worse = sweep["val_loss"] + {1: 1, 2: 0, 3: 0.5}[epoch]
        parts.append(sweep.assign(epoch=epoch, val_loss=worse))
    table = pd.concat(parts).sample(frac=1, random_state=0)
    if named:
        table["run_id"] = table.groupby(["lr", "batch_size", "seed"]).ngroup().map("r{}".format)
    found = read(table)
    assert found.notes == ("120 rows are those of 40 runs; of each the last epoch with a score counts",)
    assert same(found, sweep.assign(val_loss=sweep["val_loss"] + 0.5))
    best = read(table, epochs="best")
    assert same(best, sweep) and "of each the best epoch" in best.notes[0]
    lost = table.assign(val_loss=table["val_loss"].where(table["epoch"] < 3))  # nothing was written at the end
    assert same(read(lost), sweep)


def test_a_number_of_epochs_that_was_chosen_is_no_epoch(sweep):
    table = pd.concat([sweep.assign(epochs=10), sweep.assign(epochs=20)])
    assert len(read(table).table) == 80


def test_rows_without_a_place_are_left_out_and_counted(sweep):
    table = sweep.astype({"batch_size": float})
    table.loc[[3, 7], "lr"] = np.nan
    table.loc[9, "batch_size"] = np.nan
    found = read(table)
    assert found.notes == ("2 rows without lr are left out", "1 row without batch_size is left out")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "data: got '.*x.csv'; not a CSV file: No columns to parse from file"),
        (b"PK\x03\x04junk", "data: got '.*'; not a readable file: "),
        (b"\x1f\x8bjunk", "data: got '.*'; not a readable file: "),
        (b"PAR1junk", "data: "),
        (b"\xd0\xcf\x11\xe0", "an old Excel file"),
        (b"\x00\x01\x02\x03", "x.csv"),
        (b"380.2997\n\n390.3142", "x.csv"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, content, line):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=line) as refusal:
        read(tmp_path / "x.csv")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "[]", '{"a": 1', '[{"a": 1}, 2]', "[" * 5000])
def test_what_is_no_json_of_records_is_one_line(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError) as refusal:
        read(tmp_path / "x.json")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("form", ["{{x: *l{0}, y: *l{0}}}", "[*l{0}, *l{0}]", "{{runs: [*l{0}, *l{0}]}}"])
def test_aliases_that_stand_for_billions_of_values_are_refused(tmp_path, form):
    levels = [f"l{n}: &l{n} {form.format(n - 1)}" for n in range(1, 30)]
    (tmp_path / "x.yaml").write_text("\n".join(["l0: &l0 {lr: 0.1, batch_size: 8, acc: 0.5}", *levels]))
    with pytest.raises(DataError, match="aliases stand for more than 1,000,000 values"):
        read(tmp_path / "x.yaml")


def test_a_long_table_with_levels_for_headers_is_no_matrix(tmp_path):
    (tmp_path / "x.csv").write_text("batch_size,lr,err},0.0001,30,2.6687\n16,0.0001,90,2.6663\n16,0.001,30,0.82515\n")
    assert len(read(tmp_path / "x.csv").table) == 2  # and no error


def test_an_unknown_format_names_the_known(tmp_path, sweep):
    sweep.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(
        BatchlawError,
        match="format: got 'xls'; must be one of csv, tsv, json, markdown, excel, parquet, latex, yaml, log, wa",
    ):
        read(tmp_path / "runs.csv", format="xls")
    with pytest.raises(DataError, match=r"format: got 'mlflow'; runs.csv is no export of MLflow"):
        read(tmp_path / "runs.csv", format="mlflow")


SPELLINGS = {
    "excel with its own line": lambda t: "sep=;\n" + csv(t, sep=";", decimal=","),
    "thousands": lambda t: csv(t.assign(batch_size=t["batch_size"].map("{:,}".format))),
    "rates as float32": lambda t: csv(t.assign(lr=np.where(t["seed"] % 2, t["lr"], t["lr"].astype(np.float32)))),
    "blanks in the header": lambda t: csv(t).replace("lr,batch_size,seed,acc", "lr, batch_size, seed, acc"),
    "empty rows at the end": lambda t: csv(t) + ",,,\n,,,\n",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_sweep_in_any_spelling_has_its_planted_slope(tmp_path, name):
    table = pd.read_csv(TABLES / "diverged_nan.csv.gz")
    table["acc"] = pd.to_numeric(table["acc"], errors="coerce").fillna(0.4)
    (tmp_path / "runs.csv").write_text(SPELLINGS[name](table))
    found = claim(tmp_path / "runs.csv")
    assert found.verdict == "supported" and found.slope == pytest.approx(1, abs=0.03)
