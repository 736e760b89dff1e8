"""A configuration from elsewhere, such as an earlier study's, as the nearest one of a space."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from batchlaw.recipe.scaling import family_factor, scale
from batchlaw.spec import FloatRange, IntRange, StudySpec
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import KNOBS
from batchlaw.spec.start import Start, choice


def nearest_point(values: Mapping[str, Any], spec: StudySpec) -> Start:
    """The configuration of the space nearest to another, as `search.start` has it.

    Numbers outside of a range are moved to its end, and of numbers to choose from the nearest is taken. A name that is
    no choice is left out, and so is what the other does not tell; a trial then samples it. `base_lr` is the one that
    gives the same peak learning rate. If the optimizer is another one, it gives the peak that the factors of both
    optimizers make of it.

    Args:
        values: hyperparameters, and parameters of the user's own, by name; in place of `base_lr` the `peak_lr`.
        spec: the study of the space.
    """
    searched = set(spec.searched)
    found: Start = {}
    for name, dimension in spec.dimensions.items():
        value = values.get(name)
        known = name in searched and name != "base_lr" and value is not None and _is_used(name, values)
        if known and (place := _nearest(value, dimension)) is not None:
            found[name] = place
    if "base_lr" in searched and values.get("peak_lr") is not None:
        if "scaling_rule" in searched:
            found.setdefault("scaling_rule", spec.values_of("scaling_rule")[0])
        base_lr = base_lr_of(values, found, spec)
        if base_lr is not None and (place := _nearest(base_lr, spec.space.base_lr)) is not None:
            found["base_lr"] = place
    return found


def _is_used(name: str, values: Mapping[str, Any]) -> bool:
    """Whether the optimizer of a configuration uses a hyperparameter; if not, a trial records one without use."""
    families = next((knob.families for knob in KNOBS if knob.name == name), None)
    return families is None or values.get("optimizer", families[0]) in families


def base_lr_of(values: Mapping[str, Any], found: Start, spec: StudySpec) -> float | None:
    """The base rate that gives the peak of a configuration, wherever the space ends.

    Args:
        values: the configuration, with its `peak_lr`.
        found: the nearest one of the space, with its batch size and scaling rule.
        spec: the study of the space.

    Returns:
        None where no optimizer tells its factor.
    """
    space = spec.space
    here = {name: one[0] for name in spec.dimensions if len(one := spec.values_of(name)) == 1} | found
    own = values.get("optimizer", here.get("optimizer"))
    if own not in FAMILIES or (not space.family_factors and "optimizer" not in here):
        return None
    momentum = values.get("momentum", here.get("momentum", 0.0))
    rate = values["peak_lr"] / family_factor(own, momentum)  # of plain SGD
    family = here.get("optimizer", own)
    if not space.family_factors:
        rate *= family_factor(family, here.get("momentum", momentum))
    batch_size = here.get("batch_size")
    if batch_size is None or here["scaling_rule"] == "constant":
        return float(rate)
    scaled = scale(
        "linear" if here["scaling_rule"] == "linear" else "sqrt",  # of sde the rate is that of sqrt
        batch_size / space.reference_batch_size, family=family, beta1=space.beta1, beta2=space.beta2, eps=space.eps,
    )  # fmt: skip
    return float(rate / scaled.lr_factor)


def _nearest(value: Any, dimension: Any) -> Any:
    """The value of a dimension that is nearest; None where a name, or a truth value, is none of its choices."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(dimension, FloatRange | IntRange):
        if not number:
            return None
        inside = min(max(value, dimension.low), dimension.high)
        if isinstance(dimension, FloatRange):
            return float(inside)
        if dimension.log2:
            return min(max(2 ** round(log(inside, 2)), dimension.low), dimension.high)
        return round(inside)
    same = choice(dimension, value)
    if same is not None or not number:
        return same
    numbers = [each for each in dimension if isinstance(each, int | float) and not isinstance(each, bool)]
    return min(numbers, key=lambda each: _apart(each, value, numbers), default=None)


def _apart(one: float, other: float, among: Sequence[float]) -> float:
    """The distance of two numbers: of logarithms, unless one of the choices is not above 0."""
    return abs(log(one / other)) if min(*among, other) > 0 else abs(one - other)
