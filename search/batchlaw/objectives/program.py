"""A program as an objective: it gets the configuration in its arguments and is heard through its output and its files.

Without a table [metrics] the program prints JSON objects, one a line. A line with the study's metric and `progress`,
the share of the budget used (above 0 and at most 1), is a report. The last line with the metric is the result. NaN
means that the run diverged. Other output is ignored. The command is a list without a shell: each part is one argument.
"""

import copy
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchlaw.errors import BatchlawError, DeviceMemoryError, Diverged, ObjectiveError, Pruned, TimeLimit
from batchlaw.expressions import Template
from batchlaw.objectives.log_files import check_tensorboard
from batchlaw.objectives.program_run import ProgramRun, Watch
from batchlaw.objectives.starter import Starter, search_path
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.arguments import filler, values_of
from batchlaw.spec import StudySpec
from batchlaw.spec.program import templates_of

_OF_PARTS = {"micro_batch_size", "accumulate"}  # placeholders
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
        self._watch: Watch | None = None
        self._contents = {target: _content(self._folder / source, target) for target, source in spec.files.items()}
        texts = [text for _, text, is_condition in templates_of(spec) if not is_condition] + self.contents
        self._uses = {name for text in texts for name in Template.parse(text).names}
        self._starter = Starter(self._folder)
        for key in ("command", "score_command"):
            self._check_program(key)
        if any(listener.tensorboard for listener in spec.metrics.values()):
            check_tensorboard()

    @property
    def contents(self) -> list[str]:
        """Of the templates of files."""
        return list(self._contents.values())

    def close(self) -> None:
        """End what it keeps running between programs."""
        self._starter.close()

    def watched(self, watch: Watch) -> "Command":
        """The same, with somebody who is shown what it runs and hears."""
        other = copy.copy(self)
        other._watch = watch
        return other

    def __call__(self, trial: Trial) -> Mapping[str, float]:
        """Run the program once.

        Raises:
            ObjectiveError: it cannot be started, fails, or ends without the metric.
            DeviceMemoryError: it failed since its memory ran out.
            Diverged: it says so.
        """
        run_dir = trial.run_dir if "run_dir" in self._uses else None
        if self._uses & _OF_PARTS:
            trial.ask_for_parts()
        spec = self._spec.model_copy(update={"micro_batch_size": trial.most_at_once})
        with _run_dir_of(run_dir, keep=self._spec.keep_runs):
            try:
                values = values_of(
                    trial.config, spec, trial=trial.number, run_dir=str(run_dir or ""), rendezvous=_free_address()
                )
                if run_dir is not None:
                    self._write_files(values, run_dir)
                return ProgramRun(self._spec, self._starter, trial, values, run_dir, self._watch).metrics()
            except ObjectiveError:
                raise
            except BatchlawError as error:  # of a template
                raise ObjectiveError(error.message) from None

    def _write_files(self, values: Mapping[str, Any], run_dir: Path) -> None:
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
            path = self._spec.environment.get("PATH", search_path())
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


def _free_address() -> str:
    """This machine, and a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("", 0))
        return f"{socket.gethostname()}:{found.getsockname()[1]}"


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
