"""A script, and the flags that it takes."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["int", "float", "str", "switch"]
Default = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One thing that a script can be told."""

    name: str  # as on the command line, such as `--learning-rate`, or `model.lr` of Hydra
    default: Default = None  # None: there is none, or it is not known
    kind: Kind | None = None  # None: not known
    choices: tuple[str, ...] = ()
    required: bool = False
    positional: bool = False
    help: str = field(default="", compare=False)  # what the script says of it

    @property
    def word(self) -> str:
        """Its last part in lower case with `_` between words, such as `learning_rate`."""
        return re.sub(r"[-\s]+", "_", self.name.lstrip("-")).rpartition(".")[2].lower()

    @property
    def path(self) -> tuple[str, ...]:
        """The parts before the last, such as `("trainer",)`."""
        return tuple(self.name.lstrip("-").lower().split(".")[:-1])

    @property
    def is_number(self) -> bool:
        """Whether it takes a number."""
        number = isinstance(self.default, int | float) and not isinstance(self.default, bool)
        return self.kind in ("int", "float") or (self.kind is None and number)

    def argument(self, value: str) -> str:
        """The argument that gives it a value."""
        return value if self.positional else f"{self.name}={value}"


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script as it was read."""

    path: Path
    source: str
    kind: str  # how it takes its flags, for people
    flags: tuple[Flag, ...]
    first: tuple[str, ...] = ()  # arguments before all flags, such as `fit`
    notes: tuple[str, ...] = ()  # what went wrong while it was read
