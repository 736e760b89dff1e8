"""Starting workers: on this machine."""

from search.launch.local import LocalFleet, local_devices

__all__ = ["LocalFleet", "local_devices"]
