"""Tables as people really keep them: each is read right, or refused in one line that says what would help."""

import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from batchlaw.errors import BatchlawError
from batchlaw.tables.columns import Columns
from batchlaw.tables.grid import shown_cells
from batchlaw.tables.reading import read_runs

RATES, SIZES = [2.0**power for power in range(-8, -3)], [32, 64, 128, 256]


def loss(rate, size, seed=0):
    return round(1 + 0.1 * (math.log2(rate) - 0.5 * math.log2(size) + 9) ** 2 + 0.01 * seed, 4)


CELLS = [(rate, size, seed) for rate in RATES for size in SIZES for seed in (0, 1)]
RUNS = pd.DataFrame([(*cell, loss(*cell)) for cell in CELLS], columns=["lr", "batch_size", "seed", "val_loss"])
MATRIX = RUNS[RUNS["seed"] == 0].pivot(index="lr", columns="batch_size", values="val_loss")


def csv(table=RUNS, **options):
    return table.to_csv(index=False, **options)


def sizes(written):
    """The runs with batch sizes in thousands, as they are written."""
    return csv(RUNS.assign(batch_size=[written(size) for size in RUNS["batch_size"]]), quoting=1)


def matrix(corner="val_loss", across=str, down=str):
    table = MATRIX.rename(columns=across, index=down).reset_index(names=corner)
    return csv(table.rename_axis(columns=None))


def packed(write):
    return csv(
        pd.DataFrame({
            "summary": [write({"val_loss": row.val_loss, "_step": 9}) for row in RUNS.itertuples()],
            "config": [
                write({"opt": {"lr": row.lr}, "batch_size": row.batch_size, "seed": row.seed})
                for row in RUNS.itertuples()
            ],
            "name": [f"run-{place}" for place in range(len(RUNS))],
        })
    )  # fmt: skip


def overrides(between):
    return csv(
        pd.DataFrame({
            "job": range(len(RUNS)),
            "override": [
                between.join([f"optimizer.lr={row.lr}", f"+batch_size={row.batch_size}", f"seed={row.seed}"])
                for row in RUNS.itertuples()
            ],
            "val_loss": RUNS["val_loss"],
        })
    )  # fmt: skip


def curves(history):
    """JSON in which each run holds its epochs."""
    return json.dumps([
        {"lr": row.lr, "batch_size": row.batch_size, "seed": row.seed} | history(row.val_loss)
        for row in RUNS.itertuples()
    ])  # fmt: skip


READ = {
    "a title over the header": "Sweep of March\nrun by me\n" + csv(),
    "a title with commas": "Sweep of March, by me\n\n" + csv(),
    "comments": "# made by train.py, on two A100\n# lr is the peak, of 10 % warmup, two seeds\n" + csv(),
    "comments within": csv().replace("\n", "\n# resumed\n", 2),
    "a header that is a comment": "# " + csv(),
    "repeated headers": csv(RUNS[:20]) + csv(RUNS[20:]),
    "summary rows": csv() + "mean,,,1.5\nbest,-,-,1.0\n",
    "notes below": csv() + "\n\nNotes: OOM, or out of memory, is missing\n",
    "summary rows and an index": RUNS.to_csv() + "mean,,,,1.5\nstd,,,,0.1\n",
    "an index": RUNS.to_csv(),
    "an index without a name, as R writes it": RUNS.to_csv().removeprefix(","),
    "columns parted by blanks": RUNS.to_string(index=False, float_format=str),
    "columns parted by blanks, and an index": RUNS.to_string(float_format=str),
    "commas at the ends": csv().replace("\n", ",\n"),
    "ends of lines of old": csv().replace("\n", "\r"),
    "blanks around quoted numbers": csv(RUNS.map(" {} ".format), quoting=1),
    "text to Excel": csv(RUNS.map('="{}"'.format)),
    "apostrophes of Excel": csv(RUNS.map("'{}".format)),
    "German": csv(sep=";", decimal=","),
    "thousands with points": csv(
        RUNS.assign(batch_size=RUNS["batch_size"].map("{}.000".format)), sep=";", decimal=","
    ),
    "percent": csv(RUNS.assign(val_loss=RUNS["val_loss"].map("{}%".format))),
    "fractions": csv(RUNS.assign(lr=[f"1/{1 / rate:.0f}" for rate in RUNS["lr"]])),
    "dictionaries of Python": packed(str),
    "dictionaries of JSON": packed(json.dumps),
    "overrides with commas": overrides(","),
    "overrides with blanks": overrides(" "),
    "a matrix whose corner names the score": matrix(),
    "a matrix with names in its levels": matrix(across="bs={}".format, down="lr={}".format),
    "a matrix with a title": "val_loss,batch size,,,\n" + matrix("lr"),
    "a matrix as pandas pivots it": MATRIX.stack().rename("val_loss").reset_index()
    .pivot_table(index="lr", columns="batch_size", values=["val_loss"]).to_csv(),
    "a matrix with a row of bests": matrix() + "best,1,1,1,1\n",
    "curves of records": curves(lambda value: {"history": [{"epoch": e, "val_loss": value + 2 - e} for e in (1, 2)]}),
    "curves of numbers": curves(lambda value: {"val_loss": [value + 2, value + 1, value]}),
    "the JSON of pandas with its schema": RUNS.to_json(orient="table"),
    "results within results": json.dumps({
        "runs": [
            {
                "config": {"lr": rate, "batch_size": size},
                "results": {"seeds": [{"seed": seed, "val_loss": loss(rate, size, seed)} for seed in (0, 1)]},
            }
            for rate in RATES
            for size in SIZES
        ]
    }),
}  # fmt: skip
SAID = {
    "notes below": "1 row without lr is left out",
    "repeated headers": "1 row repeats the header and is left out",
    "summary rows": "2 rows without lr are left out",
    "summary rows and an index": "2 rows without lr are left out",
    "a matrix with a row of bests": "1 row begins with no level and is left out: 'best'",
    "curves of records": "80 rows are those of 40 runs; of each the last epoch with a score counts",
    "curves of numbers": "120 rows are those of 40 runs; of each the last epoch with a score counts",
}


def read(folder, text, **options):
    (folder / "runs").write_bytes(text.encode())
    return read_runs(folder / "runs", Columns.of(**options))


@pytest.mark.parametrize("name", READ)
def test_an_odd_table_is_read_right_and_what_was_left_out_is_said(tmp_path, name):
    found = read(tmp_path, READ[name])
    columns, is_matrix = found.columns, "matrix" in name
    rows = found.table[[columns.lr, columns.batch_size, columns.score[0]]].astype(float).to_numpy()
    factor = 1000 if "thousands" in name else 1
    expected = RUNS[RUNS["seed"] == 0] if is_matrix else RUNS
    order = np.lexsort(rows.T[::-1])
    np.testing.assert_allclose(
        rows[order] / [1, factor, 1],
        expected[["lr", "batch_size", "val_loss"]].sort_values(["lr", "batch_size", "val_loss"]),
    )
    assert not columns.maximize and (is_matrix or columns.seed is not None)
    assert list(found.notes) == ([SAID[name]] if name in SAID else [])


@pytest.mark.parametrize(
    ("written", "factor"),
    [
        ("{}k", 1000), ("{}K tokens", 1000), ("{:.0f},000", 1000), ("{}e3", 1000), ("{}.5M", None), ("bs={}", 1),
        ("bs{}", 1), ("{} examples", 1), ("{}x8", 8), ("{} × 4 × 2", 8),
    ],
)  # fmt: skip
def test_a_batch_size_is_read_as_people_write_it(tmp_path, written, factor):
    found = read(
        tmp_path, csv(RUNS.assign(batch_size=[written.format(size) for size in RUNS["batch_size"]]), quoting=1)
    )
    expected = [(size + 0.5) * 1e6 if factor is None else size * factor for size in RUNS["batch_size"]]
    assert found.table["batch_size"].tolist() == expected


@pytest.mark.parametrize(
    ("written", "spread"),
    [
        ("{} ± 0.02 (n=5)", 0.02), ("{} (best)", None), (r"$\mathbf{{{}}} \pm 0.02$", 0.02), (r"\textbf{{{}}}", None),
        (r"${} \times 10^{{0}}$", None),
    ],
)  # fmt: skip
def test_a_score_is_read_as_papers_write_it(tmp_path, written, spread):
    single = RUNS[RUNS["seed"] == 0].drop(columns="seed")
    found = read(tmp_path, csv(single.assign(val_loss=single["val_loss"].map(written.format))))
    assert found.table["val_loss"].tolist() == single["val_loss"].tolist()
    assert found.error is None if spread is None else found.table[found.error].tolist() == [spread] * 20


def test_a_remark_behind_a_word_leaves_its_meaning(tmp_path):
    text = csv().replace("1.225\n", "NaN (too high)\n", 1).replace("1.235\n", "OOM (24GB)\n", 1)
    values = read(tmp_path, text).table["val_loss"].tolist()
    assert values[0] == math.inf and math.isnan(values[1])


@pytest.mark.parametrize("names", [("acc (seed 0)", "acc (seed 1)"), ("Run 1 acc", "Run 2 acc"), ("acc_0", "acc_1")])
def test_columns_that_differ_by_the_number_of_a_seed_are_seeds_and_their_mean_is_none(tmp_path, names):
    table = RUNS[RUNS["seed"] == 0][["lr", "batch_size"]].assign(**{names[0]: 0.5, names[1]: 0.6, "acc_mean": 0.55})
    assert read(tmp_path, csv(table)).columns.score == names


def test_results_of_a_search_of_scikit_learn_are_read(tmp_path):
    rows = [
        {
            "mean_fit_time": 1.0, "param_batch_size": row.batch_size, "param_learning_rate_init": row.lr,
            "params": str({"batch_size": row.batch_size, "learning_rate_init": row.lr}),
            "split0_test_score": row.val_loss, "split1_test_score": row.val_loss, "mean_test_score": -row.val_loss,
            "std_test_score": 0.1, "rank_test_score": 1,
        }
        for row in RUNS.itertuples()
    ]  # fmt: skip
    columns = read(tmp_path, csv(pd.DataFrame(rows))).columns
    assert (columns.lr, columns.score, columns.maximize) == ("param_learning_rate_init", ("mean_test_score",), True)


def test_a_frame_pivoted_with_its_metric_is_a_matrix():
    pivoted = RUNS.pivot_table(index="lr", columns="batch_size", values=["val_loss"])
    columns = read_runs(pivoted, Columns.of()).columns
    assert (columns.lr, columns.batch_size, columns.score, columns.maximize) == (
        "lr",
        "batch_size",
        ("val_loss",),
        False,
    )


REFUSED = {
    # what is refused, and what the line says
    "no header": (csv().partition("\n")[2], "lr: runs has no column that is called a learning rate; it has 0.0039"),
    "logarithms": (csv(RUNS.rename(columns={"lr": "log_lr"})), "; '10 ** log_lr', if that is its logarithm"),
    "logarithms unsaid": (csv(RUNS.assign(lr=np.log10(RUNS["lr"]))), "must be above 0; '10 ** lr', if that is its log"),
    "two rates": (csv(RUNS).replace("seed", "lr", 1), "lr: got 'lr'; runs has several columns of this name"),
    "two of everything": (csv(pd.concat([RUNS, RUNS], axis=1)), "lr: got 'lr'; runs has several columns of this name"),
    "no known score": (csv(RUNS.rename(columns={"val_loss": "foo"})), "score: runs has no column that is called a sc"),
    "matrix of what": (matrix("lr"), "direction: is needed, minimize or maximize"),
    "HTML": (RUNS.to_html(), "data: got '.*runs'; not a readable file: a page of HTML; save its table as CSV or Excel"),
    "a seed that is missing": (csv() + "0.1,32,,1.5\n", "seed: got 'seed'; row 42 of runs has no value there"),
    "a long row": (csv(pd.concat([RUNS] * 2)) + "1,2,3,4,5\n", "not a CSV file: Expected 4 fields in line 82, saw 5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_one_line_that_helps(tmp_path, name):
    text, line = REFUSED[name]
    with pytest.raises(BatchlawError, match=line.replace("**", r"\*\*")) as refusal:
        read(tmp_path, text)
    assert "\n" not in str(refusal.value)


def test_logarithms_of_rates_are_read_by_an_expression(tmp_path):
    table = RUNS.rename(columns={"lr": "log2_lr"}).assign(log2_lr=np.log2(RUNS["lr"]))
    assert sorted(set(read(tmp_path, csv(table), lr="2 ** log2_lr").table["2 ** log2_lr"])) == RATES


def test_a_table_whose_rows_are_no_levels_is_no_matrix(tmp_path):
    with pytest.raises(BatchlawError, match="lr: runs has no column that is called a learning rate; it has tier, bs64"):
        read(tmp_path, "tier,bs64,bs128\n60m,4.03,4.01\n125m,3.73,3.68\n")


STATES = [
    # the last column, its value in the first row, what becomes of the score there, and what is said
    ("status", "oom", math.isnan, "the score of 1 row counts as missing: status is oom, and the last report before"),
    ("State", "diverged", math.isinf, "1 of 40 rows count as diverged: State is diverged"),
    ("diverged", "True", math.isinf, "1 of 40 rows count as diverged: diverged is True"),
]


@pytest.mark.parametrize(("column", "value", "became", "line"), STATES)
def test_what_a_column_says_of_the_end_of_a_run_is_heard(tmp_path, column, value, became, line):
    others = "False" if column == "diverged" else "ok"
    found = read(tmp_path, csv(RUNS.assign(**{column: [value] + [others] * 39})))
    assert became(found.table["val_loss"].iloc[0]) and np.isfinite(found.table["val_loss"].iloc[1:]).all()
    assert found.notes[0].startswith(line) and len(found.notes) == 1


def test_nan_and_infinity_in_dictionaries_of_python_are_divergence(tmp_path):
    text = packed(str).replace("'val_loss': 1.225,", "'val_loss': nan,", 1)
    assert np.isinf(read(tmp_path, text).table["summary.val_loss"].iloc[0])


def test_a_frame_whose_index_has_the_factors_is_read():
    found = read_runs(RUNS.set_index(["lr", "batch_size", "seed"]), Columns.of())
    assert len(found.table) == 40 and found.columns.lr == "lr"


def workbook(*sheets):
    """The bytes of sheets, each filled by a function."""
    import openpyxl

    book, content = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for place, fill in enumerate(sheets):
        fill(book.create_sheet(f"sheet {place}"))
    book.save(content)
    return content.getvalue()


def merged(sheet):
    """A title over all columns, and rates that stand once for their rows."""
    sheet.append(["Sweep of March"])
    sheet.merge_cells("A1:D1")
    sheet.append(["lr", "batch_size", "seed", "val_loss"])
    for rate, part in RUNS.groupby("lr"):
        first = sheet.max_row + 1
        for place, row in enumerate(part.itertuples()):
            sheet.append([None if place else rate, row.batch_size, row.seed, row.val_loss])
        sheet.merge_cells(start_row=first, end_row=sheet.max_row, start_column=1, end_column=1)


def aside(sheet):
    """Away from the corner, among empty rows."""
    for row in ([], [], [None, None, *RUNS.columns], [], *([None, None, *map(float, row)] for row in RUNS.to_numpy())):
        sheet.append(row)


@pytest.mark.parametrize("fill", [merged, aside])
def test_a_sheet_with_merged_cells_or_away_from_the_corner_is_read(tmp_path, fill):
    (tmp_path / "runs.xlsx").write_bytes(workbook(fill))
    found = read_runs(tmp_path / "runs.xlsx", Columns.of())
    read_back = found.table[list(RUNS.columns)].astype(float).reset_index(drop=True)
    pd.testing.assert_frame_equal(read_back, RUNS.astype(float), check_column_type=False)


def test_of_two_sheets_the_first_is_read_and_the_other_is_named(tmp_path):
    (tmp_path / "runs.xlsx").write_bytes(workbook(merged, aside))
    found = read_runs(tmp_path / "runs.xlsx", Columns.of())
    assert len(found.table) == 40 and found.notes == (
        "of 2 tables of runs.xlsx this is read: 1 (sheet 0 Sweep of March); --table reads another that fits, or "
        "several with commas: 2 (sheet 1)",
    )
    assert read_runs(tmp_path / "runs.xlsx", Columns.of(table=2)).notes[0].endswith("this is read: 2 (sheet 1)")


def test_the_grid_that_was_understood_is_shown(tmp_path):
    text = csv().replace("1.225\n", "OOM\n", 1).replace("1.235\n", "NaN\n", 1)
    told = shown_cells(read(tmp_path, text))
    assert told.index.name == "lr \\ batch_size" and told.columns.tolist() == ["32", "64", "128", "256"]
    assert told.iloc[0, 0] == "1 diverged, 1 missing" and told.iloc[1, 0].endswith("(2)")
