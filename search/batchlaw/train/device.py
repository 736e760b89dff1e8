"""Devices to train on, by name."""

import torch

from batchlaw.errors import BatchlawError


def device_named(name: str) -> torch.device:
    """The device of a name; "auto" is this machine's accelerator, or the CPU if it has none.

    Raises:
        BatchlawError: this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BatchlawError("must be auto, cpu or an accelerator such as cuda", argument="device", got=name) from None
    if device.type != "cpu" and (accelerator is None or device.type != accelerator.type):
        has = accelerator.type if accelerator else "cpu only"
        raise BatchlawError(f"this machine has {has}", argument="device", got=name)
    return device


def device_name(device: torch.device) -> str:
    """The type of a device, for CUDA with the name of the product, such as `cuda (NVIDIA H100)`."""
    if device.type != "cuda":
        return device.type
    return f"cuda ({torch.cuda.get_device_name(device)})"
