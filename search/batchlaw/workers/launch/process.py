"""A worker as a process of its own, which every way of launching starts in the end."""

import os
import subprocess
import sys

STOP_SECONDS = 15.0  # for a worker to give its trial back


def worker_command(arguments: list[str]) -> list[str]:
    """`batchlaw worker ARGUMENTS` by this interpreter; with -P it imports no module of the working folder."""
    return [sys.executable, "-P", "-m", "batchlaw", "worker", *arguments]


def worker_environment(storage_url: str, threads: int) -> dict[str, str]:
    """What a worker gets in its environment: every user of a machine can read command lines, and a URL has a password.

    OpenMP sizes its pool when PyTorch is loaded, so the number of threads is set before.
    """
    return {"OMP_NUM_THREADS": str(threads), "BATCHLAW_THREADS": str(threads), "BATCHLAW_STORAGE": storage_url}


def run_worker(arguments: list[str], environment: dict[str, str]) -> int:
    """Run a worker to its end and return its exit code; if this process is stopped, so is the worker."""
    process = subprocess.Popen(worker_command(arguments), env=os.environ | environment, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
