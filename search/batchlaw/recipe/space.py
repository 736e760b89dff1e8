"""From an Optuna trial to a point of the search space. No other module calls `suggest_*`.

Every trial suggests the same hyperparameters of [space]; optimizers ignore those they do not use. TPE would silently
drop a parameter that only some trials have from its joint model. A parameter of the user's own may have a condition;
`conditional` tells samplers which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import log2
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from batchlaw.spec import FloatRange, IntRange, StudySpec, extremes, levels_of
from batchlaw.spec.base import Scalar
from batchlaw.spec.knobs import KNOBS, Point
from batchlaw.spec.parameters import ordered
from batchlaw.spec.start import choice


class Suggests(Protocol):
    """The interface of a running trial, of `optuna.trial.FixedTrial` and of `Suggested`."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""
        ...


@dataclass(frozen=True)
class Suggested:
    """Stored parameters. Optuna's `FixedTrial` checks their bounds and takes six times as long (measured)."""

    params: Mapping[str, Any]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """The stored value."""
        return float(self.params[name])

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """The stored value."""
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """The stored value."""
        return self.params[name]


class _DistributionRecorder:
    """Records the distribution of each parameter that `suggest` asks for."""

    def __init__(self) -> None:
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.distributions[name] = IntDistribution(low, high, log=log)
        return low

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.distributions[name] = CategoricalDistribution(choices)
        return choices[0]


def distributions_of(spec: StudySpec) -> dict[str, BaseDistribution]:
    """The distributions of the parameters of every trial, by name."""
    recorder = _DistributionRecorder()
    suggest(recorder, spec)
    for name, parameter in spec.parameters.items():  # those whose condition was false, too
        _suggested(recorder, name, parameter.dimension)
    return recorder.distributions


def conditional(spec: StudySpec) -> list[tuple[str, ...]]:
    """The names of the searched parameters that only some trials have, those of the same condition together."""
    groups: dict[str, list[str]] = {}
    for name, parameter in spec.parameters.items():
        if parameter.when is not None and len(extremes(parameter.dimension)) > 1:
            groups.setdefault(parameter.when, []).append(name)
    return [tuple(names) for names in groups.values()]


def cells(spec: StudySpec) -> list[dict[str, Any]]:
    """The parameters of every combination of levels, the smallest batch sizes first, since they train longest.

    On a staggered grid each learning rate has batch sizes of its own.
    """
    levels: dict[str, tuple[Any, ...]] = {}
    for knob in KNOBS:
        dimension = getattr(spec.space, knob.name)
        if knob.name == "batch_size" and spec.is_staggered:
            levels["batch_size"] = levels_of(dimension)
        elif isinstance(dimension, IntRange):
            levels[f"log2_{knob.name}"] = tuple(int(log2(level)) for level in levels_of(dimension))
        elif isinstance(dimension, tuple):
            levels[knob.name] = dimension
    dimensions = {name: parameter.dimension for name, parameter in spec.parameters.items()}
    levels |= {name: dimension for name, dimension in dimensions.items() if isinstance(dimension, tuple)}
    combinations = [dict(zip(levels, values, strict=True)) for values in product(*levels.values())]
    if spec.is_staggered:
        sizes = spec.batch_sizes
        combinations = [cell | {"batch_size": sizes[cell["base_lr"]][cell["batch_size"]]} for cell in combinations]
    return sorted(combinations, key=lambda cell: cell.get("log2_batch_size", cell.get("batch_size", 0)))


def companions(spec: StudySpec, slot: int) -> list[int]:
    """The other slots whose cells differ from that of `slot` in the learning rate only, in ascending order.

    On a staggered grid these are a third of the learning rates, those that have the batch size as well.
    """
    every = cells(spec)
    own = every[slot] | {"base_lr": None}
    return [other for other, cell in enumerate(every) if other != slot and cell | {"base_lr": None} == own]


def point_of(params: Mapping[str, Any], spec: StudySpec) -> Point:
    """The point of stored parameters."""
    return suggest(Suggested(params), spec)


def params_of(values: Mapping[str, Scalar], spec: StudySpec) -> dict[str, Any]:
    """The parameters of a trial that has these values of hyperparameters, as `suggest` names and scales them.

    Fixed hyperparameters have none. The values lie in the space; see `batchlaw.spec.start`.
    """
    scales = {knob.name: knob.scale for knob in KNOBS}
    params: dict[str, Any] = {}
    for name, value in values.items():
        dimension: Any = spec.dimensions[name]
        if isinstance(dimension, FloatRange) and scales.get(name) == "log(1-x)":
            params[f"one_minus_{name}"] = 1 - float(value)
        elif isinstance(dimension, FloatRange):
            params[name] = float(value)
        elif isinstance(dimension, IntRange):
            params |= {f"log2_{name}": int(log2(int(value)))} if dimension.log2 else {name: value}
        elif isinstance(dimension, tuple):
            params[name] = choice(dimension, value)
    return params


def suggest(trial: Suggests, spec: StudySpec) -> Point:
    """The point of a trial: each knob is fixed, one of a list, or a number of a range on the scale that is searched."""
    point: dict[str, Any] = {}
    space = spec.trial_space
    for knob in KNOBS:
        name, dimension = knob.name, getattr(space, knob.name)
        if not isinstance(dimension, (FloatRange, IntRange, tuple)):
            point[name] = dimension
        elif isinstance(dimension, FloatRange) and knob.scale == "log(1-x)":
            low, high = 1 - dimension.high, 1 - dimension.low
            point[name] = 1 - trial.suggest_float(f"one_minus_{name}", low, high, log=True)
        elif isinstance(dimension, IntRange) and dimension.log2:
            low, high = int(log2(dimension.low)), int(log2(dimension.high))
            point[name] = 2 ** trial.suggest_int(f"log2_{name}", low, high)
        else:
            point[name] = _suggested(trial, name, dimension)
    parameters: dict[str, Scalar | None] = {}
    for name in ordered(spec.parameters):
        parameter = spec.parameters[name]
        has = parameter.holds(point | parameters)
        parameters[name] = _suggested(trial, name, parameter.dimension) if has else None
    # In the order of the study file.
    own = {name: parameters[name] for name in spec.parameters if parameters[name] is not None}
    return Point(**point, parameters=own)


def _suggested(trial: Suggests, name: str, dimension: Any) -> Any:
    if isinstance(dimension, FloatRange):
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, IntRange):
        return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_categorical(name, dimension) if isinstance(dimension, tuple) else dimension
