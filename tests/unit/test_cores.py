"""The cores of a process by what the system says, from files as Linux writes them."""

import os
from pathlib import Path

import pytest
from batchlaw.cores import Machine

SIXTEEN = set(range(16))


def machine(
    folder: Path, files: dict[str, str], environ: dict[str, str] | None = None, **affinity: set[int]
) -> Machine:
    """A machine of sixteen cores, with these files; processes have the affinity given as `p17={0, 1}`."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Machine(
        environ or {}, lambda pid: affinity.get(f"p{pid}", SIXTEEN), proc=folder / "proc", cgroups=folder / "cgroup"
    )


V2 = {"proc/self/cgroup": "0::/outer/inner\n"}
V1 = {"proc/self/cgroup": "12:memory:/job\n4:cpu,cpuacct:/job\n"}

CPUACCT = "cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "environ", "cores"),
    [
        ({}, {}, 16),
        (V2 | {"cgroup/outer/inner/cpu.max": "400000 100000\n"}, {}, 4),
        (V2 | {"cgroup/outer/inner/cpu.max": "250000 100000\n"}, {}, 2),  # whole cores
        (V2 | {"cgroup/outer/inner/cpu.max": "50000 100000\n"}, {}, 1),
        (V2 | {"cgroup/outer/inner/cpu.max": "max 100000\n"}, {}, 16),
        (V2 | {"cgroup/outer/inner/cpu.max": "max 100000\n", "cgroup/outer/cpu.max": "300000 100000\n"}, {}, 3),
        ({"proc/self/cgroup": "0::/of/the/host\n", "cgroup/cpu.max": "200000 100000\n"}, {}, 2),  # in a container
        (V1 | {"cgroup/cpu/job/cpu.cfs_quota_us": "600000", "cgroup/cpu/job/cpu.cfs_period_us": "100000"}, {}, 6),
        (V1 | {f"{CPUACCT}/job/cpu.cfs_quota_us": "50000", f"{CPUACCT}/job/cpu.cfs_period_us": "10000"}, {}, 5),
        (V1 | {"cgroup/cpu/job/cpu.cfs_quota_us": "-1", "cgroup/cpu/job/cpu.cfs_period_us": "100000"}, {}, 16),
        ({}, {"SLURM_CPUS_PER_TASK": "8"}, 8),
        (V2 | {"cgroup/outer/inner/cpu.max": "400000 100000\n"}, {"SLURM_CPUS_PER_TASK": "8"}, 4),
        ({}, {"BATCHLAW_MAX_THREADS": "3", "SLURM_CPUS_PER_TASK": "8"}, 3),
        ({}, {"SLURM_CPUS_PER_TASK": "many"}, 16),
    ],
)  # fmt: skip
def test_the_least_of_what_affinity_cgroup_and_slurm_grant(tmp_path, files, environ, cores):
    assert machine(tmp_path, files, environ).cores() == cores


def test_a_core_is_divided_among_the_processes_that_may_run_on_it(tmp_path):
    assert machine(tmp_path, {}).share([17]) == 8
    assert machine(tmp_path, {}).share([17, 18, 19, 20, 21]) == 2
    assert machine(tmp_path, {}).share(range(100, 140)) == 1
    assert machine(tmp_path, {}, p0={0, 1, 2, 3}, p17={4, 5, 6, 7}).share([17]) == 4  # tasks that Slurm has bound
    assert machine(tmp_path, {}, p0={0, 1, 2, 3}, p17={2, 3}, p18={3}).share([17, 18]) == 2
    assert machine(tmp_path, {}, p17=set()).share([17]) == 16  # it has ended


def test_a_quota_is_divided_within_its_cgroup(tmp_path):
    files = V2 | {"cgroup/outer/inner/cpu.max": "600000 100000\n"}
    files |= {"proc/17/cgroup": files["proc/self/cgroup"], "proc/18/cgroup": "0::/another\n"}
    assert machine(tmp_path, files).share([17, 18]) == 3


def test_the_number_of_a_slurm_task_or_a_launcher_is_that_of_one_worker(tmp_path):
    for name in ("SLURM_CPUS_PER_TASK", "BATCHLAW_MAX_THREADS"):
        assert machine(tmp_path, {}, {name: "4"}).share([17, 18]) == 4


@pytest.mark.parametrize(
    ("environ", "given"),
    [
        ({}, None), ({"OMP_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "4,2"}, 4), ({"OMP_NUM_THREADS": ""}, None),
        ({"OMP_NUM_THREADS": "0"}, None), ({"OMP_NUM_THREADS": "3", "BATCHLAW_MAX_THREADS": "3"}, None),
    ],
)  # fmt: skip
def test_what_the_user_asks_of_openmp_is_told_from_what_a_launcher_sets(environ, given):
    assert Machine(environ).given_threads() == given


def test_this_process():
    own = Machine({})
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= own.cores() <= bound
    assert 1 <= own.share([os.getppid()]) <= own.cores()
