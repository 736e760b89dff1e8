"""One of the processes of a trial on several devices: the program that torchrun starts for `Ranks`.

torchrun … -m batchlaw.objectives.rank TRIAL.json FOLDER
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1  # of prctl; linux/prctl.h


def _end_with(parent: int) -> None:
    """Have the kernel end this process with torchrun, which holds the devices of the trial; on Linux."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before
        raise SystemExit(1)


if __name__ == "__main__":
    _end_with(os.getppid())

    from batchlaw.objectives.rank_trial import train_part  # PyTorch takes seconds

    train_part(Path(sys.argv[1]), Path(sys.argv[2]))
