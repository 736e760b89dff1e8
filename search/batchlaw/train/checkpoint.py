"""Checkpoints: the state of a run at a report, in a file, from which an interrupted run continues.

A run is a pure function of its configuration, so the file is named after the configuration. If the folder is shared,
any trial, worker or host that trains the configuration next finds the file. Files hold tensors and plain values and are
read with `weights_only`, so that they cannot run code. A hash of all that follows it shows a bit that was flipped.
"""

import contextlib
import hashlib
import io
import logging
import os
import pickle
import stat
import time
import uuid
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from batchlaw.spec import TrainConfig

_FORMAT = 4
_HEAD = f"batchlaw checkpoint {_FORMAT}\n".encode()  # before the SHA-256 of the rest, and the rest, as torch writes it
_DAY = 86_400.0
_KEPT_SECONDS = {".tmp": _DAY, ".pt": 30 * _DAY, ".unfit": 30 * _DAY}  # since a file was written
State = dict[str, Any]


def read_state(file: Path, device: torch.device) -> State | None:
    """The state in a file; None in a file of another version.

    Raises:
        OSError: there is none, or it is a link or no regular file.
        ValueError: it is damaged.
    """
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):  # a pipe would be waited for
            raise OSError("no regular file")
        if opened.read(len(_HEAD)) != _HEAD:
            return None
        digest, content = opened.read(hashlib.sha256().digest_size), opened.read()
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its bytes have changed since it was written")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from torch, about files of other formats
            state: State = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"it cannot be read: {error}") from None
    if not isinstance(state, dict):
        raise ValueError(f"it holds {type(state).__name__}")
    return state


def _clean(folder: Path) -> None:
    """Delete what dead processes left unfinished, and files that nobody has gone on from for long."""
    now = time.time()
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            kept = _KEPT_SECONDS.get(file.suffix)
            with contextlib.suppress(OSError):  # another process was faster
                if kept is not None and now - file.lstat().st_mtime > kept:
                    file.unlink()


class Checkpoint:
    """The checkpoint of one configuration, or of several that train together."""

    def __init__(self, folder: Path, configs: Sequence[TrainConfig], every_seconds: float) -> None:
        """Choose the file, for the present number of threads, on which the last bits of a result depend.

        Args:
            folder: made when first needed.
            configs: in the order in which they train.
            every_seconds: seconds from one file to the next. A killed run loses at most this much training, and a run
                that is asked to stop loses at most a second.
        """
        name = "".join(config.model_dump_json() for config in configs) + f"{torch.get_num_threads()}"
        key = hashlib.sha256(name.encode()).hexdigest()[:32]
        self._file = folder / f"{key}.pt"
        self._every = every_seconds
        self._latest: State | None = None
        self._copied = self._written = time.monotonic()

    def load(self, device: torch.device) -> State | None:
        """The saved state; None if there is no file, or it is damaged or of another version."""
        _clean(self._file.parent)
        try:
            state = read_state(self._file, device)
        except OSError:
            return None
        except ValueError as error:
            self.set_aside(str(error))
            return None
        return state if state is not None and state.get("format") == _FORMAT else None

    def set_aside(self, reason: str) -> None:
        """Give the file another name, so that the run starts anew."""
        with contextlib.suppress(OSError):
            self._file.replace(self._file.with_suffix(".unfit"))
            line = " ".join(reason.split())[:300]
            logging.getLogger("batchlaw").warning(
                "checkpoint %s is set aside, and its trial starts anew: %s", self._file, line
            )

    @property
    def due(self) -> bool:
        """Whether to `save` again. To copy the state at every report would slow down short trials."""
        return time.monotonic() - self._copied >= min(1.0, self._every)

    def save(self, state: State) -> None:
        """Copy a state in memory, and write it if the last file is `every_seconds` old."""
        self._latest = deepcopy(state) | {"format": _FORMAT}
        self._copied = time.monotonic()
        if self._copied - self._written >= self._every:
            self.write()

    def write(self) -> None:
        """Write the latest saved state, completely or not at all.

        If the disk is full or the folder is not writable, the checkpoint is skipped and training continues.
        """
        if self._latest is None:
            return
        unfinished = self._file.with_suffix(f".{uuid.uuid4().hex}.tmp")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                content = io.BytesIO()
                torch.save(self._latest, content)
                with unfinished.open("xb") as file:  # x: never through a link
                    file.write(_HEAD + hashlib.sha256(content.getbuffer()).digest())
                    file.write(content.getbuffer())
                unfinished.replace(self._file)
            finally:
                unfinished.unlink(missing_ok=True)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Delete the file after the run has ended."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
