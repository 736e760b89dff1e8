"""Which GPU a worker sees, by UUID, so that no numbering is in doubt."""

import os
import shutil
import subprocess

from batchlaw.errors import BatchlawError


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_devices() -> list[str]:
    """UUIDs of the NVIDIA GPUs of this machine, without importing torch or waking a GPU's context."""
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


def shares(gpus: list[str], workers: int, *, gpus_per_worker: int | None, workers_per_gpu: int | None) -> list[str]:
    """`CUDA_VISIBLE_DEVICES` of each worker; nothing where there is no GPU to share, and none was asked for.

    Without a request workers take turns, one GPU each.

    Raises:
        BatchlawError: more are asked for than there are.
    """
    if gpus_per_worker is not None:
        needed = workers * gpus_per_worker
        if needed > len(gpus):
            raise BatchlawError(
                f"--gpus-per-worker: got {gpus_per_worker}; {workers} workers need {needed} GPUs; {len(gpus)} found"
            )
        each = [gpus[i * gpus_per_worker : (i + 1) * gpus_per_worker] for i in range(workers)]
        return [",".join(part) for part in each]
    if workers_per_gpu is not None:
        if workers > workers_per_gpu * len(gpus):
            raise BatchlawError(
                f"--workers-per-gpu: got {workers_per_gpu}; {workers} workers do not fit {len(gpus)} GPUs"
            )
        return [gpus[i // workers_per_gpu] for i in range(workers)]
    return [gpus[i % len(gpus)] for i in range(workers)] if gpus else []
