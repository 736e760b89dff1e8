"""The devices of this machine, and which of them each worker uses. GPUs are named by UUID, not by number."""

import os
import shutil
import subprocess

from batchlaw.errors import BatchlawError


def local_devices() -> list[str]:
    """UUIDs of the NVIDIA GPUs of this machine, found without PyTorch, which would open a context on a GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device and device != "-1"]
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listing = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return listing.split()


def shares(
    gpus: list[str], workers: int, *, gpus_per_worker: int | None, workers_per_gpu: int | None, devices: int = 1
) -> list[str]:
    """`CUDA_VISIBLE_DEVICES` of each worker; an empty list if there is no GPU and none was asked for.

    Without `gpus_per_worker` and `workers_per_gpu`, each worker gets as many GPUs as a trial has `devices`; where it is
    one, in turn.

    Raises:
        BatchlawError: more GPUs are asked for than there are.
    """
    if gpus and devices > 1 and gpus_per_worker is None and workers_per_gpu is None:
        gpus_per_worker = devices
    if gpus_per_worker is not None:
        needed = workers * gpus_per_worker
        if needed > len(gpus):
            raise BatchlawError(
                f"{workers} workers need {needed} GPUs; {len(gpus)} found",
                argument="gpus_per_worker", got=gpus_per_worker,
            )  # fmt: skip
        each = [gpus[i * gpus_per_worker : (i + 1) * gpus_per_worker] for i in range(workers)]
        return [",".join(part) for part in each]
    if workers_per_gpu is not None:
        if workers > workers_per_gpu * len(gpus):
            raise BatchlawError(
                f"{workers} workers do not fit {len(gpus)} GPUs", argument="workers_per_gpu", got=workers_per_gpu
            )
        return [gpus[i // workers_per_gpu] for i in range(workers)]
    return [gpus[i % len(gpus)] for i in range(workers)] if gpus else []
