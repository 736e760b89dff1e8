"""From a configuration to the arguments of a program: the values of placeholders, and templates filled with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

from batchlaw.errors import BatchlawError, ConfigError, SpecError
from batchlaw.expressions import Expression, Template
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import suggest
from batchlaw.spec import FloatRange, IntRange, StudySpec, TrainConfig, extremes, levels_of
from batchlaw.spec.families import OWN
from batchlaw.spec.program import Conditional, names_in, templates_of

# The placeholders through which a hyperparameter reaches a program, beside its own name.
_WAYS = {
    "batch_size": ("micro_batch_size", "accumulate", "batch_tokens"),
    "base_lr": ("lr", "peak_lr"),
    "scaling_rule": ("lr", "peak_lr"),
    "warmup_fraction": ("warmup_steps",),
    "weight_decay_tau": ("weight_decay",),
    "train_size": ("steps", "examples", "epochs", "tokens"),
}
_OF_OPTIMIZERS = ("optimizer", "momentum", "beta1", "beta2", "eps", "bias_correction")  # which "own" does not have
Fill = Callable[[str, str], str]  # a template and its field → text


def values_of(
    config: TrainConfig, spec: StudySpec, *, trial: int, run_dir: str, rendezvous: str = "localhost:29400"
) -> dict[str, Any]:
    """The value of each placeholder; None has no value in this study.

    Args:
        config: with the one seed of a replicate.
        spec: the study.
        trial: its number.
        run_dir: the folder for the files of the program.
        rendezvous: host and port where its processes on several machines find one another.
    """
    accumulate, micro_batch_size = equal_parts(config.batch_size, spec.devices, spec.micro_batch_size)
    # A study may have parameters of these names, which it was free to choose before there were several nodes.
    given = {"nodes": spec.nodes, "rendezvous": rendezvous} | dict.fromkeys(spec.parameters) | config.placeholders()
    return given | {
        "lr": given["peak_lr"], "epochs": _epochs(config, spec), "trial": trial, "run_dir": run_dir,
        "devices": spec.devices, "accumulate": accumulate, "micro_batch_size": micro_batch_size,
    }  # fmt: skip


def _epochs(config: TrainConfig, spec: StudySpec) -> int | float | None:
    if spec.budget is not None and spec.budget.epochs is not None:
        epochs = spec.budget.epochs
    elif config.examples and config.train_size:
        epochs = config.examples / config.train_size
    else:
        return None
    return int(epochs) if epochs.is_integer() else epochs


def equal_parts(batch_size: int | None, devices: int, limit: int | None) -> tuple[int | None, int | None]:
    """How many equal parts of a batch each device accumulates, as few as can be, and the examples in each part.

    Neither is known without a batch size, or where the devices cannot share the batch equally.

    Args:
        batch_size: examples, of all devices.
        devices: that share it.
        limit: the most examples that a device computes at once.
    """
    if not batch_size or batch_size % devices:
        return None, None
    share = batch_size // devices
    fewest = 1 if limit is None else ceil(share / limit)
    accumulate = next(count for count in range(fewest, share + 1) if share % count == 0)
    return accumulate, share // accumulate


def filler(values: Mapping[str, Any], spec: StudySpec) -> Fill:
    """A function that fills templates of a study; it raises `BatchlawError` naming the field."""

    def fill(text: str, field: str) -> str:
        try:
            return Template.parse(text).fill(values, spec.names)
        except BatchlawError as error:
            raise BatchlawError(f"{field}: {error.message}") from None

    return fill


def arguments_of(
    parts: Sequence[str | Conditional], values: Mapping[str, Any], spec: StudySpec, key: str = "command"
) -> list[str]:
    """The arguments of a command, one for each part whose condition holds.

    Args:
        parts: of the command.
        values: of its placeholders.
        spec: the study.
        key: that has the command, for messages.

    Raises:
        BatchlawError: a part has no value; names its field.
    """
    fill, arguments = filler(values, spec), []
    for position, part in enumerate(parts):
        if isinstance(part, str):
            arguments.append(fill(part, f"{key}.{position}"))
        elif _holds(part.when, values, f"{key}.{position}.when"):
            arguments += [fill(text, f"{key}.{position}.args.{place}") for place, text in enumerate(part.args)]
    return arguments


def _holds(condition: str, values: Mapping[str, Any], field: str) -> bool:
    """Whether a condition is true; one over a parameter that the trial does not have is false."""
    try:
        expression = Expression.parse(condition)
        if any(name in values and values[name] is None for name in expression.columns):
            return False
        return bool(expression.rows(values, 1)[0])
    except BatchlawError as error:
        raise BatchlawError(f"{field}: {error.message}; got {condition!r}") from None


def takes_seed(spec: StudySpec) -> bool:
    """Whether the seed may reach the training: a program's command must pass it on, or a file that is filled in."""
    return spec.command is None or bool(spec.files) or "seed" in _used(spec)


def _used(spec: StudySpec) -> set[str]:
    """The names in the templates of a study."""
    return {name for field, text, is_condition in templates_of(spec) for name in _names(text, field, is_condition)}


def check_reaches(spec: StudySpec, contents: Sequence[str]) -> None:
    """Check that everything that a study varies reaches its program.

    Args:
        spec: the study.
        contents: of the templates of its `files`.

    Raises:
        SpecError: a dimension reaches the program through no placeholder, or one of an optimizer that is the script's
            own; or a claim has no seed.
    """
    used = _used(spec)
    used |= {name for text in contents for name in Template.parse(text).names}
    for name, field in _searched(spec):
        ways = (name, *_WAYS.get(name, ()))
        if not used & set(ways):
            words = " or ".join(f"{{{way}}}" for way in ways)
            raise SpecError(f"{field}: is searched and reaches the program through no placeholder; write {words}")
    if extremes(spec.space.optimizer) == (OWN,):
        for name in _OF_OPTIMIZERS:
            if name in used and name not in spec.names:
                raise SpecError(
                    f'{{{name}}}: has no value with optimizer = "own"; write the script\'s own value, '
                    "or name the optimizer in [space]"
                )
    if spec.claim is not None and "seed" not in used:
        raise SpecError("command: a claim compares runs of several seeds; pass {seed} to the program")


def check_arguments(spec: StudySpec, contents: Sequence[str]) -> None:
    """Check that every template has a value at every batch size and with every optimizer.

    Args:
        spec: the study.
        contents: of the templates of its `files`.

    Raises:
        SpecError: one has none, such as a division that leaves a remainder; names the field.
    """
    for batch_size, optimizer in product(_finite(spec.space.batch_size), extremes(spec.space.optimizer)):
        point = suggest(_Corner(optimizer), spec).model_copy(update={"batch_size": batch_size})
        try:
            values = values_of(derive(spec, point, seeds=(0,)), spec, trial=0, run_dir="/run_dir")
        except ConfigError:  # as `check_space` says
            continue
        try:
            for key in ("command", "score_command"):
                arguments_of(getattr(spec, key) or (), values, spec, key)
            fill = filler(values, spec)
            for field, text, is_condition in templates_of(spec):
                if not is_condition and not field.startswith(("command", "score_command")):
                    fill(text, field)
            for content in contents:
                fill(content, "files")
        except BatchlawError as error:
            raise SpecError(error.message) from None


@dataclass(frozen=True)
class _Corner:
    """The lowest value of every dimension and the first choice, with one of the optimizers."""

    optimizer: str

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return low

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.optimizer if name == "optimizer" else choices[0]


def _finite(dimension: Any) -> tuple[Any, ...]:
    """Every value of a dimension if it has finitely many, and its ends otherwise."""
    if isinstance(dimension, FloatRange) or (isinstance(dimension, IntRange) and not dimension.log2):
        return tuple(extremes(dimension))
    return tuple(levels_of(dimension))


def _names(text: str, field: str, is_condition: bool) -> tuple[str, ...]:
    return names_in(text, field, is_condition=is_condition)


def _searched(spec: StudySpec) -> Iterator[tuple[str, str]]:
    """What has several values: its name, and its field."""
    for name in spec.searched:
        yield name, f"{'parameters' if name in spec.parameters else 'space'}.{name}"
