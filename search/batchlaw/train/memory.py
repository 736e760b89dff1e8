"""How much of a batch a device can hold: found by halving, remembered for the process."""

import resource
import sys
from collections.abc import Hashable

import torch

_LARGEST: dict[tuple[torch.device, Hashable], int] = {}


def micro_batch_size(device: torch.device, network: Hashable, batch_size: int) -> int:
    """Examples to compute at once: the whole batch, unless this network needed fewer on this device before."""
    return min(batch_size, _LARGEST.get((device, network), batch_size))


def remember(device: torch.device, network: Hashable, size: int) -> None:
    """Keep what fitted, for later trials of the process."""
    _LARGEST[device, network] = size


def release(device: torch.device) -> None:
    """Give cached blocks back to the device after it ran out."""
    if device.type != "cpu":
        torch.accelerator.memory.empty_cache()


def reset_peak(device: torch.device) -> None:
    """Start measuring the peak of a trial."""
    if device.type != "cpu":
        torch.accelerator.memory.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """Peak memory: of the accelerator since `reset_peak`, or of the whole process on the CPU."""
    if device.type != "cpu":
        return int(torch.accelerator.memory.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
