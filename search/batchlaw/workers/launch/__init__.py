"""Starting workers: on this machine, on Slurm and on Ray."""

from batchlaw.workers.launch.devices import cores, local_devices, shares
from batchlaw.workers.launch.local import LocalFleet

__all__ = ["LocalFleet", "cores", "local_devices", "shares"]
