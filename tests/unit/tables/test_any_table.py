"""Whatever a table holds, it is read or refused in one line."""

import pytest
from batchlaw.errors import BatchlawError
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.tables.test_same_grid import FORMATS, sweeps

TEXTS = [
    "", " ", "lr", "lr (10^400)", "lr (x1e-999)", "log2_lr", "lr [kM]", "batch_size (k tokens)", "seed", "loss",
    "loss ± sd", "Unnamed: 0", "index", "__class__", "a" * 5000, "\x1b[2J", "\u202e", "\x00", "[bold]",
    "=cmd|' /C calc'!A0", "'; DROP TABLE x; --", "nan", "inf", "1e999", "-0", "9" * 400, "0x10", "٣", "1/0", "0^-1",
    "2^9999999", "10^10^10", "1e-400", "50%", "1,2,3", "true", "[1]", "{}", "2 ± nan", "0.5 (best)",
    "32x" * 50 + "8", "9" * 30 + "k", "NaT", "2020-01-01", "1:00:00", "\"", "'", "`", "|", ";", "\t", "\\", "$x$",
    "\\times", "10⁻⁴⁰⁰", "½", "−", "−−1", "e", "1e", ".", "..", "+", "%", "k",
]  # fmt: skip
BYTES = [
    *(text.encode() for text in TEXTS), b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r", b"\n\n", b"\xed\xa0\x80",
    b"[" * 20_000, b'{"a":',
]  # fmt: skip
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 20), st.sampled_from(BYTES) | st.binary(max_size=5)), max_size=4
)
SEPARATED = [name for name in FORMATS if name not in ("Excel", "Parquet", "gzip")]
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def read_or_refused(path):
    try:
        read_runs(path, Columns.of())
    except BatchlawError as error:
        assert "\n" not in str(error) and len(str(error)) <= 1010, str(error)[:200]


def written(path, sweep, name, change):
    rows, header, names = sweep
    order = [names.index(each) for each in header]
    header, rows = change(list(header), [[row[place] for place in order] for row in rows])
    path.write_bytes(FORMATS[name](header, rows))
    return path


@SETTINGS
@given(sweep=sweeps(), name=st.sampled_from(sorted(FORMATS)), edits=EDITS)
def test_a_table_with_other_bytes_in_it(tmp_path, sweep, name, edits):
    path = written(tmp_path / "runs", sweep, name, lambda *table: table)
    content = path.read_bytes()
    for place, gone, new in edits:
        at = round(place * len(content))
        content = content[:at] + new + content[at + gone :]
    path.write_bytes(content)
    read_or_refused(path)


@SETTINGS
@given(sweep=sweeps(), name=st.sampled_from(SEPARATED), column=st.integers(0, 3), row=st.integers(0, 7),
       title=st.sampled_from([None, *TEXTS]), cell=st.sampled_from([None, *TEXTS]) | st.text(max_size=8))  # fmt: skip
def test_a_table_with_another_name_or_cell(tmp_path, sweep, name, column, row, title, cell):
    def change(header, rows):
        header[column] = header[column] if title is None else title
        rows[row][column] = rows[row][column] if cell is None else cell
        return header, rows

    read_or_refused(written(tmp_path / "runs", sweep, name, change))


def test_a_whole_number_that_no_float_holds_is_refused():
    with pytest.raises(BatchlawError, match=r"tokens_per_example: got 1000.*; must be a number above 0"):
        Columns.of(tokens_per_example=10**400)
