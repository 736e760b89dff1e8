"""Configurations that are trained to their ends outside of a study, each with all of its seeds."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

from batchlaw.errors import Diverged
from batchlaw.measure.run_pool import RunPool, Told
from batchlaw.objectives.runtime import Runtime
from batchlaw.spec import StudySpec, TrainConfig

Tick = Callable[[int, int], None]  # the number of trainings that are done, and that of all


def told_by_seeds(
    configs: Sequence[TrainConfig],
    spec: StudySpec,
    runtime: Runtime,
    pool: RunPool | None = None,
    tick: Tick = lambda done, total: None,
    *,
    first: int = 0,
) -> list[list[Told]]:
    """The metrics of each seed of each configuration, or that it diverged.

    A configuration of a built-in task trains with all of its seeds at once. Each seed of the user's own code is a
    training of its own, as many at a time as the pool has processes.

    Args:
        configs: to train.
        spec: their study.
        runtime: of this process.
        pool: where code of the user's own trains; None is this process.
        tick: called after each training.
        first: the number, as a trial, of the first run of the user's own code.

    Raises:
        ObjectiveError: a run of the user's own code failed.
    """
    if spec.user_code is None:
        done = count(1)
        found = []
        for config in configs:
            found.append(_here(config, spec, runtime))
            tick(next(done), len(configs))
        return found
    runs = [config.model_copy(update={"seeds": (seed,)}) for config in configs for seed in config.seeds]
    done = count(1)

    def ticked() -> None:
        tick(next(done), len(runs))

    if pool is not None:
        told = iter(pool.train(runs, spec, ticked, first=first))
    else:
        told = _one_by_one(runs, spec, runtime, ticked)
    return [[next(told) for _ in config.seeds] for config in configs]


def _one_by_one(
    runs: Sequence[TrainConfig], spec: StudySpec, runtime: Runtime, ticked: Callable[[], None]
) -> Iterator[Told]:
    for run in runs:
        (told,) = _here(run, spec, runtime)
        ticked()
        yield told


def _here(config: TrainConfig, spec: StudySpec, runtime: Runtime) -> list[Told]:
    """Train in this process."""
    from batchlaw.objectives.builtin import train_config  # PyTorch, which programs in other processes do without

    try:
        score = train_config(config, spec, lambda progress, metrics: None, runtime)
    except Diverged as ending:
        return [ending] * len(config.seeds)
    return list(score.replicates)
