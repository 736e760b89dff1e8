"""The device of this machine that code of the user's own may use, told without loading PyTorch into this process."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from batchlaw.errors import BatchlawError

# The device files of accelerators on Linux: NVIDIA's, AMD's, Intel's and others'.
_FILES = ("nvidia[0-9]*", "nvidiactl", "kfd", "dxg", "dri/renderD*", "accel/*", "davinci*")
_ASK = """
import sys
from batchlaw.errors import BatchlawError
from batchlaw.train.device import device_name, device_named
try:
    device = device_named(sys.argv[1])
except BatchlawError as error:
    sys.exit(error.message)
print(device.type, device_name(device), sep="\\n")
"""


@dataclass(frozen=True)
class MachineDevice:
    """What is recorded of a device."""

    type: str  # as PyTorch names it
    name: str  # the type, for CUDA with the name of the product


def machine_device(name: str, files: Path = Path("/dev")) -> MachineDevice:
    """The device of a name; "auto" is this machine's accelerator, or the CPU if it has none.

    Where an accelerator may be, another process asks PyTorch for it.

    Args:
        name: as in `batchlaw.train.device.device_named`.
        files: the folder of Linux's device files.

    Raises:
        BatchlawError: this machine has no such device.
    """
    if name == "cpu" or (name == "auto" and sys.platform == "linux" and not any(map(any, map(files.glob, _FILES)))):
        return MachineDevice("cpu", "cpu")
    asked = subprocess.run([sys.executable, "-P", "-c", _ASK, name], capture_output=True, text=True, check=False)
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["PyTorch does not start"])[-1]
        raise BatchlawError(reason, argument="device", got=name)
    kind, told = asked.stdout.splitlines()[-2:]
    return MachineDevice(kind, told)
