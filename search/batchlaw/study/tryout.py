"""One configuration of a study trained for a moment, to see what is understood of the user's code."""

import math
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from batchlaw.errors import BatchlawError, DeviceMemoryError, Diverged, TimeLimit
from batchlaw.study.files import StrPath

if TYPE_CHECKING:
    from batchlaw.spec import StudySpec

_NEAR_THE_END = 0.5  # of the budget


@dataclass
class TryOut:
    """What was understood.

    Attributes:
        spec: the study.
        say: called with each line for the user.
        ending: how the training ended, in a sentence.
        values: the last value of each metric that was told while it trained, or at its end.
        times: how often each was told while it trained.
        progress: the last share of the budget that was told.
        steps: the updates of the configuration; None where only the program knows.
    """

    spec: "StudySpec"
    say: Callable[[str], None]
    ending: str = ""
    values: dict[str, float] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    progress: float | None = None
    steps: int | None = None

    @property
    def heard_metric(self) -> bool:
        """Whether the study's metric was told."""
        return self.spec.arm.metric in self.values

    def started(self, arguments: Sequence[str]) -> None:
        """A program was started."""
        self.say(f"$ {shlex.join(arguments)}")

    def hear(self, line: str, metrics: Mapping[str, float], progress: float | None) -> None:
        """A program has printed a line."""
        self.say(f"  {line}")
        self.note(metrics, progress)

    def note(self, metrics: Mapping[str, float], progress: float | None) -> None:
        """Metrics and progress were told."""
        self.progress = self.progress if progress is None else progress
        self.values |= metrics
        self.times.update(metrics.keys())

    def lines(self) -> list[str]:
        """For a terminal."""
        known = dict.fromkeys((self.spec.arm.metric, *self.spec.metrics, *self.values))
        lines = [self.ending]
        for name in known:
            if name in self.values:
                often = f", told {self.times[name]} times" if self.times[name] > 1 else ""
                lines.append(f"  metric {name}: {self.values[name]:.6g}{often}")
            else:
                lines.append(f"? metric {name}: was not heard; {self._looked_for(name)}")
        if not self.heard_metric and self.steps and (self.progress or 0.0) > _NEAR_THE_END:
            lines.append(
                f"? {self.steps} updates may be too few, if {self.spec.arm.metric} is told every so many only: "
                "a larger [budget] or smaller batch sizes have more"
            )
        if self.progress is not None:
            lines.append(f"  progress: {self.progress:.1%} of the budget at last")
        else:
            lines.append("? progress: was not heard, so that no trial can be pruned")
        return lines

    def _looked_for(self, name: str) -> str:
        listener = self.spec.metrics.get(name)
        if listener is None:
            return (
                "a function returns it" if self.spec.command is None else f'a line such as {{"{name}": 0.5}} tells it'
            )
        if listener.regex is not None:
            return f"no line has '{listener.regex}'"
        return f"{listener.file} is read when the program has ended"


def try_out(file: StrPath, *, seconds: float, device: str = "auto", say: Callable[[str], None]) -> TryOut:
    """Train one configuration in a folder that is deleted afterwards; nothing is registered.

    It is drawn at random, but for the batch size, which is the largest: it needs the most memory, and where a trial
    sees a number of examples it has the fewest updates, so that what is told only now and then may not be told at all.

    Args:
        file: of a study with an objective or a command.
        seconds: after which the training is ended.
        device: to train on.
        say: called with the command as it is run, and with every line of its output.

    Raises:
        BatchlawError: the study has a built-in task, or the file or the code is wrong.
    """
    from batchlaw.interrupts import Interrupts
    from batchlaw.objectives.program import Command
    from batchlaw.objectives.trial import Trial
    from batchlaw.recipe.derive import derive, run_seeds
    from batchlaw.recipe.space import suggest
    from batchlaw.spec import extremes, read_spec
    from batchlaw.study.code import code_of

    path = Path(file)
    spec = read_spec(path)
    if spec.user_code is None:
        raise BatchlawError(f"study {spec.name!r} trains a built-in task; batchlaw run trains it")
    code = code_of(None, path)
    code.check(spec)
    runtime = code.runtime(spec, device, None)
    found, interrupts = TryOut(spec, say), Interrupts()
    drawn = suggest(_Draw(Random(spec.arm.seed)), spec)  # noqa: S311
    if drawn.batch_size is not None:
        drawn = drawn.model_copy(update={"batch_size": max(extremes(spec.space.batch_size))})
    config = derive(spec, drawn, run_seeds(spec.arm.seed, 1))
    found.steps = config.steps

    def report(progress: float, metrics: Mapping[str, float]) -> None:
        if spec.command is None:  # the lines of a program are heard one by one
            found.note(metrics, progress)

    with tempfile.TemporaryDirectory(prefix="batchlaw-") as folder, interrupts.installed():
        trial = Trial(config, report, Path(folder), devices=spec.devices, micro_batch_size=spec.micro_batch_size)
        say(f"{trial!r}")
        objective = runtime.objective
        assert objective is not None
        if isinstance(objective, Command):
            objective = objective.watched(found)
        try:
            with interrupts.armed(seconds):
                metrics = objective(trial)
        except TimeLimit:
            found.ending = f"ended after {seconds:g} s, as --seconds says"
        except Diverged:
            found.ending = "diverged"
        except DeviceMemoryError as error:
            found.ending = f"out of memory: {error}"
        except BatchlawError as error:
            found.ending = f"failed: {error.message}"
        except (Exception, SystemExit) as error:  # whatever the user's code raises
            found.ending = f"failed: {type(error).__name__}: {error}"
        else:
            found.ending = "ended by itself"
            found.values |= metrics
        finally:
            if isinstance(objective, Command):
                objective.close()
    return found


@dataclass(frozen=True)
class _Draw:
    """A point of a space at random."""

    random: Random

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number of a range."""
        return self._between(low, high, log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number of a range."""
        return round(self._between(low, high, log))

    def _between(self, low: float, high: float, log: bool) -> float:
        if not log:
            return self.random.uniform(low, high)
        return min(max(math.exp(self.random.uniform(math.log(low), math.log(high))), low), high)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of some choices."""
        return self.random.choice(choices)
