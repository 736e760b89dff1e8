"""Devices that the workers of a machine share: a trial of a program or function takes as many as it needs.

BATCHLAW_DEVICES names the devices, separated by commas. Each is a locked file while a trial has it, so that a device is
given to one trial at a time, of whichever study, and is free again when all processes of the trial have ended, however
they did. The trial finds its devices in CUDA_VISIBLE_DEVICES.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batchlaw.errors import BatchlawError
from batchlaw.spec import StudySpec

NAMES = "BATCHLAW_DEVICES"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_QUEUE = "queue"  # its lock is held by the worker whose turn it is: a trial of many devices must not wait for ever


class Devices:
    """The devices of one trial after another of a study."""

    def __init__(self, spec: StudySpec) -> None:
        """Each trial takes `spec.devices`, or of several nodes those of this one.

        There is nothing to take without BATCHLAW_DEVICES, or in this process.

        Raises:
            BatchlawError: fewer are named, or one is named twice.
        """
        given = os.environ.get(NAMES, "")
        self._names = [name.strip() for name in given.split(",") if name.strip()]
        in_processes = spec.command is not None or spec.devices > 1
        self._n = spec.devices // spec.nodes if self._names and in_processes else 0
        if len(set(self._names)) < len(self._names):
            raise BatchlawError(f"{NAMES}: got {given!r}; a device is named twice")
        if self._n > len(self._names):
            raise BatchlawError(f"devices: got {self._n}; {NAMES} names {len(self._names)}")
        self._turn: int | None = None  # the lock of the queue

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Take the devices of a trial, if they are free; come again if they are not, as this worker is next."""
        if self._turn is None and self._n:
            self._turn = _locked(_QUEUE)
        found: dict[str, int] = {}
        if self._turn is not None:
            for name in self._names:
                if len(found) < self._n and (lock := _locked(name)) is not None:
                    found[name] = lock
        has_all, before = len(found) == self._n, os.environ.get(_VISIBLE)
        try:
            if has_all and self._n:
                self.close()
                held[:] = found.values()
                os.environ[_VISIBLE] = ",".join(found)
            yield has_all
        finally:
            if has_all and self._n:
                _restore(before)
            held.clear()
            for lock in found.values():
                os.close(lock)

    def close(self) -> None:
        """Leave the queue."""
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None


held: list[int] = []  # the locks of this process's devices, which the programs of a trial inherit


def _restore(visible: str | None) -> None:
    """Have this process see the devices that it saw before."""
    if visible is None:
        os.environ.pop(_VISIBLE, None)
    else:
        os.environ[_VISIBLE] = visible


def _locked(name: str) -> int | None:
    """The descriptor of a lock; None where another process has it."""
    path = _folder() / f"{name.replace(os.sep, '-')}.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _folder() -> Path:
    """Of the locks of this user.

    Raises:
        BatchlawError: somebody else has made it.
    """
    folder = Path(tempfile.gettempdir(), f"batchlaw-devices-{os.getuid()}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise BatchlawError(f"{folder}: belongs to another user")
    return folder
