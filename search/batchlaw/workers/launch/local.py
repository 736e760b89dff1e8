"""Workers as processes of this machine, each with its own GPUs and threads."""

import os
import signal
import subprocess
import tempfile
import time
from datetime import datetime
from types import TracebackType
from typing import IO

from batchlaw.cores import cores
from batchlaw.workers.fleet import WorkerEnd
from batchlaw.workers.launch.process import worker_command, worker_environment


class LocalFleet:
    """The worker processes of one run; leaving the context stops what still runs."""

    def __init__(
        self, arguments: list[str], *, storage_url: str, workers: int, threads: int | None = None, gpus: list[str]
    ) -> None:
        """Start `batchlaw worker ARGUMENTS` so many times; worker i sees the GPUs of `gpus[i]`, if there are any.

        `threads` of each are the user's choice, or None.
        """
        share = max(1, cores() // workers)
        self.started = datetime.now()
        self._logs: list[IO[str]] = []
        self._processes: list[subprocess.Popen[str]] = []
        for index in range(workers):
            environment = os.environ | worker_environment(storage_url, threads, share)
            if gpus:
                environment["CUDA_VISIBLE_DEVICES"] = gpus[index]
            log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed in __exit__)
            self._logs.append(log)
            self._processes.append(
                subprocess.Popen(
                    worker_command(arguments),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the workers
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
        """How many workers have not ended."""
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

    def ends(self) -> list[WorkerEnd]:
        """How each worker ended; call it when none is running."""
        ends = []
        for index, (process, log) in enumerate(zip(self._processes, self._logs, strict=True)):
            log.seek(0)
            lines = [line for line in log.read().splitlines() if line.strip()] or ["no output"]
            ends.append(WorkerEnd(worker=index, exit_code=process.wait(), last_line=lines[-1].removeprefix("error: ")))
        return ends
