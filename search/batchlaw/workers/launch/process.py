"""A worker as a process of its own, which every way of launching starts in the end."""

import os
import subprocess
import sys
import time

from batchlaw.cores import MAX_THREADS, THREADS, Machine

_POLL_SECONDS = 0.1
STOP_SECONDS = 15.0  # for a worker to give its trial back


def worker_command(arguments: list[str]) -> list[str]:
    """`batchlaw worker ARGUMENTS` by this interpreter; with -P it imports no module of the working folder."""
    return [sys.executable, "-P", "-m", "batchlaw", "worker", *arguments]


def worker_environment(storage_url: str, threads: int | None, share: int) -> dict[str, str]:
    """What a worker gets in its environment: every user of a machine can read command lines, and a URL has a password.

    Args:
        storage_url: of the database.
        threads: that the user chose; None takes the user's OMP_NUM_THREADS, or else each worker decides.
        share: the most that a worker may take where it decides. OpenMP and BLAS, which read it when they are loaded,
            get no more either.
    """
    given = threads or Machine().given_threads()
    number, name = (str(share), MAX_THREADS) if given is None else (str(given), THREADS)
    return {"OMP_NUM_THREADS": number, name: number, "BATCHLAW_STORAGE": storage_url}


def run_worker(arguments: list[str], environment: dict[str, str]) -> int:
    """Run a worker to its end and return its exit code; if this process is stopped, so is the worker."""
    process = subprocess.Popen(worker_command(arguments), env=os.environ | environment, stdin=subprocess.DEVNULL)
    try:
        while (code := process.poll()) is None:  # Ray's request to stop does not interrupt a call that waits
            time.sleep(_POLL_SECONDS)
        return code
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
