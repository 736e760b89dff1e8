"""Registers a study in processes of its own, which may kill themselves on the way.

    python registering.py STUDY.toml together|in-turn URL[@@N] …

A process is forked for each URL, so that the imports are paid once. With a number N it kills itself before its N-th
statement or commit. The process prints the study it has, the script the exit codes, all as one JSON list.
"""

import json
import os
import signal
import sys
from pathlib import Path

from batchlaw.spec import read_spec
from batchlaw.storage import open_storage, register
from sqlalchemy import Engine, event


def child(url: str, last: int | None) -> dict[str, object]:
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1
        if statements == last:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
    stored = register(open_storage(url, create=True), read_spec(Path(sys.argv[1])), trials=None, version="test")
    return {"statements": statements, "id": stored.study.user_attrs["batchlaw:id"]}


def start(job: str) -> tuple[int, int]:
    """The PID of a new process, and what it prints."""
    url, _, last = job.partition("@@")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps(child(url, int(last) if last else None)).encode())
        os._exit(0)
    os.close(writing)
    return pid, reading


def end(pid: int, reading: int) -> dict[str, object]:
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"code": code, **(json.loads(said) if said else {})}


jobs = sys.argv[3:]
if sys.argv[2] == "together":
    results = [end(*process) for process in [start(job) for job in jobs]]
else:
    results = [end(*start(job)) for job in jobs]
print(json.dumps(results))
