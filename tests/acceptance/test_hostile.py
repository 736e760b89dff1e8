"""Generated requests that are wrong: one line, exit code 2, nothing written, whatever they hold."""

import contextlib
import io
import sqlite3
import sys

import pytest
from batchlaw.cli import main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acceptance.conftest import environment

WITH_PASSWORD = "postgresql://u:sekret@127.0.0.1:1/x"
NUMBERS = st.one_of(
    st.integers(-(10**30), 0).map(str), st.floats().map(str), st.sampled_from(["1e999", "0x10", "1_0", "٣", "-0", "½"])
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        [
            "", " ", "../../etc/passwd", "/dev/null", "'; DROP TABLE trials; --", "\n", "\r\nerror: fine", "[bold]x[/]",
            "[/]", "{0.__class__}", "%s%n", "$(touch pwned)", "`touch pwned`", "| touch pwned", "--help me", "~", "*",
            "sqlite://", "sqlite:///:memory:", "postgresql://", WITH_PASSWORD, "mysql://[::1",
            "http://127.0.0.1", "sqlite:////proc/self/mem", "sqlite:///.", "x" * 5000, "\u202e", "🙂", "null",
        ]
    ),
)  # fmt: skip
HOSTILE = st.one_of(TEXTS, NUMBERS)
# Words with a place for the value, around a study that is not there, so that none of them could be carried out.
REQUESTS = [
    ["run", "{}"],
    ["run", "absent.toml", "--workers", "{}"],
    ["run", "absent.toml", "--trials", "{}"],
    ["run", "absent.toml", "--storage", "{}"],
    ["run", "absent.toml", "--device", "{}"],
    ["run", "absent.toml", "--timeout", "{}"],
    ["create", "{}"],
    ["worker", "{}"],
    ["worker", "absent", "--threads", "{}"],
    ["worker", "absent", "--lease-seconds", "{}"],
    ["worker", "absent", "--checkpoint-seconds", "{}"],
    ["launch", "absent", "--on", "{}"],
    ["launch", "absent", "--workers", "{}"],
    ["launch", "absent", "--slurm", "{}"],
    ["status", "{}"],
    ["status", "absent", "--storage", "{}"],
    ["reap", "{}"],
    ["storage", "{}"],
    ["claim", "{}"],
    ["cost", "{}"],
    ["claim", "tiny", "--hypothesis", "{}"],
    ["claim", "{}.csv", "--lr", "a", "--batch-size", "b", "--score", "c"],
    ["export", "{}"],
    ["export", "tiny", "--format", "{}"],
    ["export", "tiny", "--per", "{}"],
    ["export", "tiny", "--top", "{}"],
    ["replay", "tiny", "{}"],
    ["dashboard", "--port", "{}", "--token", "short"],
    ["dashboard", "--token", "{}", "--port", "-1"],
    ["{}"],
    ["status", "tiny", "{}"],
]


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """An empty folder, with the finished study as its default database, read from elsewhere."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BATCHLAW_STORAGE", f"sqlite:///{finished / 'batchlaw.db'}")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def content(database):
    connection = sqlite3.connect(database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def request(words):
    """Exit code, and what was said, of the command in this process."""
    said, complained = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["batchlaw", *words]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            main()
    except SystemExit as end:
        return end.code, said.getvalue(), complained.getvalue()
    finally:
        sys.argv = before


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.sampled_from(REQUESTS), value=HOSTILE)
def test_a_hostile_value_is_refused_in_a_line_and_writes_nothing(folder, finished, words, value):
    before = content(finished / "batchlaw.db")
    filled = [word.replace("{}", value) for word in words]
    if filled[0] in ("--version", "schema", "dashboard", "--help") and len(filled) == 1:
        return  # a request that is right after all
    code, said, complained = request(filled)
    assert code in (0, 1, 2), (filled, code)
    assert "Traceback" not in said + complained, filled
    if code:
        lines = [line for line in complained.splitlines() if line.strip()]
        assert lines and lines[0].startswith("error: "), (filled, complained)
    assert "--storage" not in words or value != WITH_PASSWORD or "sekret" not in said + complained
    assert list(folder.iterdir()) == [], filled
    assert content(finished / "batchlaw.db") == before


def test_an_empty_database_is_checked_and_stays_empty(folder):
    empty = folder / "empty.db"
    sqlite3.connect(empty).close()
    code, said, complained = request(["storage", "check", "--storage", f"sqlite:///{empty}"])
    assert (code or 0, complained) == (0, "") and "can be reached and is empty" in said
    code, said, _ = request(["storage", "check", "--storage", f"sqlite:///{empty}", "--json"])
    assert (code or 0, said) == (0, '{"empty": true}\n')
    assert content(empty) == content(":memory:")
