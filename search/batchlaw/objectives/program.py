"""A program as an objective: it gets the configuration in its arguments and is heard through its output and its files.

Without a table [metrics] the program prints JSON objects, one a line. A line with the study's metric and `progress`,
the share of the budget used (above 0 and at most 1), is a report. The last line with the metric is the result. NaN
means that the run diverged. Other output is ignored. The command is a list without a shell: each part is one argument.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from batchlaw.errors import BatchlawError, DeviceMemoryError, Diverged, ObjectiveError, Pruned, TimeLimit
from batchlaw.expressions import Template
from batchlaw.objectives.listeners import Hearing, counted_up_to, missing_line
from batchlaw.objectives.log_files import Missing, check_tensorboard, read_metric
from batchlaw.objectives.output import Output
from batchlaw.objectives.processes import MARK, Watchdog, end_all
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.arguments import arguments_of, filler, values_of
from batchlaw.results.attributes import ARGUMENTS, OUTPUT
from batchlaw.spec import StudySpec
from batchlaw.spec.program import templates_of

# What PyTorch, JAX, TensorFlow, NumPy, C++, Slurm and torchrun print when memory runs out.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|RESOURCE_EXHAUSTED|can't allocate memory|\bMemoryError\b|ALLOC_FAILED"
    r"|Unable to allocate|std::bad_alloc|oom[-_]kill|exitcode *: -9\b",
    re.IGNORECASE,
)
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # as the kernel does where memory runs out
_ERROR = re.compile(r"^(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b")  # the last line of a traceback
_REPORTS = 100  # of a program that tells its progress more often, so many are passed on
_MOST_CHARACTERS = 8_000  # of the arguments that are stored
_RUNNERS = re.compile(r"(python[\d.]*|torchrun|accelerate|deepspeed|ipython)$")


class Command:
    """The objective of a study with a `command`; `python` as its first part is the interpreter of this worker."""

    def __init__(self, spec: StudySpec, folder: Path) -> None:
        """Make sure that the program and its files are there.

        Args:
            spec: the study.
            folder: of its file.

        Raises:
            ObjectiveError: something is missing.
        """
        assert spec.command is not None
        self._spec = spec
        self._folder = folder / Path(spec.folder or ".").expanduser()
        if not self._folder.is_dir():
            raise ObjectiveError(f"folder: {self._folder} is no folder")
        self._contents = {target: _content(self._folder / source, target) for target, source in spec.files.items()}
        texts = [text for _, text, is_condition in templates_of(spec) if not is_condition] + self.contents
        self._uses_run_dir = any("run_dir" in Template.parse(text).names for text in texts)
        self._mark = uuid.uuid4().hex
        self._watchdog: Watchdog | None = None
        for key in ("command", "score_command"):
            self._check_program(key)
        if any(listener.tensorboard for listener in spec.metrics.values()):
            check_tensorboard()

    @property
    def contents(self) -> list[str]:
        """Of the templates of files."""
        return list(self._contents.values())

    def __call__(self, trial: Trial) -> Mapping[str, float]:
        """Run the program once.

        Raises:
            ObjectiveError: it cannot be started, fails, or ends without the metric.
            DeviceMemoryError: it failed since its memory ran out.
            Diverged: it says so.
        """
        run_dir = trial.run_dir if self._uses_run_dir else None
        with _run_dir_of(run_dir, keep=self._spec.keep_runs):
            try:
                return _Run(self, trial, run_dir).metrics()
            except ObjectiveError:
                raise
            except BatchlawError as error:  # of a template
                raise ObjectiveError(error.message) from None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start a program of this study.

        Raises:
            ObjectiveError: it cannot be started.
        """
        if self._watchdog is None:
            self._watchdog = Watchdog(self._mark)
            weakref.finalize(self, self._watchdog.close)
        program = sys.executable if arguments[0] == "python" else arguments[0]
        try:
            process = subprocess.Popen(
                [program, *arguments[1:]], cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True, env={**environment, MARK: self._mark},
            )  # fmt: skip
        except (OSError, ValueError) as error:  # a null byte
            what = error.strerror if isinstance(error, OSError) else error
            raise ObjectiveError(f"command: {arguments[0]!r} cannot be started: {what}") from None
        self._watchdog.watch(process.pid)
        return process

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """End a program and all that it has started."""
        assert self._watchdog is not None
        known = frozenset((self._watchdog.pid,))
        try:
            end_all(process.pid, self._mark, known)
        except BaseException:  # a request to stop, which must not leave anything behind either
            end_all(process.pid, self._mark, known, patience=0.0)
            raise
        finally:
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()
            process.wait()
            self._watchdog.watch(0)

    @property
    def spec(self) -> StudySpec:
        """The study."""
        return self._spec

    @property
    def folder(self) -> Path:
        """Where the program runs."""
        return self._folder

    def write_files(self, values: Mapping[str, Any], run_dir: Path) -> None:
        """Write the files of the study, with the values of a trial.

        Raises:
            BatchlawError: a template has no value, or a file would not lie in the trial's folder.
        """
        fill = filler(values, self._spec)
        for target, content in self._contents.items():
            path = Path(fill(target, f"files.{target}"))
            if not path.resolve().is_relative_to(run_dir.resolve()):
                raise BatchlawError(f"files.{target}: {path} does not lie in {run_dir}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fill(content, f"files.{target}"), encoding="utf-8")

    def _check_program(self, key: str) -> None:
        """Find a misspelt command before a trial has it.

        Raises:
            ObjectiveError: the program, or the script that it is to run, is not there.
        """
        words = [part for part in getattr(self._spec, key) or () if isinstance(part, str)]
        plain = [word for word in words if not Template.parse(word).names]
        if not words or words[0] not in plain:
            return
        name, *others = [Template.parse(word).fill({}) for word in plain]
        if name != "python":
            path = self._spec.environment.get("PATH", os.environ.get("PATH"))
            found = shutil.which(str(self._folder / name)) if os.sep in name else shutil.which(name, path=path)
            if found is None:
                where = f"in {self._folder}" if os.sep in name else "on the PATH"
                raise ObjectiveError(f"{key}: {name!r} cannot be started: no such program {where}")
        if _RUNNERS.match(Path(name).name):
            script = next((word for word in others if word.endswith(".py") and not word.startswith("-")), None)
        else:
            script = others[0] if Path(name).name in ("sh", "bash") and others else None
            script = None if script and script.startswith("-") else script
        if script is not None and "-c" not in others and not (self._folder / script).exists():
            raise ObjectiveError(f"{key}: there is no file {script!r} in {self._folder}")


class _Run:
    """One run of the program of a study."""

    def __init__(self, command: Command, trial: Trial, run_dir: Path | None) -> None:
        self._command, self._trial, self._run_dir = command, trial, run_dir
        spec = self._spec = command.spec
        self._values = values_of(trial.config, spec, trial=trial.number, run_dir=str(run_dir or ""))
        self._fill = filler(self._values, spec)
        of = spec.progress.of if spec.progress else None
        self._hearing = Hearing(spec, counted_up_to(spec.progress, of and self._fill(of, "progress.of")))
        self._output = Output(self._hear, self._look)
        self._diverged = re.compile(spec.diverged.pattern) if spec.diverged and spec.diverged.pattern else None
        self._reported = 0.0
        self._began = time.time()
        if run_dir is not None:
            command.write_files(self._values, run_dir)

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
            **os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(torch.get_num_threads()),
            **{name: self._fill(text, f"environment.{name}") for name, text in self._spec.environment.items()},
        }  # fmt: skip
        if key == "command":
            self._trial.notes[ARGUMENTS] = _bounded(arguments)
        process = self._command.start(arguments, environment)
        try:
            code = self._output.follow(process)
        finally:
            self._trial.notes[OUTPUT] = self._output.kept
            self._command.end(process)
        if code != 0:
            self._raise(key, code)

    def _raise(self, key: str, code: int) -> None:
        """Say why a program failed."""
        spec, lines = self._spec, self._output.kept
        if spec.diverged is not None and code in spec.diverged.exit_codes:
            raise Diverged
        how = f"ended by {_signal(-code)}" if code < 0 else f"exit code {code}"
        patterns = [_OUT_OF_MEMORY, *([re.compile(spec.out_of_memory.pattern)] if spec.out_of_memory else [])]
        full = next((line for line in reversed(lines) if any(pattern.search(line) for pattern in patterns)), None)
        if full is not None or code in _KILLED:
            raise DeviceMemoryError(f"{key}: {how}: {(full or 'killed, as where memory runs out').strip()}")
        error = next((line for line in reversed(lines) if _ERROR.match(line)), None)
        last = error or self._output.last_error or (lines[-1] if lines else "no output")
        raise ObjectiveError(f"{key}: {how}: {last.strip()}")

    def _hear(self, line: str) -> None:
        if self._diverged is not None and self._diverged.search(line):
            raise Diverged
        if self._spec.arm.metric in self._hearing.hear(line):
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
        listener = self._spec.metrics[name]
        assert listener.file is not None
        text = self._fill(listener.file, f"metrics.{name}")
        path = self._command.folder / text
        own = self._run_dir is not None and path.is_relative_to(self._run_dir)
        return read_metric(listener, path, direction=self._spec.direction, since=None if own else self._began)


@contextmanager
def _run_dir_of(run_dir: Path | None, *, keep: bool) -> Iterator[None]:
    """Delete the folder of a run that has ended, unless folders are kept; one that failed may go on in its folder."""
    try:
        yield
    except (Diverged, Pruned, TimeLimit, DeviceMemoryError):
        _delete(run_dir, keep=keep)
        raise
    _delete(run_dir, keep=keep)


def _delete(run_dir: Path | None, *, keep: bool) -> None:
    if run_dir is not None and not keep:
        shutil.rmtree(run_dir, ignore_errors=True)


def _content(file: Path, target: str) -> str:
    """The template of a file.

    Raises:
        ObjectiveError: it cannot be read, or is none.
    """
    try:
        text = file.read_text(encoding="utf-8")
        Template.parse(text)
    except OSError as error:
        raise ObjectiveError(f"files.{target}: {file}: {error.strerror}") from None
    except (BatchlawError, UnicodeDecodeError) as error:
        raise ObjectiveError(f"files.{target}: {file}: {error}") from None
    return text


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
