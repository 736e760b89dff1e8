"""Workers as processes of this machine: one for each GPU, or one for each core, with its share of the threads."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import IO

from search.errors import WorkFailed


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


class LocalFleet:
    """The worker processes of one run; leaving the context stops what still runs."""

    def __init__(self, arguments: list[str], *, storage_url: str, workers: int, gpus: list[str]) -> None:
        """Start `batchlaw worker ARGUMENTS` `workers` times, each with one GPU of `gpus` or a share of the cores."""
        threads = max(1, (os.cpu_count() or 1) // workers)
        self._logs: list[IO[str]] = []
        self._processes: list[subprocess.Popen[str]] = []
        for index in range(workers):
            environment = os.environ | {
                # OpenMP sizes its pool when torch is loaded; the worker sets torch's own number as well.
                "OMP_NUM_THREADS": str(threads),
                "BATCHLAW_THREADS": str(threads),
                "BATCHLAW_STORAGE": storage_url,  # a command line, and a password on it, is for everyone to read
            }
            if gpus:
                environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
            log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed in __exit__)
            self._logs.append(log)
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "search", "worker", *arguments],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,  # Ctrl-C reaches this process, which passes it on once
                )
            )

    def __enter__(self) -> "LocalFleet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.wait(60.0)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for log in self._logs:
            log.close()

    @property
    def running(self) -> int:
        """Workers that have not ended."""
        return sum(process.poll() is None for process in self._processes)

    def stop(self) -> None:
        """Ask every worker to hand its trial back and end."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait for all workers to end, at most `seconds`."""
        until = time.monotonic() + seconds
        while self.running and time.monotonic() < until:
            time.sleep(0.05)

    def check(self) -> None:
        """Raise the words of the first worker that failed, once none is left to do the work.

        Raises:
            WorkFailed: a worker ended with an error.
        """
        for index, process in enumerate(self._processes):
            if process.poll():
                self._logs[index].seek(0)
                words = [line for line in self._logs[index].read().splitlines() if line.strip()] or ["no output"]
                last = words[-1].removeprefix("error: ")
                raise WorkFailed(f"worker {index} ended with exit code {process.returncode}: {last}")
