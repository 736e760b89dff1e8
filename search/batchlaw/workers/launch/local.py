"""Workers as processes of this machine, each with its own GPUs and threads."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import IO

from batchlaw.cores import cores
from batchlaw.workers.fleet import Death, WorkerEnd
from batchlaw.workers.launch.process import worker_command, worker_environment

_MOST_REPLACED = 5  # times that a worker of a run is replaced after a death


class LocalFleet:
    """The worker processes of one run; leaving the context stops what still runs."""

    def __init__(
        self,
        arguments: list[str],
        *,
        storage_url: str,
        workers: int,
        threads: int | None = None,
        timeout: float | None = None,
        gpus: list[str],
    ) -> None:
        """Start `batchlaw worker ARGUMENTS` so many times; worker i sees the GPUs of `gpus[i]`, if there are any.

        `threads` of each are the user's choice, or None. After `timeout` seconds from now none starts a trial.
        """
        share = max(1, cores() // workers)
        self.started, self.began = datetime.now(), time.monotonic()
        self._command = worker_command(arguments)
        self._environment = os.environ | worker_environment(storage_url, threads, share)
        self._gpus, self._timeout, self._stopping = gpus, timeout, False
        self._judged: set[int] = set()  # PIDs of processes whose end was looked into
        self._logs: list[IO[str]] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._deaths: list[list[int | None]] = [[] for _ in range(workers)]  # of each worker, the trials it left behind
        for index in range(workers):
            self._logs.append(tempfile.TemporaryFile("w+", encoding="utf-8"))  # noqa: SIM115  (closed in __exit__)
            self._processes.append(self._start(index))

    def _start(self, index: int) -> "subprocess.Popen[str]":
        visible = {"CUDA_VISIBLE_DEVICES": self._gpus[index]} if self._gpus else {}
        limit = []
        if self._timeout is not None:
            limit = ["--timeout", f"{max(self._timeout - (time.monotonic() - self.began), 0.0):.3f}"]
        return subprocess.Popen(
            [*self._command, *limit],
            env=self._environment | visible,
            stdin=subprocess.DEVNULL,
            stdout=self._logs[index],
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the workers
        )

    def replace_dead(self, death_of: Callable[[int], Death | None]) -> list[WorkerEnd]:
        """Start another worker in the place of each that has died, a bounded number of times.

        Args:
            death_of: tells by the PID of a process that has ended whether it died.

        Returns:
            The ends of those that were replaced.
        """
        replaced = []
        for index, process in enumerate(self._processes):
            if self._stopping or process.poll() is None or process.pid in self._judged:
                continue
            self._judged.add(process.pid)
            if (death := death_of(process.pid)) is not None:
                self._deaths[index].append(death.trial)
                if len(self._deaths[index]) <= _MOST_REPLACED:
                    replaced.append(self._end(index))
                    self._processes[index] = self._start(index)
        return replaced

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
        self._stopping = True
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
        return [self._end(index) for index in range(len(self._processes))]

    def _end(self, index: int) -> WorkerEnd:
        log, deaths = self._logs[index], self._deaths[index]
        log.seek(0)
        lines = [line for line in log.read().splitlines() if line.strip()] or ["no output"]
        return WorkerEnd(
            worker=index,
            exit_code=self._processes[index].wait(),
            last_line=lines[-1].removeprefix("error: "),
            trial=deaths[-1] if deaths else None,
        )
