"""The processes of a program: all that it has started, wherever they went, are ended with it.

A process is the program's if its environment has the program's mark, if it is in the program's process group or
session, or if one of these is its ancestor. A worker also adopts processes that have lost their parent
(`adopt_orphans`), so that those count which have left the session and dropped their environment. Where there is no
/proc, as on macOS, the process group is all that is known.

A watchdog, a small process beside a worker, ends the program of a worker that was killed. This file is its program: it
imports nothing but the standard library.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "BATCHLAW_TRIAL"  # the variable of the environment that has the mark
_PROC = Path("/proc")
_PATIENCE_SECONDS = 5.0  # from SIGTERM to SIGKILL
_TICK_SECONDS = 0.005
_SET_CHILD_SUBREAPER = 36  # of prctl; linux/prctl.h
_adopted_since: set[int] | None = None  # the children of this process when it began to adopt; None: it does not


def adopt_orphans() -> None:
    """Make this process the parent of descendants that lose theirs, on Linux. For processes that are all batchlaw's."""
    global _adopted_since
    with contextlib.suppress(AttributeError, OSError):
        if ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
            _adopted_since = {pid for pid, (parent, *_) in _table().items() if parent == os.getpid()}


def keep(pid: int) -> None:
    """Count a child of this process as none of a program's."""
    if _adopted_since is not None:
        _adopted_since.add(pid)


def end_all(root: int, mark: str, known: frozenset[int] = frozenset(), patience: float = _PATIENCE_SECONDS) -> None:
    """End a program and all that it has started; returns when they are gone.

    Args:
        root: the program's PID, which is that of its process group; 0: only the mark is known.
        mark: of its environment.
        known: children of this process that are not the program's.
        patience: seconds from SIGTERM to SIGKILL.
    """
    if not _PROC.is_dir():
        _end_group(root, patience)
        return
    number, until = signal.SIGTERM, time.monotonic() + patience
    told: set[int] = set()
    while alive := _of_program(root, mark, known):
        if time.monotonic() >= until:
            number, told = signal.SIGKILL, set()
        for pid in alive - told:  # what is started after the first signal is told, too
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        told |= alive
        time.sleep(_TICK_SECONDS)


def _of_program(root: int, mark: str, known: frozenset[int]) -> set[int]:
    """The living processes of a program; those of them that ended as children of this process are reaped."""
    table, own, entry = _table(), os.getpid(), f"{MARK}={mark}".encode()
    since = table[own][4]  # older processes cannot have the mark, and reading all environments is slow
    found = {
        pid
        for pid, (parent, group, session, _, began) in table.items()
        if (root and root in (pid, group, session))
        or (_adopted_since is not None and parent == own and pid not in _adopted_since and pid not in known)
        or (began >= since and _has(pid, entry))
    }
    found -= {own}
    more = True
    while more:
        more_found = {pid for pid, (parent, *_) in table.items() if parent in found and pid not in found and pid != own}
        more = bool(more_found)
        found |= more_found
    ended = {pid for pid in found if table[pid][3] in "ZX"}
    for pid in ended:
        if table[pid][0] == own and pid != root:  # the program itself is its starter's to reap
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return found - ended


def _table() -> dict[int, tuple[int, int, int, str, int]]:
    """Parent, process group, session, state and start of every process, the last in ticks since the machine began."""
    return dict(_rows())


def _rows() -> Iterator[tuple[int, tuple[int, int, int, str, int]]]:
    for name in os.listdir(_PROC):  # noqa: PTH208  (a tenth of the time)
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    text = file.read()
                # The name of the program, in parentheses, may have spaces and parentheses.
                fields = text[text.rindex(b")") + 2 :].split(None, 20)
                state, parent, group, session = fields[:4]
                yield int(name), (int(parent), int(group), int(session), state.decode(), int(fields[19]))


def _has(pid: int, entry: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return entry in file.read().split(b"\0")
    except OSError:  # another user's, or it has just ended
        return False


def _end_group(root: int, patience: float) -> None:
    """End a process group, where nothing else is known."""
    until = time.monotonic() + patience
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while root:
            os.killpg(root, signal.SIGTERM if time.monotonic() < until else signal.SIGKILL)
            time.sleep(_TICK_SECONDS * 10)


class Watchdog:
    """A process that ends the program of this process, should this process be killed."""

    def __init__(self, mark: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, mark], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its PID."""
        return self._process.pid

    def watch(self, root: int) -> None:
        """Know the program that runs now; 0 if none does."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # somebody has ended it
            os.write(self._process.stdin.fileno(), b"%d\n" % root)

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # a scheduler sends them to every process of a job
    root = 0
    for line in sys.stdin:  # ends with the process at its other end
        root = int(line)
    end_all(root, sys.argv[1])


if __name__ == "__main__":
    _main()
