"""Starting a program, and ending it with all that it has started."""

import os
import subprocess
import sys
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batchlaw.errors import ObjectiveError
from batchlaw.objectives.devices import held
from batchlaw.objectives.processes import MARK, Watchdog, end_all


def search_path() -> str:
    """PATH; programs beside this interpreter, such as torchrun, are found without an activated environment too."""
    own, path = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    return path if own in path.split(os.pathsep) else own + os.pathsep + path


class Starter:
    """Starts the programs of a study, one at a time, in their folder and with a mark in their environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self._watchdog: Watchdog | None = None
        self._close: Callable[[], None] = lambda: None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start a program.

        Raises:
            ObjectiveError: it cannot be started.
        """
        if self._watchdog is None:
            self._watchdog = Watchdog(self._mark)
            self._close = weakref.finalize(self, self._watchdog.close)
        program = sys.executable if arguments[0] == "python" else arguments[0]
        try:
            process = subprocess.Popen(
                [program, *arguments[1:]], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True, env={**environment, MARK: self._mark}, pass_fds=held,
            )  # fmt: skip
        except (OSError, ValueError) as error:  # a null byte
            what = error.strerror if isinstance(error, OSError) else error
            raise ObjectiveError(f"command: {arguments[0]!r} cannot be started: {what}") from None
        self._watchdog.watch(process.pid)
        return process

    def close(self) -> None:
        """Let the watchdog end, which otherwise ends with this object."""
        self._close()
        self._watchdog = None

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """End a program and all that it has started."""
        assert self._watchdog is not None
        known = frozenset((self._watchdog.pid,))
        try:
            end_all(process.pid, self._mark, known)
        except BaseException:  # a request to stop, which must not leave anything behind either
            end_all(process.pid, self._mark, known, patience=0.0)
            raise
        finally:
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()
            process.wait()
            self._watchdog.watch(0)
