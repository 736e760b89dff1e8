"""A program as an objective: it gets the configuration in its arguments and reports through its output.

The program prints JSON objects, one a line. A line with the study's metric and `progress`, the share of the budget used
(above 0 and at most 1), is a report. The last line with the metric is the result. NaN means that the run diverged.
Other output is ignored. The command is a list without a shell, so each part is one argument.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from batchlaw.errors import ObjectiveError
from batchlaw.objectives.trial import Trial
from batchlaw.spec import StudySpec

_PATIENCE_SECONDS = 5.0  # from SIGTERM to SIGKILL


class Command:
    """The objective of a study with a `command`; `python` as its first part is the interpreter of this worker."""

    def __init__(self, spec: StudySpec, folder: Path) -> None:
        assert spec.command is not None
        self._parts, self._folder, self._metric = spec.command, folder, spec.arm.metric

    def __call__(self, trial: Trial) -> Mapping[str, float]:
        """Run the program once.

        Raises:
            ObjectiveError: it cannot be started, fails, or ends without the metric.
        """
        values = trial.config.placeholders()
        arguments = [part.format(**values) for part in self._parts]
        if arguments[0] == "python":
            arguments[0] = sys.executable
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            try:
                program = subprocess.Popen(
                    arguments, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                    encoding="utf-8", errors="replace", bufsize=1, start_new_session=True,
                    env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
                )  # fmt: skip
            except OSError as error:
                raise ObjectiveError(f"command: {arguments[0]!r} cannot be started: {error.strerror}") from None
            try:
                result = self._listen(program, trial)
                code = program.wait()
            finally:
                _end(program)
            if code != 0:
                errors.seek(0)
                lines = [line for line in errors.read().splitlines() if line.strip()]
                raise ObjectiveError(f"command: exit code {code}: {lines[-1].strip() if lines else 'no error output'}")
        if self._metric not in result:
            raise ObjectiveError(f'command: printed no line with {self._metric!r}, such as {{"{self._metric}": 0.5}}')
        return result

    def _listen(self, program: "subprocess.Popen[str]", trial: Trial) -> dict[str, float]:
        """Pass reports on until the output ends, and return the last metrics."""
        result: dict[str, float] = {}
        assert program.stdout is not None
        for line in program.stdout:
            metrics = _metrics(line)
            progress = metrics.pop("progress", None)
            if self._metric not in metrics:
                continue
            result = metrics
            if progress is not None:
                if not 0 < progress <= 1:
                    raise ObjectiveError(f"command: progress: got {progress:g}; must be above 0 and at most 1")
                trial.report(progress, metrics)
        return result


def _metrics(line: str) -> dict[str, float]:
    """The numbers in a line that is a JSON object; none for any other line."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: float(v) for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _end(program: "subprocess.Popen[str]") -> None:
    """End the program and all processes that it started, if it still runs."""
    if program.stdout is not None:
        program.stdout.close()
    if program.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_PATIENCE_SECONDS)
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
    program.wait()
