"""The number of parameters of a built-in network whose width is an option, and the width that gives a number."""

from itertools import pairwise
from math import prod

from batchlaw.errors import BatchlawError
from batchlaw.spec.datasets import BYTES
from batchlaw.spec.task import CHANNELS, HIDDEN, WIDTHS, Task

_ROUNDS = 60  # of bisection, over the factors below
_LEAST, _MOST = 1e-6, 1e6  # times the width: no network is so small or so large


def n_parameters(task: Task) -> int | None:
    """Weights and biases of an mlp, a cnn or a gpt; None of networks of one size."""
    facts, options = task.facts, task.model_options
    if task.model == "mlp":
        sizes = [prod(facts.shape), *(options.widths or WIDTHS), facts.n_classes]
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
    if task.model == "cnn":
        channels, pixels = options.channels or CHANNELS, (facts.side // 4) ** 2
        convolutions = (9 * facts.channels + 1) * channels + (9 * channels + 1) * 2 * channels
        return convolutions + (2 * channels * pixels + 1) * HIDDEN + (HIDDEN + 1) * facts.n_classes
    if task.model == "gpt":
        width = task.gpt("width")
        block = 12 * width**2 + 2 * width
        return (2 * BYTES + task.gpt("context") + 1) * width + task.gpt("depth") * block
    return None


def of_size(task: Task, parameters: float) -> Task:
    """The task with a width of its network such that it has about so many parameters.

    Raises:
        BatchlawError: the width of its network is no option, or none gives so few parameters.
    """
    if n_parameters(task) is None:
        told = f"{task.model} has one size; mlp, cnn and gpt have widths"
        raise BatchlawError(told, argument="at", got="parameters")
    low, high = _LEAST, _MOST
    for _ in range(_ROUNDS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if (n_parameters(_scaled(task, middle)) or 0) < parameters else (low, middle)
    found = _scaled(task, high)
    least = n_parameters(found) or 0
    if not 0.5 < least / parameters < 2:
        told = f"no width of this {task.model} has about {parameters:.3g} parameters; it has {least:,} at least"
        raise BatchlawError(told, argument="at", got="parameters")
    return found


def _scaled(task: Task, factor: float) -> Task:
    """The task with its widths times a factor."""
    options = task.model_options
    wide: dict[str, object] = {"widths": tuple(max(1, round(width * factor)) for width in options.widths or WIDTHS)}
    if task.model == "cnn":
        wide = {"channels": max(1, round((options.channels or CHANNELS) * factor))}
    elif task.model == "gpt":
        heads = task.gpt("heads")  # they share the width
        wide = {"width": heads * max(1, round(task.gpt("width") / heads * factor))}
    return task.model_copy(update={"model_options": options.model_copy(update=wide)})
