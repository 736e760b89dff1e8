"""The exceptions of batchlaw.

BatchlawError            the request cannot be carried out; one line, exit code 2
├── SpecError            a study file is wrong: field path, value, bound
├── ConfigError          a configuration cannot be trained: an impossible rule, budget or schedule
├── DataError            a data set is missing or does not have the expected form
├── StorageError         the database cannot be opened or used
├── StudyError           a study is unknown, or differs from the one stored
├── ObjectiveError       the user's training function or program cannot be found or breaks its contract
└── WorkFailed           the request was right and the work failed; exit code 1

Diverged                 a training function raises it if the run diverged
DeviceMemoryError        not even one example at a time fits on the device

Stop (BaseException)     ends a training function; `except Exception` does not catch it
├── Pruned               the pruner ends the trial
├── TimeLimit            the trial reached its time limit
└── Interrupted          the worker was asked to stop; another worker runs the trial again
"""

import numbers
from collections.abc import Mapping

__all__ = [
    "BatchlawError",
    "ConfigError",
    "DataError",
    "DeviceMemoryError",
    "Diverged",
    "Interrupted",
    "ObjectiveError",
    "Pruned",
    "SpecError",
    "Stop",
    "StorageError",
    "StudyError",
    "TimeLimit",
    "WorkFailed",
]


_LONGEST, _END = 1000, 300  # characters of a line for the user, and of its end where it is cut


class BatchlawError(Exception):
    """A request that cannot be carried out; `str()` is one line for the user, however long what it quotes.

    Attributes:
        message: what is wrong.
        argument: the argument at fault, by its name in Python; None where no single one is.
        got: its value; None where the message does not depend on it.
        remedy: an argument or a function by which the request can be carried out.
    """

    exit_code = 2

    def __init__(
        self, message: str, *, argument: str | None = None, got: object = None, remedy: str | None = None
    ) -> None:
        self.message, self.argument, self.got, self.remedy = message, argument, got, remedy
        super().__init__(self.line(argument, f"see {remedy}" if remedy else None))

    def line(self, argument: str | None, advice: str | None) -> str:
        """The line for the user, with the argument and the remedy in the words of whoever asked."""
        got = "" if self.got is None else f" got {self.got!r};"
        line = f"{argument}:{got} {self.message}" if argument else self.message
        whole = f"{line}; {advice}" if advice else line
        return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - _END]} … {whole[-_END:]}"


def check_whole(value: object, argument: str, *, at_least: int) -> None:
    """Refuse what is no whole number, or is below a bound.

    Raises:
        BatchlawError: names the argument, its value and the bound.
    """
    if not isinstance(value, numbers.Integral):
        raise BatchlawError("must be a whole number", argument=argument, got=value)
    if value < at_least:
        raise BatchlawError(f"must be at least {at_least}", argument=argument, got=value)


class SpecError(BatchlawError):
    """A study file is wrong; the message names field path, value and bound."""


class ConfigError(BatchlawError):
    """A configuration cannot be trained as it stands."""


class DataError(BatchlawError):
    """A data set is missing or malformed; the message says how to get it."""


class StorageError(BatchlawError):
    """The database cannot be opened or used."""


class StudyError(BatchlawError):
    """A study is unknown, or differs from the one stored."""


class ObjectiveError(BatchlawError):
    """The user's training function or program cannot be found or breaks its contract."""


class WorkFailed(BatchlawError):
    """The request was right and the work failed."""

    exit_code = 1


class Diverged(Exception):
    """A run diverged: its loss, or another metric, is no longer a finite number.

    Attributes:
        untrained: the metrics of the network before its first step, as far as they are known.
    """

    def __init__(self, untrained: Mapping[str, float] | None = None) -> None:
        super().__init__("the run diverged")
        self.untrained = dict(untrained or {})


class DeviceMemoryError(Exception):
    """The memory of a device ran out.

    Attributes:
        micro_batch_size: the examples that a device computed at once, where the training takes smaller parts, too.
    """

    micro_batch_size: int | None = None


class Stop(BaseException):
    """Ends a training function. It is a BaseException, so that `except Exception` in user code does not catch it."""


class Pruned(Stop):
    """The pruner ends the trial."""


class TimeLimit(Stop):
    """The trial reached its time limit."""


class Interrupted(Stop):
    """The worker was asked to stop."""
