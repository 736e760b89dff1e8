"""From a point of the space to everything that decides its training: the one chain batch size → learning rate → steps.

Pure: neither torch nor Optuna. The objective, the replay and the checks of a study file share it.
"""

from dataclasses import dataclass
from itertools import product

from batchlaw.errors import ConfigError, SpecError
from batchlaw.recipe.scaling import HAS_BETA2, HAS_MOMENTUM, beta2_of_half_life, family_factor, noise_scale, scale
from batchlaw.recipe.schedule import Schedule, plan
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import Budget, StudySpec, TrainConfig, extremes, levels_of
from batchlaw.spec.arms import Measure
from batchlaw.spec.dimensions import Decay, OptimizerFamily, ScalingRule


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of the space, as suggested."""

    batch_size: int
    base_lr: float
    scaling_rule: ScalingRule
    warmup_fraction: float
    optimizer: OptimizerFamily
    decay: Decay
    momentum: float
    weight_decay: float
    train_size: int | None = None  # None is the study's


def run_seeds(study_seed: int, replicates: int) -> tuple[int, ...]:
    """Seeds of the replicates of a study's trials: common to all of them, so that they compare like with like."""
    return tuple(derive_seed(study_seed, "run", replicate) for replicate in range(replicates))


def slot_seeds(spec: StudySpec, study_seed: int, slot: int) -> tuple[int, ...]:
    """Seeds of the replicates of the trial in a slot: those of the study; in an adaptive design those of its round.

    A round is one slot for each learning rate. All of its trials share their seeds, so that what these do to a score
    can be told from the rates; another round has others, so that no run repeats another.
    """
    replicates = spec.arm.replicates
    if spec.claim is None or spec.claim.design == "factorial":
        return run_seeds(study_seed, replicates)
    first = slot // len(levels_of(spec.space.base_lr)) * replicates
    return tuple(derive_seed(study_seed, "run", first + replicate) for replicate in range(replicates))


def derive(spec: StudySpec, point: Point, seeds: tuple[int, ...]) -> TrainConfig:
    """Everything that follows from a point of the space.

    Raises:
        ConfigError: the point cannot be trained (an impossible rule, a budget below one step, a warmup past the decay).
    """
    space, family = spec.space, point.optimizer
    kappa = point.batch_size / space.reference_batch_size
    beta2 = space.rmsprop_alpha if family == "rmsprop" else space.beta2
    scaled = scale(point.scaling_rule, kappa, family=family, beta1=space.beta1, beta2=beta2, eps=space.eps)
    factor = family_factor(family, point.momentum) if space.family_factors else 1.0
    peak_lr = point.base_lr * factor * scaled.lr_factor
    n_train = point.train_size or spec.n_train
    task = spec.task and spec.task.model_copy(update={"train_size": point.train_size or spec.task.train_size})
    beta2 = scaled.beta2
    if space.beta2_half_life_examples is not None:
        beta2 = beta2_of_half_life(space.beta2_half_life_examples, point.batch_size)
    budget_examples, clipped = _budget(spec.budget, n_train, point.batch_size, peak_lr)
    max_batch_size = spec.schedule.max_batch_size or n_train
    phases = plan(
        batch_size=point.batch_size,
        examples=budget_examples,
        decay=point.decay,
        milestones=spec.schedule.milestones,
        factor=spec.schedule.decay_factor,
        max_batch_size=max_batch_size,
    )
    constant_steps = budget_examples // point.batch_size
    if space.warmup == "untuned":
        # Ma & Yarats (2021): linear over 2/(1-β₂) steps; families without a second moment have nothing to warm up.
        warmup_steps = round(2 / (1 - beta2)) if family in HAS_BETA2 else 0
    else:
        # Rounded down, like the milestones, so that a warmup that fits the budget fits it at every batch size.
        warmup_steps = int(point.warmup_fraction * constant_steps + 1e-6)
    schedule = Schedule(phases, warmup_steps, point.decay)
    _check_warmup(schedule, point)
    momentum = point.momentum if family in HAS_MOMENTUM else 0.0
    return TrainConfig(
        task=task,
        objective=spec.objective,
        train_size=n_train,
        batch_size=point.batch_size,
        base_lr=point.base_lr,
        reference_batch_size=space.reference_batch_size,
        scaling_rule=point.scaling_rule,
        peak_lr=peak_lr,
        optimizer=family,
        momentum=momentum,
        beta1=scaled.beta1,
        beta2=beta2,
        beta2_half_life_examples=space.beta2_half_life_examples,
        eps=scaled.eps,
        weight_decay=point.weight_decay,
        exempt_norms_and_biases=space.exempt_norms_and_biases,
        budget_examples=budget_examples,
        examples=schedule.examples,
        steps=schedule.steps,
        budget_clipped=clipped,
        warmup_fraction=warmup_steps / constant_steps if space.warmup == "untuned" else point.warmup_fraction,
        warmup_steps=warmup_steps,
        decay=point.decay,
        milestones=spec.schedule.milestones,
        decay_factor=spec.schedule.decay_factor,
        max_batch_size=max_batch_size,
        reports=spec.arm.reports,
        measures=_measures(spec),
        seeds=seeds,
        lr_per_example=peak_lr / point.batch_size,
        noise_scale=noise_scale(peak_lr, point.batch_size, n_train, momentum),
    )


def _measures(spec: StudySpec) -> tuple[Measure, ...]:
    """What the hypotheses ask for, and what the study asks for itself."""
    asked = spec.claim.measures if spec.claim else ()
    return (*asked, "noise-scale") if spec.arm.noise_scale else asked


def _budget(budget: Budget, train_size: int, batch_size: int, peak_lr: float) -> tuple[int, bool]:
    """The budget in examples, and whether lr_time was clipped; steps are counted at the first batch size."""
    if budget.epochs is not None:
        return int(budget.epochs * train_size + 1e-6), False
    if budget.examples is not None:
        return budget.examples, False
    if budget.steps is not None:
        return budget.steps * batch_size, False
    assert budget.lr_time is not None and budget.min_steps is not None and budget.max_steps is not None
    wanted = budget.lr_time / peak_lr
    steps = round(min(max(wanted, budget.min_steps), budget.max_steps))
    return steps * batch_size, not budget.min_steps <= wanted <= budget.max_steps


def _check_warmup(schedule: Schedule, point: Point) -> None:
    """Warmup must end within the first phase, and before the last step where the rate then decays to zero."""
    room = schedule.phases[0].steps - (schedule.decay in ("cosine", "linear"))
    if schedule.warmup_steps > room and schedule.warmup_steps > 0:
        raise ConfigError(
            f"warmup: {schedule.warmup_steps} warmup steps and decay {point.decay!r} do not fit; at most {room} of "
            f"{schedule.steps} steps at batch_size {point.batch_size}"
        )


def check_space(spec: StudySpec) -> None:
    """Derive every corner of the space, so that no trial meets an impossible configuration.

    What can fail is monotone in each number, so the smallest and the largest of each are enough.

    Raises:
        SpecError: a corner cannot be trained.
    """
    space = spec.space
    numbers = [
        sorted({min(extremes(dimension)), max(extremes(dimension))})
        for dimension in (
            space.batch_size,
            space.base_lr,
            space.warmup_fraction,
            space.momentum,
            space.train_size or spec.n_train,
        )
    ]
    names = [extremes(dimension) for dimension in (space.scaling_rule, space.optimizer, space.decay)]
    for batch_size, base_lr, warmup, momentum, train_size, rule, family, decay in product(*numbers, *names):
        point = Point(
            batch_size=batch_size,
            base_lr=base_lr,
            scaling_rule=rule,
            warmup_fraction=warmup,
            optimizer=family,
            decay=decay,
            momentum=momentum,
            weight_decay=0.0,
            train_size=train_size,
        )
        try:
            derive(spec, point, seeds=(0,))
        except ConfigError as error:
            raise SpecError(f"space.{error}") from None
