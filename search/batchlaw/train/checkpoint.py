"""Checkpoints: the state of a run at a report, in a file, from which an interrupted run continues.

A run is a pure function of its configuration, so the file is named after the configuration. If the folder is shared,
any trial, worker or host that trains the configuration next finds the file. Files hold tensors and plain values and are
read with `weights_only`, so that they cannot run code.
"""

import contextlib
import hashlib
import os
import pickle
import time
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from batchlaw.spec import TrainConfig

_FORMAT = 3
State = dict[str, Any]


def default_checkpoint_dir() -> Path:
    """A folder in the user's cache."""
    return Path.home() / ".cache" / "batchlaw" / "checkpoints"


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
        """The saved state; None if there is no file or it cannot be read."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # from torch, about files of other formats
                state: State = torch.load(self._file, map_location=device, weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError):
            return None
        return state if isinstance(state, dict) and state.get("format") == _FORMAT else None

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
        unfinished = self._file.with_suffix(f".{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.save(self._latest, unfinished)
                unfinished.replace(self._file)
            finally:
                unfinished.unlink(missing_ok=True)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Delete the file after the run has ended."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
