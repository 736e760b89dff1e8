"""The only caller of `suggest_*`: a trial to a point of the space, the same parameters in every trial.

Families share their dimensions and ignore what they have no use for; a parameter that came and went with the family
would fall out of TPE's joint space silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import log2
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from batchlaw.spec import FloatRange, IntRange, Space, levels_of
from batchlaw.spec.knobs import KNOBS, Knob, Point


class Suggests(Protocol):
    """What a live trial, `optuna.trial.FixedTrial` and `Suggested` have in common."""

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
    """Parameters as suggested before. Optuna's `FixedTrial` checks their bounds, in six times the time (measured)."""

    params: Mapping[str, Any]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """As it was."""
        return float(self.params[name])

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """As it was."""
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """As it was."""
        return self.params[name]


class _Noted:
    """Notes the distribution of each parameter that is asked for."""

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


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """The parameters of every trial, as `suggest` asks for them."""
    noted = _Noted()
    suggest(noted, space)
    return noted.distributions


def cells(space: Space) -> list[dict[str, Any]]:
    """The parameters of every combination of levels, as `suggest` would name them; the longest to train first."""
    levels: dict[str, tuple[Any, ...]] = {}
    for knob in KNOBS:
        dimension = getattr(space, knob.name)
        if isinstance(dimension, IntRange):
            levels[f"log2_{knob.name}"] = tuple(int(log2(level)) for level in levels_of(dimension))
        elif isinstance(dimension, tuple):
            levels[knob.name] = dimension
    combinations = [dict(zip(levels, values, strict=True)) for values in product(*levels.values())]
    return sorted(combinations, key=lambda cell: cell.get("log2_batch_size", cell.get("batch_size", 0)))


def companions(space: Space, slot: int) -> list[int]:
    """The slots of the cells that differ from a cell in the learning rate alone, in their order."""
    every = cells(space)
    own = every[slot] | {"base_lr": None}
    return [other for other, cell in enumerate(every) if other != slot and cell | {"base_lr": None} == own]


def point_of(params: Mapping[str, Any], space: Space) -> Point:
    """The point that stored parameters stand for."""
    return suggest(Suggested(params), space)


def suggest(trial: Suggests, space: Space) -> Point:
    """Draw every dimension that is not fixed."""
    return Point(**{knob.name: _value(trial, knob, getattr(space, knob.name)) for knob in KNOBS})


def _value(trial: Suggests, knob: Knob, dimension: Any) -> Any:
    """One knob: a fixed value as it is, a choice, or a number of a range on the scale that is searched."""
    name = knob.name
    if isinstance(dimension, FloatRange) and knob.scale == "log(1-x)":
        return 1 - trial.suggest_float(f"one_minus_{name}", 1 - dimension.high, 1 - dimension.low, log=True)
    if isinstance(dimension, FloatRange):
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, IntRange) and dimension.log2:
        return 2 ** trial.suggest_int(f"log2_{name}", int(log2(dimension.low)), int(log2(dimension.high)))
    if isinstance(dimension, IntRange):
        return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_categorical(name, dimension) if isinstance(dimension, tuple) else dimension
