"""A table of runs is the same grid in whatever format it is written, whatever its columns are called."""

import gzip
import io
import json
import math
from importlib.util import find_spec

import numpy as np
import pandas as pd
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.tables.test_names import SMALLER

RATE_NAMES = ["lr", "learning_rate", "config/lr", "params_lr", "params.lr", "Learning rate", "peak_lr", "base_lr", "η"]
SIZE_NAMES = ["bs", "batch_size", "train_batch_size", "config.batch_size", "Batch size", "global_batch_size"]
SEED_NAMES = ["seed", "params.seed", "random_state"]
COST_NAMES = [name for name in SMALLER if name not in ("Epochs to converge", "steps_to_target", "samples_to_converge")]


@st.composite
def sweeps(draw):
    """Rows of a sweep in any order: rates at least 5 % apart, scores with gaps (None) and divergence (inf)."""
    steps = draw(st.lists(st.floats(0.08, 3), min_size=2, max_size=4))
    rates = [float(f"{2**-power:.6g}") for power in draw(st.floats(4, 16)) - np.cumsum(steps)]
    sizes = draw(st.lists(st.integers(1, 1 << 17), min_size=2, max_size=4, unique=True))
    scores = st.one_of(st.floats(0.01, 99).map(lambda x: round(x, 4)), st.sampled_from([None, math.inf]))
    cells = [(rate, size, seed) for rate in rates for size in sizes for seed in (0, 1)]
    rows = draw(st.permutations([(*cell, draw(scores)) for cell in cells]))
    names = [draw(st.sampled_from(each)) for each in (RATE_NAMES, SIZE_NAMES, SEED_NAMES, COST_NAMES)]
    assume(any(row[3] is not None for row in rows))
    return rows, draw(st.permutations(names)), names


def delimited(separator, point=".", quoted=False, infinite="inf"):
    def write(header, rows):
        texts = [["" if x is None else infinite if x == math.inf else str(x).replace(".", point) for x in row]
                 for row in rows]  # fmt: skip
        quote = '"{}"'.format if quoted or separator == "," else str
        return "\n".join(separator.join(map(quote, row)) for row in [header, *texts]).encode()

    return write


def markdown(header, rows):
    texts = [["—" if x is None else "diverged" if x == math.inf else f"`{x}`" for x in row] for row in rows]
    lines = [header, ["---"] * len(header), *texts]
    return ("# Runs\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)).encode()


def excel(header, rows):
    from openpyxl import Workbook

    book, content = Workbook(), io.BytesIO()
    for row in [header, *(["NaN" if x == math.inf else x for x in row] for row in rows)]:
        book.active.append(row)
    book.save(content)
    return content.getvalue()


def parquet(header, rows):
    content = io.BytesIO()
    pd.DataFrame(rows, columns=header).to_parquet(content)
    return content.getvalue()


FORMATS = {
    "comma": delimited(","),
    "semicolon": delimited(";", ",", infinite="+∞"),
    "tab": delimited("\t", infinite="1.#INF"),
    "bar": delimited("|", infinite="NaN"),
    "quoted": delimited(",", quoted=True, infinite="1.7976931348623157e+308"),
    "UTF-16": lambda *table: delimited(";", ",")(*table).decode().encode("utf-16"),
    "gzip": lambda *table: gzip.compress(delimited("\t")(*table)),
    "records": lambda header, rows: json.dumps([dict(zip(header, row, strict=True)) for row in rows]).encode(),
    "lines": lambda header, rows: "\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows).encode(),
    "columns": lambda header, rows: json.dumps(dict(zip(header, zip(*rows, strict=True), strict=True))).encode(),
    "split": lambda header, rows: json.dumps({"columns": header, "data": rows}).encode(),
    "Markdown": markdown,
    **({"Excel": excel} if find_spec("openpyxl") else {}),
    **({"Parquet": parquet} if find_spec("pyarrow") else {}),
}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sweep=sweeps(), name=st.sampled_from(sorted(FORMATS)))
def test_a_table_is_the_same_grid_in_every_format(tmp_path, sweep, name):
    rows, header, names = sweep
    order = [names.index(each) for each in header]
    path = tmp_path / "runs"
    path.write_bytes(FORMATS[name](list(header), [[row[place] for place in order] for row in rows]))
    found = read_runs(path, Columns.of())
    columns = found.columns
    assert [columns.lr, columns.batch_size, columns.seed, *columns.score] == names and not columns.maximize
    expected = pd.DataFrame(rows, columns=names).astype(float)
    read = found.table[names].astype(float).reset_index(drop=True)
    pd.testing.assert_frame_equal(read, expected, rtol=1e-12, check_column_type=False)
