"""Values that others may have planted in a database, one at a time: every column and key × kinds of wrong values.

    python -m tests.planted_values DATABASE.db STUDY [--sample 500 --seed 1]

copies a database with a finished study again and again, plants one value in the copy, and asks every reading command of
it. It prints what is wrong with the answers: an exception that is no error of batchlaw's, a trial that took others with
it, a command of more than 10 s, or a file that is written beside the report.
"""

import argparse
import contextlib
import io
import json
import logging
import random
import shutil
import sqlite3
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchlaw.cli import main
from batchlaw.dashboard.pages import pages
from batchlaw.storage import open_storage, stored_values

OTHERS = ("alembic_version", "version_info", "batchlaw_schema")  # tables of versions
CODE = "__import__('os').mkdir('executed')"
RAW = (
    None, "", "abc", -1, 0, 1.5, 1e308, 2**63 - 1, b"\xff\xfe\x00", "\x1b[2J\x07", "[bold]x[/]", "9999-99-99", "NaN",
    "['", "null", "0001-01-01 00:00:00", "\u202e", "x" * 5000,
)  # fmt: skip
TEXTS = (
    "", "null", "true", '"[red]\\u001b[2J"', "-1", "1e999", "NaN", "[]", "{}", "[1, 2]", '{"a": 1}', "{", "[" * 50_000,
    "9" * 5000, '"\\ud800"', '"../../x"', f'"{CODE}"',
)  # fmt: skip
FIELDS = (None, "x", -1, 0, 1e308, float("nan"), float("inf"), [], {}, [None], 10**400, "\x1b[2J", True, CODE)
SECONDS = 10.0  # of processor time, which a busy machine does not lengthen


@dataclass(frozen=True)
class Planted:
    """One statement of SQL, and a line about it."""

    what: str
    statement: str
    values: tuple[Any, ...] = ()
    of_trial: bool = False  # what it spoils is one trial at most


def corpus(database: Path) -> Iterator[Planted]:
    """Every planted value for a database."""
    connection = sqlite3.connect(database)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in sorted(set(tables) - set(OTHERS) - {"sqlite_sequence"}):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rowid = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
        if rowid is None:
            continue
        of_trial = "trial" in table or table == "trials"
        yield Planted(f"{table}: no row", f"DELETE FROM {table}")
        yield Planted(f"{table}: a row less", f"DELETE FROM {table} WHERE rowid = {rowid}", (), of_trial)
        for column in columns:
            for value in RAW:
                words = f"UPDATE {table} SET {column} = ? WHERE rowid = {rowid}"
                yield Planted(f"{table}.{column} = {str(value)[:40]!r}", words, (value,), of_trial)
        if "value_json" in columns:
            yield from _of_json(connection, table, of_trial)


def _of_json(connection: sqlite3.Connection, table: str, of_trial: bool) -> Iterator[Planted]:
    rows = connection.execute(f"SELECT max(rowid), key, value_json FROM {table} GROUP BY key").fetchall()
    for rowid, key, text in rows:
        if key.startswith(("batchlaw:page", "dashboard:plot", "dashboard:note")):
            continue
        words = f"UPDATE {table} SET value_json = ? WHERE rowid = {rowid}"
        yield Planted(f"{table} {key}: none", f"DELETE FROM {table} WHERE rowid = {rowid}", (), of_trial)
        for value in (*TEXTS, text[: len(text) // 2]):
            yield Planted(f"{table} {key} = {value[:40]!r}", words, (value,), of_trial)
        found = json.loads(text)
        for field in found if isinstance(found, dict) else ():
            for value in FIELDS:
                changed = json.dumps({**found, field: value})
                yield Planted(f"{table} {key}.{field} = {str(value)[:40]!r}", words, (changed,), of_trial)


def plant(database: Path, planted: Planted) -> bool:
    """Whether the database took it."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        try:
            connection.execute(planted.statement, planted.values)
            connection.commit()
        except (sqlite3.IntegrityError, OverflowError):
            return False
    return True


def ask(words: list[str]) -> tuple[object, str, str]:
    """Exit code, and what was said and complained of, of a command in this process."""
    said, complained, before = io.StringIO(), io.StringIO(), sys.argv
    handler = logging.StreamHandler(complained)
    logger = logging.getLogger("batchlaw")
    logger.addHandler(handler)
    sys.argv = ["batchlaw", *words]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            main()
    except SystemExit as end:
        return end.code or 0, said.getvalue(), complained.getvalue()
    except BaseException:
        return "traceback", said.getvalue(), traceback.format_exc()
    finally:
        sys.argv = before
        logger.removeHandler(handler)
    raise AssertionError("the command ends in an exit")


def page(url: str, path: str) -> str:
    """The status of a page of the dashboard."""
    storage, answers = open_storage(url), []
    errors = io.StringIO()
    environment = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "x", "SERVER_PORT": "1",
        "wsgi.input": io.BytesIO(), "wsgi.errors": errors, "wsgi.url_scheme": "http",
    }  # fmt: skip
    with contextlib.redirect_stderr(errors):
        list(pages(storage)(environment, lambda status, *_: answers.append(status)))
    storage.engine.dispose()
    return answers[0] if answers[0].startswith(("200", "404")) else f"{answers[0]} {errors.getvalue()}"


def faults(database: Path, study: str, planted: Planted, folder: Path, commands: tuple[str, ...]) -> list[str]:
    """What is wrong with the answers after one planted value."""
    copy = folder.resolve() / "planted.db"
    for file in folder.glob("planted.db*"):
        file.unlink()
    shutil.copy(database, copy)
    if not plant(copy, planted):
        return []
    stored_values.forget()
    url, wrong = f"sqlite:///{copy}", []
    for command in commands:
        words = command.replace("STUDY", study).replace("FOLDER", str(folder)).split()
        began = time.process_time()
        with contextlib.chdir(folder):
            code, said, complained = ask([*words, "--storage", url])
        lines = [line for line in complained.splitlines() if line.strip()]
        if code not in (0, 1, 2) or "Traceback" in complained:
            wrong.append(f"{command}: {complained[-1500:]}")
        elif code and (planted.of_trial or not lines or not lines[-1].startswith("error: ")):
            wrong.append(f"{command}: exit {code}: {complained[:500]}")
        if time.process_time() - began > SECONDS:
            wrong.append(f"{command}: {time.process_time() - began:.0f} s")
        if any(not (sign.isprintable() or sign == "\n") for sign in said + complained):
            wrong.append(f"{command}: a control character")
    for path in ("/api/studies", "/api/studies/1"):
        if not (answer := page(url, path)).startswith(("200", "404")):
            wrong.append(f"{path}: {answer[-1500:]}")
    strange = {file.name for file in folder.iterdir()} - {"report.html"}
    if strange := sorted(name for name in strange if not name.startswith("planted.db")):
        wrong.append(f"written: {strange}")
    return [f"{planted.what}\n  {line}" for line in wrong]


SEARCH = (
    "status STUDY", "export STUDY --format json --top 3", "law STUDY", "recommend STUDY", "list",
    "report STUDY --output FOLDER/report.html",
)  # fmt: skip
CLAIM = ("status STUDY", "claim STUDY", "law STUDY", "transfer STUDY --reference 32")


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("database", type=Path)
    parser.add_argument("study")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/planted"))
    parser.add_argument("--sample", type=int, help="so many at random; all without")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--claim", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    every = list(corpus(options.database))
    chosen = random.Random(options.seed).sample(every, options.sample or len(every))
    n_wrong, commands = 0, CLAIM if options.claim else SEARCH
    for planted in chosen:
        for line in faults(options.database, options.study, planted, options.folder, commands):
            n_wrong += 1
            print(line, flush=True)
    print(f"{len(chosen)} of {len(every)} planted, {n_wrong} answers wrong")


if __name__ == "__main__":
    _main()
