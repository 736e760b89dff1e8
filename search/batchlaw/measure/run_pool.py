"""Runs of the user's own code outside of a study, side by side in processes of this machine."""

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO

from batchlaw.cores import MAX_THREADS
from batchlaw.errors import Diverged, ObjectiveError
from batchlaw.spec import StudySpec, TrainConfig

_END_SECONDS = 15.0  # for a process to end its program

Told = Mapping[str, float] | Diverged  # of one seed


@dataclass(frozen=True)
class _Process:
    """A process that trains one run after another, and the connection over which it is told which."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    log: IO[bytes]

    def last_line(self) -> str:
        """Of its output, and how it ended."""
        code = self.process.wait()
        self.log.seek(0)
        lines = [line for line in self.log.read().decode(errors="replace").splitlines() if line.strip()]
        return f"its process ended with exit code {code}: {lines[-1] if lines else 'no output'}"


@dataclass(frozen=True)
class RunPool:
    """Processes that can import the user's code.

    Attributes:
        folder: of the study file.
        environments: what each of the processes has in its environment beside that of this one.
        threads: of the CPU for each.
    """

    folder: Path
    environments: Sequence[Mapping[str, str]]
    threads: int

    def train(
        self, configs: Sequence[TrainConfig], spec: StudySpec, tick: Callable[[], None], *, first: int = 0
    ) -> list[Told]:
        """The metrics of each run, or that it diverged.

        A run that fails is run again, as often as a trial of the study would be.

        Args:
            configs: of one seed each.
            spec: their study.
            tick: called after each run.
            first: the number of the first run as a trial; that of the next is one more. A script may name files by it.

        Raises:
            ObjectiveError: a run failed each time.
        """
        left = deque(range(len(configs)))
        found, attempts = dict[int, Told](), [0] * len(configs)
        with ExitStack() as stack:
            idle = [
                stack.enter_context(self._started(spec, environment))
                for environment, _ in zip(self.environments, configs, strict=False)
            ]
            busy: dict[Connection, tuple[_Process, int]] = {}
            while left or busy:
                while left and idle:
                    process, run = idle.pop(), left.popleft()
                    request = {"config": configs[run].model_dump_json(), "number": first + run}
                    process.connection.send_bytes(json.dumps(request).encode())
                    busy[process.connection] = process, run
                for connection in wait(list(busy)):
                    assert isinstance(connection, Connection)
                    process, run = busy.pop(connection)
                    try:
                        answer = json.loads(connection.recv_bytes())
                    except EOFError:
                        raise ObjectiveError(_of(configs[run], process.last_line())) from None
                    idle.append(process)
                    attempts[run] += 1
                    if "error" not in answer:
                        untrained = answer.get("diverged")
                        found[run] = answer["metrics"] if untrained is None else Diverged(untrained)
                        tick()
                    elif attempts[run] > spec.arm.max_retries:
                        raise ObjectiveError(_of(configs[run], answer["error"]))
                    else:
                        left.append(run)
        return [found[run] for run in range(len(configs))]

    @contextmanager
    def _started(self, spec: StudySpec, environment: Mapping[str, str]) -> Iterator[_Process]:
        """A process, which ends with what it has started when this context is left."""
        threads = str(self.threads)
        here, there = Pipe()
        with here, there, tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "batchlaw.measure.run_process", str(there.fileno()), str(self.folder)],
                env={**os.environ, "OMP_NUM_THREADS": threads, MAX_THREADS: threads, **environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=[there.fileno()],
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others
            )  # fmt: skip
            there.close()
            here.send_bytes(spec.model_dump_json().encode())
            try:
                yield _Process(process, here, log)
            finally:
                here.close()  # at which the process ends its run
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _of(config: TrainConfig, reason: str) -> str:
    """Which run a reason belongs to."""
    names = ("batch_size", "peak_lr")
    known = {name: value for name in names if (value := getattr(config, name)) is not None} | config.parameters
    values = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in known.items())
    return f"{', '.join((*values, f'seed {config.seeds[0]}'))}: {reason}"
