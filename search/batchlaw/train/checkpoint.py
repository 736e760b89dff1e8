"""The state of a run at a report, in a file, so that what was cut off goes on from there.

A run is a pure function of its configuration, so the file is named by it: whichever trial, worker or host trains the
configuration next finds it, where the folder is shared. Files hold tensors and plain values, and are read without
running code from them (`weights_only`).
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
    """In the user's cache."""
    return Path.home() / ".cache" / "batchlaw" / "checkpoints"


class Checkpoint:
    """The file of one configuration, or of several that train together, in a folder."""

    def __init__(self, folder: Path, configs: Sequence[TrainConfig], every_seconds: float) -> None:
        """`every_seconds` of training at most are lost to a kill, and none but a second's to a request to stop."""
        name = "".join(config.model_dump_json() for config in configs)
        key = hashlib.sha256(name.encode()).hexdigest()[:32]
        self._file = folder / f"{key}.pt"
        self._every = every_seconds
        self._latest: State | None = None
        self._kept = self._written = time.monotonic()

    def load(self, device: torch.device) -> State | None:
        """What was kept; None where there is nothing that can be read."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's, about files that are none of ours
                state: State = torch.load(self._file, map_location=device, weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError):
            return None
        return state if isinstance(state, dict) and state.get("format") == _FORMAT else None

    @property
    def due(self) -> bool:
        """Whether it is time to `keep` again; a state copied at every report would cost short trials too much."""
        return time.monotonic() - self._kept >= min(1.0, self._every)

    def keep(self, state: State) -> None:
        """Copy a state, and write it where the last writing lies far enough back."""
        self._latest = deepcopy(state) | {"format": _FORMAT}
        self._kept = time.monotonic()
        if self._kept - self._written >= self._every:
            self.write()

    def write(self) -> None:
        """Write the latest state that was kept, whole or not at all. A full disk costs the checkpoint, not the run."""
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
        """The run has ended."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
