"""Worker processes: on this machine, on Slurm, on Ray."""

from search.launch.devices import local_devices, shares
from search.launch.local import LocalFleet

__all__ = ["LocalFleet", "local_devices", "shares"]
