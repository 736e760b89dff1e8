"""What a study file would cost on this machine, before anything is registered."""

from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.cores import cores
from batchlaw.recipe.derive import check_space
from batchlaw.spec import read_spec
from batchlaw.study.code import code_of
from batchlaw.workers.launch import local_devices

if TYPE_CHECKING:
    from batchlaw.measure.cost import Cost, SearchCost


def cost_of_file(
    file: Path, *, workers: int | None = None, trials: int | None = None, device: str = "auto"
) -> "Cost | SearchCost":
    """See `batchlaw.measure.cost.cost_of`.

    Args:
        file: a study file.
        workers: processes that share the work; None is one a GPU, or one a core without a GPU.
        trials: in place of the file's.
        device: where to train.
    """
    from batchlaw.measure.cost import cost_of

    spec = read_spec(file)
    if trials is not None and spec.search is not None:
        spec = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})
    check_space(spec)
    count = workers or len(local_devices()) or cores()
    return cost_of(spec, code_of(None, file).runtime(spec, device, None), count)
