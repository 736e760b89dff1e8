"""A winner trained again on fresh seeds."""

from dataclasses import replace

from batchlaw.errors import Diverged, WorkFailed
from batchlaw.measure.run_pool import RunPool
from batchlaw.measure.trainings import Tick, told_by_seeds
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.arguments import takes_seed
from batchlaw.recipe.seeds import derive_seed
from batchlaw.results.records import TrialRecord
from batchlaw.results.verification import Estimate, Verification
from batchlaw.spec import StudySpec
from batchlaw.stats.comparison import mean_and_error


def verify(
    record: TrialRecord,
    spec: StudySpec,
    runtime: Runtime,
    n_seeds: int,
    pool: RunPool | None = None,
    *,
    tick: Tick = lambda done, total: None,
    first: int = 0,
) -> Verification:
    """Train a configuration on fresh seeds; of a built-in task the test data is scored, once.

    Args:
        record: of the trial with the configuration.
        spec: its study.
        runtime: of this process.
        n_seeds: 2 or more.
        pool: where code of the user's own trains; None is this process.
        tick: called after each training.
        first: a number that no trial of the study has, and none above it.

    Raises:
        WorkFailed: it diverged, so that there is no mean.
        ObjectiveError: a run of the user's own code failed.
    """
    metric = spec.arm.metric
    seeds = tuple(derive_seed(spec.arm.seed, "verify", number) for number in range(n_seeds))
    config = record.known_config.model_copy(update={"seeds": seeds})
    (told,) = told_by_seeds([config], spec, replace(runtime, test=True), pool, tick, first=first)
    if n_diverged := sum(isinstance(each, Diverged) for each in told):
        raise WorkFailed(f"trial {record.number} diverged on {n_diverged} of {n_seeds} fresh seeds")
    metrics = [each for each in told if not isinstance(each, Diverged)]
    values = [each[metric] for each in metrics]
    fresh, test = Estimate(*mean_and_error(values)), None
    if spec.task is not None and "test_accuracy" in metrics[0]:
        name = metric.replace("validation", "test")
        test = (name, Estimate(*mean_and_error([each[name] for each in metrics])))
    assert record.value is not None
    sign = 1 if spec.direction == "maximize" else -1
    return Verification(
        trial=record.number,
        metric=metric,
        n_seeds=n_seeds,
        seeds=seeds if takes_seed(spec) else None,
        search_value=record.value,
        fresh=fresh,
        optimism=Estimate(sign * (record.value - fresh.value), fresh.standard_error),
        test=test,
        scored_by=None if spec.task is not None else "program" if spec.command is not None else "function",
        same=len(set(values)) == 1,
    )
