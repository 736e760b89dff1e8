"""The largest learning rate of a stable step at each batch size of a study file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.errors import BatchlawError
from batchlaw.spec import read_spec
from batchlaw.study.code import code_of
from batchlaw.study.files import StrPath, path_of
from batchlaw.study.threads import check_threads, threads_kept

if TYPE_CHECKING:
    from batchlaw.results.rate_range import LearningRateRange


def learning_rate_range(
    file: StrPath, *, device: str = "auto", threads: int | None = None, data_dir: StrPath | None = None,
    download: bool = False, tick: Callable[[int, int], None] = lambda done, total: None,
) -> "LearningRateRange":  # fmt: skip
    """The largest learning rate of a stable step at each batch size, by critical sharpness; registers nothing.

    After ten steps at the lowest rate of the space, one further step is tried at other rates until the largest is found
    that does not raise the training loss, in three places with three seeds. After Kalra et al. 2026 (arXiv:2601.16979);
    the loss is that of a sample of the training examples. It is a bound on the rates that are worth a search. At which
    rate a whole run diverges is another question: at a third of it to 27 times it, in what was measured.

    Args:
        file: a study file with a [task].
        device: as for `Study.run`.
        threads: of the CPU; None takes OMP_NUM_THREADS, or as many as pay.
        data_dir: folder of the data sets.
        download: the data set, if it is missing.
        tick: called with the parts of the work that are done, and the number of all.

    Raises:
        SpecError: the file is wrong.
        BatchlawError: the study runs code of the user's own, or an argument is wrong.
        DataError: the data set is missing.
    """
    from batchlaw.data_files import prepare
    from batchlaw.measure.rate_range import rate_range_of
    from batchlaw.recipe.derive import check_space

    spec = read_spec(Path(file))
    if spec.task is None:
        raise BatchlawError(f"study {spec.name!r} runs {spec.user_code!r}; a range needs a [task]")
    check_space(spec)
    runtime = code_of(None, Path(file)).runtime(spec, device, path_of(data_dir), threads=check_threads(threads))
    prepare(spec.task, runtime.data_dir, download=download)
    with threads_kept():
        return rate_range_of(spec, runtime, tick)
