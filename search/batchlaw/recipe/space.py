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

from batchlaw.recipe.derive import Point
from batchlaw.spec import FloatRange, IntRange, Space, levels_of

_DIMENSIONS = (
    "batch_size", "base_lr", "scaling_rule", "warmup_fraction", "optimizer", "decay", "momentum", "weight_decay",
    "train_size",
)  # fmt: skip


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
    for name in _DIMENSIONS:
        dimension = getattr(space, name)
        if isinstance(dimension, IntRange):
            levels[f"log2_{name}"] = tuple(int(log2(level)) for level in levels_of(dimension))
        elif isinstance(dimension, tuple):
            levels[name] = dimension
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
    return Point(
        batch_size=_power(trial, "batch_size", space.batch_size),
        base_lr=_value(trial, "base_lr", space.base_lr),
        scaling_rule=_value(trial, "scaling_rule", space.scaling_rule),
        warmup_fraction=_value(trial, "warmup_fraction", space.warmup_fraction),
        optimizer=_value(trial, "optimizer", space.optimizer),
        decay=_value(trial, "decay", space.decay),
        momentum=_momentum(trial, space),
        weight_decay=_value(trial, "weight_decay", space.weight_decay),
        train_size=_power(trial, "train_size", space.train_size) if space.train_size is not None else None,
    )


def _value(trial: Suggests, name: str, dimension: Any) -> Any:
    if isinstance(dimension, FloatRange):
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, IntRange):
        return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_categorical(name, dimension) if isinstance(dimension, tuple) else dimension


def _power(trial: Suggests, name: str, dimension: Any) -> int:
    """A whole number, by its exponent where only powers of two are asked for."""
    if isinstance(dimension, IntRange) and dimension.log2:
        exponent = trial.suggest_int(f"log2_{name}", int(log2(dimension.low)), int(log2(dimension.high)))
        return int(2**exponent)
    return int(_value(trial, name, dimension))


def _momentum(trial: Suggests, space: Space) -> float:
    """A range of momentum is searched as log(1-m), the scale on which it acts (Shallue et al. 2018)."""
    dimension = space.momentum
    if isinstance(dimension, FloatRange):
        return 1 - trial.suggest_float("one_minus_momentum", 1 - dimension.high, 1 - dimension.low, log=True)
    return float(_value(trial, "momentum", dimension))
