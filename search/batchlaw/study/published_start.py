"""What a search tries first where nobody tells it anything: the published default of each optimizer."""

from math import log
from typing import Any

from batchlaw.recipe.nearest import base_lr_of, nearest_point
from batchlaw.recipe.scaling import family_factor
from batchlaw.spec import StudySpec
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.start import Start
from batchlaw.study.warm_start import n_points

_BATCH_SIZE = 32  # Masters & Luschi 2018 (arXiv:1804.07612): sizes up to 32 are the best of most networks
# Goyal et al. 2017 (arXiv:1706.02677): 0.1 at a batch size of 256 with momentum 0.9, an effective rate of 1, and in
# proportion to the batch size up to 8192. So plain SGD has 0.125 at 32.
_RATE, _LARGEST = 0.125, 8192
_FAR = 3.0  # a factor between a rate and its nearest of the space, from which on they are different things (assumption)
_OTHERS: dict[str, Any] = {
    "warmup_fraction": 5 / 90,  # Goyal et al. 2017
    "decay": "cosine",  # Loshchilov & Hutter 2017 (arXiv:1608.03983)
    "momentum": 0.9,
}
_MOST_USED_FIRST = ("adamw", "adam", "momentum", "nesterov", "sgd", "rmsprop", "adagrad", "muon")


def published_start(spec: StudySpec, trials: int | None = None) -> list[Start]:
    """The published default of each optimizer, as the nearest configurations of a space, the most used one first.

    The rates of the optimizers are to each other as `FAMILIES` has them, so that Adam's is 0.00125 at a batch size of
    32. They grow with the batch size, or with its root where the optimizer divides by the size of the gradient.

    Args:
        spec: the study that is to start.
        trials: a budget in place of the spec's.

    Returns:
        As many as `n_points` allows. Empty where the study has points of its own or a sampler that takes none into
        account, and where it has no batch size or searches no learning rate. An optimizer is left out if nothing is
        published of it, or if the space has nothing near its rate.
    """
    search = spec.search
    if search is None or search.start or not search.published_start or search.sampler in ("random", "qmc"):
        return []
    if spec.space.batch_size is None or "base_lr" not in spec.searched:
        return []
    named = spec.values_of("optimizer")
    points = [_point(name, spec) for name in _MOST_USED_FIRST if name in named]
    return [point for point in points if point is not None][: n_points(trials or search.trials)]


def _point(optimizer: str, spec: StudySpec) -> Start | None:
    """The nearest one to an optimizer's default; None where its rate is far from what the space has."""
    nearest = nearest_point({"batch_size": _BATCH_SIZE}, spec)
    batch_size = nearest.get("batch_size", spec.values_of("batch_size")[0])
    assert isinstance(batch_size, int)
    grown = min(batch_size, _LARGEST) / _BATCH_SIZE
    family = FAMILIES[optimizer]
    values = _OTHERS | {
        "optimizer": optimizer,
        "batch_size": batch_size,
        "peak_lr": _RATE * family_factor(optimizer, _OTHERS["momentum"]) * (grown**0.5 if family.normalized else grown),
        "weight_decay": 0.01 if family.decoupled_decay else 1e-4,  # PyTorch's AdamW; He et al. 2016 (arXiv:1512.03385)
    }
    point = nearest_point(values, spec)
    wanted, found = base_lr_of(values, point, spec), point.get("base_lr")
    assert wanted is not None and isinstance(found, int | float)
    return point if abs(log(found / wanted)) <= log(_FAR) else None
