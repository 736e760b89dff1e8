"""What a step costs at each batch size, measured for a study."""

from collections.abc import Callable, Sequence
from pathlib import Path

from batchlaw.errors import BatchlawError
from batchlaw.results.step_time import Profile
from batchlaw.spec import StudySpec, extremes
from batchlaw.study.code import Code
from batchlaw.study.threads import check_threads, threads_kept

Tick = Callable[[int, int], None]  # told how many parts of the work are done, and of how many


def check_optimizers(spec: StudySpec, optimizers: Sequence[str] | None) -> None:
    """Refuse what cannot be profiled.

    Raises:
        BatchlawError: the study has no built-in task, or an optimizer is not in its space.
    """
    if spec.task is None:
        raise BatchlawError(
            f"study {spec.name!r} runs {spec.user_code!r}; only the steps of a [task] can be profiled. For your own "
            "code, recommend goes by the clocks of the trials"
        )
    known = extremes(spec.space.optimizer)
    for name in optimizers or ():
        if name not in known:
            raise BatchlawError(f"the space has {', '.join(known)}", argument="optimizer", got=name)


def measured(
    spec: StudySpec,
    *,
    optimizers: Sequence[str] | None = None,
    seconds: float = 1.0,
    device: str = "auto",
    threads: int | None = None,
    data_dir: Path | None = None,
    download: bool = False,
    tick: Tick = lambda done, total: None,
) -> Profile:
    """Time steps of every batch size of a study; see `Study.profile`."""
    from batchlaw.measure.profiler import profile_of
    from batchlaw.recipe.derive import check_space
    from batchlaw.train.data import prepare

    check_space(spec)
    check_optimizers(spec, optimizers)
    runtime = Code().runtime(spec, device, data_dir, threads=check_threads(threads))
    assert spec.task is not None
    prepare(spec.task, runtime.data_dir, download=download)
    families = tuple(name for name in extremes(spec.space.optimizer) if not optimizers or name in optimizers)
    with threads_kept():
        return profile_of(spec, runtime, families=families, seconds=seconds, tick=tick)
