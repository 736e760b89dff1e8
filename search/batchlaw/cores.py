"""The CPU cores that this process may use, and its share of them among the workers of this machine."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

THREADS = "BATCHLAW_THREADS"  # in the environment of a worker: the number that the user chose …
MAX_THREADS = "BATCHLAW_MAX_THREADS"  # … or the worker's share of the cores, which its launcher knows


def _affinity(pid: int) -> set[int]:
    """The cores on which a process may run; 0 is this process, and one that has ended has none."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return set(range(os.cpu_count() or 1))
    try:
        return os.sched_getaffinity(pid)
    except ProcessLookupError:
        return set()


@dataclass(frozen=True)
class Machine:
    """Where the system says what a process may use. What it does not say sets no limit."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    affinity: Callable[[int], set[int]] = _affinity
    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")

    def cores(self) -> int:
        """The whole cores that this process may use, at least 1."""
        return self.share(())

    def share(self, others: Collection[int]) -> int:
        """The whole cores for this process if it divides them evenly with the processes `others`, at least 1.

        A core is divided among the processes that may run on it, and a CPU quota among those of its cgroup. A Slurm
        task and a launcher name the cores of one worker.
        """
        mine = self.affinity(0)
        masks = [mine, *(self.affinity(pid) for pid in others)]
        cores = sum(1 / sum(core in mask for mask in masks) for core in mine)
        group = self._text("self")
        quota = min(map(_quota, self._groups(group)), default=inf)
        members = 1 + sum(self._text(str(pid)) == group for pid in others)
        named = (self._number(name) or inf for name in ("SLURM_CPUS_PER_TASK", MAX_THREADS))
        return max(1, int(min(cores, quota / members, *named) + 1e-9))

    def given_threads(self) -> int | None:
        """The number of threads that the user's OMP_NUM_THREADS asks for; a launcher's own is none."""
        return None if MAX_THREADS in self.environ else self._number("OMP_NUM_THREADS")

    def _number(self, name: str) -> int | None:
        """A positive whole number of the environment; of a list, as OpenMP takes, the first."""
        first = self.environ.get(name, "").partition(",")[0].strip()
        return int(first) if first.isdecimal() and int(first) > 0 else None

    def _text(self, process: str) -> str:
        """The cgroups of a process, a line for each hierarchy."""
        with suppress(OSError):
            return (self.proc / process / "cgroup").read_text()
        return ""

    def _groups(self, text: str) -> Iterator[Path]:
        """The folders of these cgroups and of all around them. In a container the path may be that of its host."""
        for line in text.splitlines():
            _, controllers, path = line.split(":", 2)
            for root in (self.cgroups, self.cgroups / "cpu", self.cgroups / controllers):
                group = root / path.lstrip("/")
                yield from (group, *(outer for outer in group.parents if outer.is_relative_to(root)))


def _quota(group: Path) -> float:
    """The cores of a cgroup by its CPU quota; infinite without one."""
    with suppress(OSError, ValueError):  # of version 2; "max" is no number
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with suppress(OSError, ValueError):  # of version 1; -1 is no quota
        quota = (group / "cpu.cfs_quota_us").read_text()
        if int(quota) > 0:
            return int(quota) / int((group / "cpu.cfs_period_us").read_text())
    return inf


def cores() -> int:
    """The whole cores that this process may use."""
    return Machine().cores()
