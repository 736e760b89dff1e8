"""The keys of a study file that say how a program is run and what is read of it."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from batchlaw.errors import BatchlawError
from batchlaw.spec.base import Frozen, Positive, refuse
from batchlaw.spec.config import PLACEHOLDERS
from batchlaw.spec.dimensions import extremes
from batchlaw.spec.families import FAMILIES, OWN
from batchlaw.spec.knobs import KNOBS

if TYPE_CHECKING:
    from batchlaw.spec.study import StudySpec

# Placeholders of a program that are no fields of a `TrainConfig`; see `batchlaw.recipe.arguments`.
OF_PROGRAMS = ("lr", "epochs", "trial", "run_dir", "devices", "accumulate", "micro_batch_size", "nodes", "rendezvous")
Text = Annotated[str, Field(min_length=1)]
_REDUCE = r"^(last|best|mean|last-[1-9]\d{0,5}-mean)$"
_SOURCES = {"regex": None, "csv": "column", "json_file": "key", "tensorboard": "tag"}  # each with its companion


class Conditional(Frozen):
    """Arguments that a program gets under a condition."""

    when: Text  # an expression, such as "optimizer == 'adamw'"
    args: Annotated[tuple[str, ...], Field(min_length=1)]


def _kind(part: Any) -> str:
    return "text" if isinstance(part, str) else "table"


Part = Annotated[
    Annotated[str, Tag("command text")] | Annotated[Conditional, Tag("command table")],
    Discriminator(lambda part: f"command {_kind(part)}"),
]
PART_TAGS = frozenset(("command text", "command table"))  # which pydantic adds to the path of an error
Command = Annotated[tuple[Part, ...], Field(min_length=1)]


class Listener(Frozen):
    """Where a metric is read: from lines of output, or from a file when the program has ended.

    A file is a template, relative to the program's folder, and may have `*`; it counts if this program has written it.
    """

    regex: Text | None = None  # its group is the value; two groups are a ratio
    csv: Text | None = None
    column: Text | None = None
    json_file: Text | None = None
    key: Text | None = None  # with dots between the keys of inner tables
    tensorboard: Text | None = None  # a folder with event files
    tag: Text | None = None
    # Of several values; best is by the direction of the study.
    reduce: Annotated[str, Field(pattern=_REDUCE)] = "last"

    @property
    def file(self) -> str | None:
        """The template of its file, if it reads one."""
        return self.csv or self.json_file or self.tensorboard

    @model_validator(mode="after")
    def _one_source(self) -> "Listener":
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse(f"must give exactly one of {', '.join(_SOURCES)}", given)
        for source, companion in _SOURCES.items():
            if companion is None:
                continue
            if (source in given) != (getattr(self, companion) is not None):
                missing = source if source not in given else companion
                raise refuse(f"{source} and {companion} belong together", None, missing)
        if self.regex is not None:
            check_regex(self.regex, "regex", groups=(1, 2))
        if self.json_file is not None and self.reduce != "last":
            raise refuse("a key of a JSON file has one value; drop this key", self.reduce, "reduce")
        return self


class Progress(Frozen):
    """How far the program is, by its output."""

    regex: Text  # one group is counted up to `of`; two groups are a ratio
    of: Text | None = None  # such as "{steps}"

    @model_validator(mode="after")
    def _consistent(self) -> "Progress":
        groups = check_regex(self.regex, "regex", groups=(1, 2))
        if groups == 1 and self.of is None:
            raise refuse('is required: what the group is counted up to, such as "{steps}"', None, "of")
        if groups == 2 and self.of is not None:
            raise refuse("the second group of regex says it; drop this key", self.of, "of")
        return self


class Divergence(Frozen):
    """By what a run is known to have diverged, beside a metric that is NaN or infinite."""

    exit_codes: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    pattern: Text | None = None  # a regex; a line that has it ends the run

    @model_validator(mode="after")
    def _given(self) -> "Divergence":
        if not self.exit_codes and self.pattern is None:
            raise refuse("must give exit_codes or pattern", None)
        if self.pattern is not None:
            check_regex(self.pattern, "pattern")
        return self


class OutOfMemory(Frozen):
    """By what a failed run is known to have had too little memory, beside the messages of PyTorch, JAX and others."""

    pattern: Text  # a regex

    @model_validator(mode="after")
    def _compiled(self) -> "OutOfMemory":
        check_regex(self.pattern, "pattern")
        return self


class ProgramKeys(Frozen):
    """The keys of a study file that go with a `command`."""

    command: Command | None = None  # any program; see objectives/program.py
    folder: Text | None = None  # where it runs, from the folder of the study file
    environment: dict[str, str] = Field(default={})  # templates
    files: dict[str, Text] = Field(
        default={}
    )  # a file below {run_dir} by a template, and the file with the template of its content
    keep_runs: bool = True  # False: the run_dir of a trial is deleted when it has ended, unless it failed
    devices: Positive = 1  # that share a batch; also of a function, which torchrun then starts on each of them
    nodes: Positive = 1  # machines that have equally many of these devices
    micro_batch_size: Positive | None = None  # the most examples that a device computes at once, also in a function
    launcher: tuple[Text, ...] | None = None  # of a function on several devices, in place of torchrun on this machine
    diverged: Divergence | None = None
    out_of_memory: OutOfMemory | None = None
    metrics: dict[str, Listener] = Field(default={})  # what is not listed here is read from JSON lines
    progress: Progress | None = None
    names: dict[str, dict[str, str]] = Field(default={})  # for a hyperparameter: its values in the script's own words
    score_command: Command | None = None  # runs after a training that has ended well


_ALSO_OF_FUNCTIONS = ("devices", "nodes", "micro_batch_size", "launcher")
# Keys that studies stored before them do not have: they are written where they are given, so that fingerprints stay.
DEFAULTS = {name: field.default for name, field in ProgramKeys.model_fields.items() if name != "command"}


def with_optimizer(table: dict[str, Any]) -> dict[str, Any]:
    """The tables of a study; the optimizer of a program is its script's own unless they name one.

    The factor of a named optimizer would change the learning rate that the script gets.
    """
    space = table.get("space", {})
    if table.get("command") is None or not isinstance(space, dict) or "optimizer" in space:
        return table
    return table | {"space": space | {"optimizer": OWN}}


def check_regex(regex: str, field: str, *, groups: tuple[int, ...] | None = None) -> int:
    """The number of groups of a regular expression.

    Raises:
        PydanticCustomError: it is none, or has another number of groups.
    """
    try:
        found = re.compile(regex).groups
    except re.error as error:
        raise refuse(f"is no regular expression: {error}", regex, field) from None
    if groups is not None and found not in groups:
        raise refuse("must have one group in parentheses, or two for a ratio", regex, field)
    return found


def templates_of(spec: "StudySpec") -> Iterator[tuple[str, str, bool]]:
    """Every template and condition: the field, its text, and whether it is a condition."""
    for key in ("command", "score_command"):
        for position, part in enumerate(getattr(spec, key) or ()):
            if isinstance(part, str):
                yield f"{key}.{position}", part, False
            else:
                yield f"{key}.{position}.when", part.when, True
                for place, text in enumerate(part.args):
                    yield f"{key}.{position}.args.{place}", text, False
    for position, text in enumerate(spec.launcher or ()):
        yield f"launcher.{position}", text, False
    for name, text in spec.environment.items():
        yield f"environment.{name}", text, False
    for name in spec.files:
        yield f"files.{name}", name, False
    for name, listener in spec.metrics.items():
        for source in ("csv", "json_file", "tensorboard"):
            if (text := getattr(listener, source)) is not None:
                yield f"metrics.{name}.{source}", text, False
    if spec.progress is not None and spec.progress.of is not None:
        yield "progress.of", spec.progress.of, False


def placeholders(spec: "StudySpec") -> tuple[str, ...]:
    """The names that templates and conditions may use."""
    return (*PLACEHOLDERS, *OF_PROGRAMS, *spec.parameters)


def check_program(spec: "StudySpec") -> None:
    """Check the keys of a program against each other and against the space.

    Raises:
        PydanticCustomError: one is wrong.
    """
    if spec.launcher is not None and (spec.objective is None or spec.devices == 1):
        raise refuse("goes with an objective and several devices", None, "launcher")
    if spec.devices % spec.nodes:
        raise refuse(f"{spec.nodes} nodes cannot have equally many of them", spec.devices, "devices")
    if spec.command is None:
        for name, default in DEFAULTS.items():
            if getattr(spec, name) != default and not (name in _ALSO_OF_FUNCTIONS and spec.objective is not None):
                raise refuse("goes with a command", None, name)
        if spec.task is not None and OWN in extremes(spec.space.optimizer):
            raise refuse("goes with an objective or a command, whose own optimizer it is", OWN, "space.optimizer")
    for field, text, is_condition in templates_of(spec):
        names = names_in(text, field, is_condition=is_condition)
        for name in names:
            if name not in placeholders(spec):
                raise refuse(f"placeholder must be one of {', '.join(placeholders(spec))}", name, field)
    for target in spec.files:
        below = PurePosixPath(target).parts
        if len(below) < 2 or below[0] != "{run_dir}" or ".." in below:
            raise refuse('must lie below {run_dir}, such as "{run_dir}/config.yaml"', target, f"files.{target}")
    for name, words in spec.names.items():
        _check_words(spec, name, words)


def names_in(text: str, field: str, *, is_condition: bool = False) -> tuple[str, ...]:
    """The names that a template or a condition uses.

    Raises:
        PydanticCustomError: it is none.
    """
    from batchlaw.expressions import Expression, Template  # with NumPy

    try:
        if not is_condition:
            return Template.parse(text).names
        expression = Expression.parse(text)
        expression.check_finite()
        if not expression.columns:
            raise BatchlawError("names no placeholder")
        return expression.columns
    except BatchlawError as error:
        raise refuse(f"is no {'condition' if is_condition else 'template'}: {error.message}", text, field) from None


def _check_words(spec: "StudySpec", name: str, words: dict[str, str]) -> None:
    knobs = {knob.name: knob for knob in KNOBS}
    parameters = spec.parameters
    if name not in knobs and name not in parameters:
        raise refuse(f"must be one of {', '.join((*knobs, *parameters))}", name, f"names.{name}")
    if name in knobs and knobs[name].kind is str:
        known = tuple(FAMILIES) if name == "optimizer" else get_args(knobs[name].values) or ("True", "False")
        for value in words:
            if value not in known:
                raise refuse(f"the values of {name} are {', '.join(known)}", value, f"names.{name}")
