"""What a study file would cost on this machine, before anything is registered."""

from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.recipe.derive import check_space
from batchlaw.spec import read_spec
from batchlaw.study.code import code_of
from batchlaw.study.running import gpus_for, n_workers

if TYPE_CHECKING:
    from batchlaw.measure.cost import Cost, SearchCost


def cost_of_file(
    file: Path,
    *,
    workers: int | None = None,
    trials: int | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
) -> "Cost | SearchCost":
    """See `batchlaw.measure.cost.cost_of`.

    Args:
        file: a study file.
        workers: processes that share the work; None is as many as `run` starts.
        trials: in place of the file's.
        device: where to train.
        data_dir: folder of the data sets.
    """
    from batchlaw.measure.cost import cost_of

    spec = read_spec(file)
    if trials is not None and spec.search is not None:
        spec = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})
    check_space(spec)
    count = workers or n_workers(gpus_for(device), spec.devices)
    return cost_of(spec, code_of(None, file).runtime(spec, device, data_dir), count)
