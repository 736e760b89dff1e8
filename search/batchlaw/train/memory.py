"""How many examples fit the memory of a device: found by halving, and remembered until the process ends."""

import resource
import sys
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch

from batchlaw.errors import DeviceMemoryError

_LARGEST: dict[tuple[torch.device, Hashable], int] = {}  # micro-batch that fits, by device and network
Result = TypeVar("Result")


def micro_batch_size(device: torch.device, network: Hashable, batch_size: int) -> int:
    """Examples to compute at once: the batch, or fewer if this network needed fewer on this device before."""
    return min(batch_size, _LARGEST.get((device, network), batch_size))


def remember(device: torch.device, network: Hashable, size: int) -> None:
    """Remember a micro-batch size that fits, for later trials of the process."""
    _LARGEST[device, network] = size


def halve_until_fits(compute: Callable[[int], Result], size: int, device: torch.device, what: str) -> Result:
    """The result of `compute(size)`, with the size halved until it fits the memory of the device.

    Raises:
        DeviceMemoryError: size 1 does not fit; the message begins with `what`.
    """
    while True:
        try:
            return compute(size)
        except torch.OutOfMemoryError:
            if size == 1:
                raise DeviceMemoryError(f"{what} does not fit with one example at a time") from None
        size //= 2
        release(device)


def release(device: torch.device) -> None:
    """Give cached memory back to the device after it ran out."""
    if device.type != "cpu":
        torch.accelerator.memory.empty_cache()


def reset_peak(device: torch.device) -> None:
    """Start to measure `peak_bytes` anew."""
    if device.type != "cpu":
        torch.accelerator.memory.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """Peak memory in bytes: of an accelerator since `reset_peak`; on the CPU, of the process since its start."""
    if device.type != "cpu":
        return int(torch.accelerator.memory.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
