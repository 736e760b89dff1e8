"""Gradient accumulation: the parts of a step whose batch does not fit into memory."""

from math import gcd

from batchlaw.export.refusal import refused
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig


def micro_batches(config: TrainConfig, form: str) -> int:
    """The smallest number of equal parts of a step that stay within task.micro_batch_size, the same at every step.

    Raises:
        BatchlawError: the batch grows, and no such number divides all of its sizes.
    """
    limit = config.task.micro_batch_size if config.task else None
    if limit is None:
        return 1
    sizes = sorted({phase.batch_size for phase in schedule_of(config).phases})
    common = gcd(*sizes)
    for count in range(1, common + 1):
        if common % count == 0 and sizes[-1] <= count * limit:
            return count
    told = ", ".join(map(str, sizes))
    raise refused(
        form, "task.micro_batch_size", limit, f"batches of {told} do not split into the same number of such parts"
    )
