"""A worker as a process of its own: what every way of launching comes down to."""

import os
import subprocess
import sys

STOP_SECONDS = 15.0  # for a worker to hand its trial back


def worker_command(arguments: list[str]) -> list[str]:
    """`batchlaw worker ARGUMENTS` by this interpreter."""
    return [sys.executable, "-m", "batchlaw", "worker", *arguments]


def worker_environment(storage_url: str, threads: int) -> dict[str, str]:
    """What a worker is told apart from its command line, which, with a password on it, is for everyone to read."""
    # OpenMP sizes its pool when torch is loaded; the worker sets torch's own number as well.
    return {"OMP_NUM_THREADS": str(threads), "BATCHLAW_THREADS": str(threads), "BATCHLAW_STORAGE": storage_url}


def run_worker(arguments: list[str], environment: dict[str, str]) -> int:
    """Run a worker to its end, here; a request to stop this process is passed on. Its exit code."""
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
