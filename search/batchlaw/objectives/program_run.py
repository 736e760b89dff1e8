"""One run of the program of a study: what is heard of it, and how it ended."""

import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from batchlaw.errors import DeviceMemoryError, Diverged, ObjectiveError
from batchlaw.objectives.listeners import Hearing, counted_up_to, missing_line
from batchlaw.objectives.log_files import Missing, read_metric, stamps
from batchlaw.objectives.memory import tells_lack_of_memory
from batchlaw.objectives.output import Output
from batchlaw.objectives.starter import Starter, search_path
from batchlaw.objectives.threads import threads_in_use
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.arguments import arguments_of, filler
from batchlaw.spec import StudySpec
from batchlaw.storage.attributes import ARGUMENTS, OUTPUT

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # as the kernel does where memory runs out
# The last line of a traceback, of a process of torchrun's too, but not its own, which says that another has failed.
_ERROR = re.compile(r"^(?!.*ChildFailedError)(\[rank\d+\]: )?(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b")
_REPORTS = 100  # of a program that tells its progress more often, so many are passed on
_MOST_CHARACTERS = 8_000  # of the arguments that are stored


class Watch(Protocol):
    """Who is shown what a program runs and prints."""

    def started(self, arguments: Sequence[str]) -> None:
        """A program was started."""
        ...

    def hear(self, line: str, metrics: Mapping[str, float], progress: float | None) -> None:
        """It has printed a line, in which these metrics were heard; the progress is the last one told."""
        ...


def reason_of(output: Output) -> str:
    """Why a program failed, by the last lines that it printed."""
    lines = output.kept
    error = next((line for line in reversed(lines) if _ERROR.match(line)), None)
    return (error or output.last_error or (lines[-1] if lines else "no output")).strip()


class ProgramRun:
    """One run of the program of a study."""

    def __init__(
        self,
        spec: StudySpec,
        starter: Starter,
        trial: Trial,
        values: Mapping[str, Any],
        run_dir: Path | None,
        watch: Watch | None = None,
    ) -> None:
        """Prepare a run with the values of the placeholders."""
        self._watch = watch
        self._spec, self._starter, self._trial, self._run_dir = spec, starter, trial, run_dir
        self._values, self._fill = values, filler(values, spec)
        of = spec.progress.of if spec.progress else None
        self._hearing = Hearing(spec, counted_up_to(spec.progress, of and self._fill(of, "progress.of")))
        self._output = Output(self._hear, self._look)
        self._diverged = re.compile(spec.diverged.pattern) if spec.diverged and spec.diverged.pattern else None
        self._reported = 0.0
        self._before = {name: stamps(each, self._path(name)) for name, each in spec.metrics.items() if each.file}

    def metrics(self) -> dict[str, float]:
        """Run the program, and what scores it, and return all metrics."""
        spec = self._spec
        assert spec.command is not None
        self._follow("command", arguments_of(spec.command, self._values, spec))
        if spec.score_command is not None:
            parts = arguments_of(spec.score_command, self._values, spec, "score_command")
            self._follow("score_command", parts)
        found, missing = self._hearing.metrics, ""
        for name, listener in spec.metrics.items():
            if listener.file is not None:
                try:
                    found[name] = self._read(name)
                except Missing as reason:
                    missing = f"metrics.{name}: {reason}" if name == spec.arm.metric else missing
        if spec.arm.metric not in found:
            last = f"; its last line is {self._output.kept[-1]!r}" if self._output.kept else "; it printed nothing"
            told = missing or missing_line(spec.arm.metric, spec.metrics.get(spec.arm.metric))
            raise ObjectiveError(f"command: {told}{last}")
        return found

    def _follow(self, key: str, arguments: list[str]) -> None:
        """Run one program to its end.

        Raises:
            Diverged, DeviceMemoryError, ObjectiveError: it did not end well.
        """
        environment = {
            **os.environ, "PATH": search_path(), "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(threads_in_use()),
            **{name: self._fill(text, f"environment.{name}") for name, text in self._spec.environment.items()},
        }  # fmt: skip
        if key == "command":
            self._trial.notes[ARGUMENTS] = _bounded(arguments)
        if self._watch is not None:
            self._watch.started(arguments)
        process = self._starter.start(arguments, environment)
        try:
            code = self._output.follow(process)
        finally:
            self._trial.notes[OUTPUT] = self._output.kept
            self._starter.end(process)
        if code != 0:
            self._raise(key, code)

    def _raise(self, key: str, code: int) -> None:
        """Say why a program failed."""
        spec, lines = self._spec, self._output.kept
        if spec.diverged is not None and code in spec.diverged.exit_codes:
            raise Diverged
        how = f"ended by {_signal(-code)}" if code < 0 else f"exit code {code}"
        own = re.compile(spec.out_of_memory.pattern) if spec.out_of_memory else None
        full = next(
            (line for line in reversed(lines) if tells_lack_of_memory(line) or (own and own.search(line))), None
        )
        if full is not None or code in _KILLED:
            raise DeviceMemoryError(f"{key}: {how}: {(full or 'killed, as where memory runs out').strip()}")
        raise ObjectiveError(f"{key}: {how}: {reason_of(self._output)}")

    def _hear(self, line: str) -> None:
        if self._diverged is not None and self._diverged.search(line):
            raise Diverged
        found = self._hearing.hear(line)
        if self._watch is not None:
            metrics = self._hearing.metrics if found else {}
            self._watch.hear(line, {name: metrics[name] for name in found}, self._hearing.progress)
        if self._spec.arm.metric in found:
            self._report()

    def _look(self) -> None:
        """Look whether the program has written its metric into a file."""
        name = self._spec.arm.metric
        listener = self._spec.metrics.get(name)
        if listener is not None and listener.file is not None and listener.tensorboard is None and self._is_due():
            with suppress(Missing):
                self._report({name: self._read(name)})

    def _is_due(self) -> bool:
        share = self._hearing.progress
        return share is not None and share > self._reported and int(share * _REPORTS) > int(self._reported * _REPORTS)

    def _report(self, more: Mapping[str, float] | None = None) -> None:
        share = self._hearing.progress
        if share is None or share == self._reported:
            return
        if self._spec.progress is None and not 0 < share <= 1:
            raise ObjectiveError(f"command: progress: got {share:g}; must be above 0 and at most 1")
        if self._is_due():
            self._reported = share
            self._trial.report(share, {**self._hearing.metrics, **(more or {})})

    def _read(self, name: str) -> float:
        path = self._path(name)
        own = self._run_dir is not None and path.is_relative_to(self._run_dir)
        before = None if own else self._before[name]
        return read_metric(self._spec.metrics[name], path, direction=self._spec.direction, before=before)

    def _path(self, name: str) -> Path:
        """Of the file of a metric."""
        file = self._spec.metrics[name].file
        assert file is not None
        return self._starter.folder / self._fill(file, f"metrics.{name}")


def _bounded(arguments: Sequence[str]) -> list[str]:
    """Arguments as they are stored: MariaDB takes 64 KB."""
    share = _MOST_CHARACTERS // max(len(arguments), 1)
    long = len(shlex.join(arguments)) > _MOST_CHARACTERS
    return [word[:share] + "…" if long and len(word) > share else word for word in arguments]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
