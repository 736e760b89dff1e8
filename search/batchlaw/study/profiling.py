"""What a step costs at each batch size, measured for a study."""

from collections.abc import Callable, Sequence
from pathlib import Path

from batchlaw.errors import BatchlawError
from batchlaw.results.step_time import Profile
from batchlaw.spec import StudySpec, extremes
from batchlaw.storage import StoredStudy
from batchlaw.study.code import Code
from batchlaw.study.threads import check_threads, threads_kept

Tick = Callable[[int, int], None]  # told how many parts of the work are done, and of how many


def check_optimizers(spec: StudySpec, optimizers: Sequence[str] | None) -> None:
    """Refuse what cannot be profiled.

    Raises:
        BatchlawError: an optimizer is not in the study's space.
    """
    known = extremes(spec.space.optimizer)
    for name in optimizers or ():
        if name not in known:
            raise BatchlawError(f"the space has {', '.join(known)}", argument="optimizer", got=name)


def told_by_trials(stored: StoredStudy, optimizers: Sequence[str] | None, devices: Sequence[int]) -> Profile:
    """The times of code of the user's own; see `Study.profile`."""
    from batchlaw.results.records import records_of
    from batchlaw.results.trial_times import times_of_trials

    if devices:
        told = f"of your own code the trials tell the times, on the study's devices (devices = {stored.spec.devices})"
        raise BatchlawError(told, argument="devices", got=devices[0])
    check_optimizers(stored.spec, optimizers)
    return times_of_trials(stored.spec, records_of(stored), optimizers)


def measured(
    spec: StudySpec,
    code: Code,
    *,
    optimizers: Sequence[str] | None = None,
    seconds: float = 1.0,
    devices: Sequence[int] = (),
    device: str = "auto",
    threads: int | None = None,
    data_dir: Path | None = None,
    download: bool = False,
    tick: Tick = lambda done, total: None,
) -> Profile:
    """Time steps of every batch size of a study of a built-in task; see `Study.profile`."""
    from batchlaw.data_files import prepare
    from batchlaw.measure.profiler import profile_of
    from batchlaw.measure.shared_steps import check_devices
    from batchlaw.recipe.derive import check_space

    check_space(spec)
    check_optimizers(spec, optimizers)
    runtime = code.runtime(spec, device, data_dir, threads=check_threads(threads))
    check_devices(devices, runtime.torch_device)
    assert spec.task is not None
    prepare(spec.task, runtime.data_dir, download=download)
    families = tuple(name for name in extremes(spec.space.optimizer) if not optimizers or name in optimizers)
    with threads_kept():
        return profile_of(spec, runtime, families=families, seconds=seconds, devices=devices, tick=tick)
