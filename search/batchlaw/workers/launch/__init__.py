"""Starting workers: on this machine, on Slurm and on Ray."""

from batchlaw.workers.launch.devices import local_devices, shares
from batchlaw.workers.launch.local import LocalFleet

__all__ = ["LocalFleet", "local_devices", "shares"]
