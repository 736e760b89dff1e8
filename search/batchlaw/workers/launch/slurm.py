"""Workers as Slurm jobs, through submitit; its local executor runs the same jobs on this machine."""

import os
from pathlib import Path
from typing import Any

from batchlaw.errors import BatchlawError, WorkFailed
from batchlaw.workers.launch.process import run_worker, worker_environment


def submit(
    arguments: list[str],
    *,
    storage_url: str,
    workers: int,
    threads: int | None,
    cores: int,
    gpus_per_worker: int | None,
    workers_per_gpu: int | None,
    nodes: int = 1,
    minutes: int,
    options: dict[str, str],
    folder: Path,
    here: bool,
) -> list[str]:
    """Submit workers as one array of jobs, and return the ids of the jobs.

    The URL of the database is passed in the environment, not in the pickled job, which other users may be able to read.

    Args:
        arguments: of `batchlaw worker`.
        storage_url: of the database.
        workers: how many. With `workers_per_gpu`, as many of them share a job and its GPU.
        threads: of each worker, as the user chose; None leaves the choice to the worker.
        cores: of each worker at most, where it chooses.
        gpus_per_worker: GPUs of each worker.
        workers_per_gpu: workers that share a GPU.
        nodes: of each worker, which share its GPUs; the worker runs on the first. On this machine there is one.
        minutes: time limit. A worker gives its trial back when Slurm warns of it.
        options: further options of Slurm, such as partition.
        folder: of submitit's files and the logs, on a disk that all nodes see.
        here: run the jobs on this machine, with submitit's local executor.

    Raises:
        BatchlawError: submitit is not installed, or refuses an option.
        WorkFailed: Slurm refuses the jobs.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise BatchlawError("submitit is not installed: pip install 'batchlaw[slurm]'") from None
    # Jobs start in this folder; they must not import batchlaw, or what it needs, from here.
    os.environ.update(worker_environment(storage_url, threads, cores) | {"PYTHONSAFEPATH": "1"})
    tasks = workers_per_gpu or 1
    n_jobs = -(-workers // tasks)
    try:
        executor = submitit.AutoExecutor(folder=str(folder), cluster="local" if here else "slurm")
        executor.update_parameters(
            name="batchlaw", timeout_min=minutes, cpus_per_task=threads or cores, tasks_per_node=tasks,
            nodes=1 if here else nodes, gpus_per_node=1 if workers_per_gpu else (gpus_per_worker or 0) // nodes,
        )  # fmt: skip
        if not here:
            executor.update_parameters(slurm_array_parallelism=n_jobs, slurm_use_srun=nodes == 1, **_slurm(options))
        with executor.batch():
            jobs = [executor.submit(_worker, arguments) for _ in range(n_jobs)]
    except (RuntimeError, TypeError, ValueError, NameError) as error:
        raise BatchlawError(f"submitit: {_one_line(error)}") from None
    except submitit.core.utils.FailedJobError as error:
        raise WorkFailed(f"Slurm: {_one_line(error)}") from None
    return [job.job_id for job in jobs]  # not the jobs, whose __del__ raises when the interpreter ends


def _slurm(options: dict[str, str]) -> dict[str, Any]:
    """Options in the form of submitit: some have names of their own there, the others are passed to sbatch."""
    known = {"partition", "qos", "constraint", "exclude", "mem", "comment", "account"}
    named = {f"slurm_{key}": value for key, value in options.items() if key in known}
    further = {key: value for key, value in options.items() if key not in known}
    return named | {"slurm_additional_parameters": further}


def _worker(arguments: list[str]) -> int:
    os.environ.pop("PYTHONSAFEPATH", None)  # a user's program may well import from its folder
    return run_worker(arguments, {})


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
