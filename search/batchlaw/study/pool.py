"""The processes of this machine that train runs of the user's own code outside of a study."""

from typing import TYPE_CHECKING

from batchlaw.cores import Machine, cores
from batchlaw.spec import StudySpec

if TYPE_CHECKING:
    from batchlaw.measure.run_pool import RunPool
    from batchlaw.study.code import Code


def pool_of(code: "Code", spec: StudySpec, device: str, threads: int | None) -> "RunPool | None":
    """A process for each GPU, or else for each core, or for as many of them as a trial has devices.

    None of a built-in task, and of a function that only this process has.

    Args:
        code: of the study.
        spec: the study.
        device: to train on.
        threads: of the CPU for each process; None takes OMP_NUM_THREADS, or else an equal share of the cores.
    """
    if spec.user_code is None or code.folder is None:
        return None
    from batchlaw.measure.run_pool import RunPool
    from batchlaw.study.running import gpus_for, n_workers
    from batchlaw.workers.launch import shares

    gpus, given = gpus_for(device), threads or Machine().given_threads()
    if gpus:
        n = n_workers(gpus, spec.devices)
    else:
        n = n_workers((), spec.devices * (given or 1)) if device in ("auto", "cpu") else 1
    visible = shares(gpus, n, gpus_per_worker=None, workers_per_gpu=None, devices=spec.devices)
    environments = [{"CUDA_VISIBLE_DEVICES": each} for each in visible] or [{} for _ in range(n)]
    return RunPool(code.folder, environments, given or max(1, cores() // n))
