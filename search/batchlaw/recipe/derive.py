"""From a point of the search space to the configuration of its trial: batch size → learning rate → steps.

Pure functions, without torch and Optuna.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from batchlaw.errors import ConfigError, SpecError
from batchlaw.recipe.scaling import beta2_of_half_life, family_factor, noise_scale, scale, weight_decay_of
from batchlaw.recipe.schedule import Schedule, cooldown_steps_of, floor_examples, plan
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import StudySpec, TrainConfig, extremes
from batchlaw.spec.families import FAMILIES, family_of
from batchlaw.spec.knobs import KNOBS, Count, Number, Point, ScalingRule
from batchlaw.spec.needs import Measure


def run_seeds(study_seed: int, replicates: int, turn: int = 0) -> tuple[int, ...]:
    """The seeds of the replicates, the same for all trials of a study, so that trials differ in their point only.

    In an adaptive design they are those of a trial's turn, of which no point has one twice.
    """
    first = turn * replicates
    return tuple(derive_seed(study_seed, "run", replicate) for replicate in range(first, first + replicates))


def fresh_seeds(study_seed: int, replicates: int, trial: int) -> tuple[int, ...]:
    """The seeds of a trial that trains a configuration again, by the number of its first attempt: no other has them."""
    return tuple(derive_seed(study_seed, "confirm", trial, replicate) for replicate in range(replicates))


def derive(spec: StudySpec, point: Point, seeds: tuple[int, ...]) -> TrainConfig:
    """The configuration of a trial at a point of the space.

    `peak_lr = base_lr × family_factor × rule(batch_size / reference_batch_size)`; see `recipe.scaling`.

    Args:
        spec: the study.
        point: the suggested values.
        seeds: one for each replicate.

    Raises:
        ConfigError: the point cannot be trained: an impossible rule, a budget below one step, or a warmup that does not
            fit.
    """
    if not FAMILIES[point.optimizer].scheduled:
        point = point.model_copy(update={"decay": "constant"})
    space, family, batch_size = spec.space, point.optimizer, point.batch_size
    kappa = 1.0 if batch_size is None else batch_size / space.reference_batch_size
    second_moment = FAMILIES[family].second_moment
    beta2 = getattr(space, second_moment or "beta2")
    scaled = scale(point.scaling_rule, kappa, family=family, beta1=space.beta1, beta2=beta2, eps=space.eps)
    factor = family_factor(family, point.momentum) if space.family_factors else 1.0
    peak_lr = None if point.base_lr is None else point.base_lr * factor * scaled.lr_factor
    n_train = point.train_size or spec.n_train
    task = spec.task and spec.task.model_copy(update={"train_size": point.train_size or spec.task.train_size})
    if task is not None and batch_size is not None and batch_size < task.fewest_together:
        raise ConfigError(
            f"batch_size: got {batch_size}; must be at least {task.fewest_together} with {task.model} on "
            f'{task.dataset}: batch norm has no variance over one example of one pixel; norm = "group" has'
        )
    beta2 = scaled.beta2
    if space.beta2_half_life_examples is not None:
        beta2 = beta2_of_half_life(
            space.beta2_half_life_examples, batch_size, floor=space.beta2_floor, ceiling=space.beta2_ceiling
        )
    budget_examples, clipped = _budget(spec, n_train, batch_size, peak_lr)
    max_batch_size = spec.schedule.max_batch_size or n_train
    schedule = _schedule(spec, point, budget_examples, max_batch_size, beta2)
    values = dict(point)
    values |= {
        knob.name: knob.unused for knob in KNOBS if knob.families is not None and family_of(family) not in knob.families
    }
    values |= {"train_size": n_train}
    if (tau := values["weight_decay_tau"]) is not None:
        if budget_examples is None:
            raise ConfigError(f"weight_decay_tau: got {tau:g}; needs a budget of known steps, examples or epochs")
        values["weight_decay"] = weight_decay_of(
            tau, peak_lr=peak_lr, batch_size=batch_size, budget_examples=budget_examples
        )
    if space.warmup == "untuned" and schedule is not None:
        values["warmup_fraction"] = schedule.warmup_steps / (budget_examples // (batch_size or 1))
    if batch_size is None and spec.budget is not None and spec.budget.counts_steps:
        budget_examples = examples = None
    else:
        examples = budget_examples if schedule is None else schedule.examples
    known_rate = peak_lr is not None and batch_size is not None
    return TrainConfig(
        **values,
        task=task,
        objective=spec.objective,
        reference_batch_size=space.reference_batch_size,
        peak_lr=peak_lr,
        beta1=scaled.beta1,
        beta2=beta2,
        beta2_half_life_examples=space.beta2_half_life_examples,
        beta2_floor=space.beta2_floor,
        beta2_ceiling=space.beta2_ceiling,
        eps=scaled.eps,
        exempt_norms_and_biases=space.exempt_norms_and_biases,
        budget_examples=budget_examples,
        examples=examples,
        steps=None if schedule is None else schedule.steps,
        budget_clipped=clipped,
        warmup_steps=None if schedule is None else schedule.warmup_steps,
        milestones=spec.schedule.milestones,
        decay_factor=spec.schedule.decay_factor,
        max_batch_size=max_batch_size,
        cooldown_fraction=spec.schedule.cooldown_fraction if point.decay == "wsd" else None,
        cooldown_steps=schedule and schedule.cooldown_steps,
        horizons=spec.schedule.horizons or (),
        cooldown=schedule and schedule.cooldown,
        reports=spec.arm.reports,
        measures=_measures(spec),
        seeds=seeds,
        tokens_per_example=spec.example_tokens,
        budget=spec.budget and spec.budget.amount,
        budget_unit=spec.budget and spec.budget.unit,
        lr_per_example=peak_lr / batch_size if known_rate else None,
        noise_scale=noise_scale(peak_lr, batch_size, n_train, _averaged(values)) if known_rate and n_train else None,
    )


def _averaged(values: Mapping[str, Any]) -> float:
    """The momentum by which an update adds up gradients; 0 for optimizers that average them."""
    return float(values["momentum"]) if FAMILIES[values["optimizer"]].factor is None else 0.0


def _schedule(
    spec: StudySpec, point: Point, budget_examples: Count, max_batch_size: Count, beta2: float
) -> Schedule | None:
    """The schedule of a trial whose steps are known. Without a batch size it counts a step as one example."""
    if budget_examples is None or (point.batch_size is None and spec.budget and not spec.budget.counts_steps):
        return None
    space, batch_size = spec.space, point.batch_size or 1
    phases = plan(
        batch_size=batch_size,
        examples=budget_examples,
        decay=point.decay,
        milestones=spec.schedule.milestones,
        factor=spec.schedule.decay_factor,
        max_batch_size=max_batch_size or budget_examples,
        normalized=FAMILIES[point.optimizer].normalized,
    )
    if space.warmup == "untuned":
        # Ma & Yarats (2021): linear over 2/(1-β₂) steps, for optimizers with a second moment.
        warmup_steps = round(2 / (1 - beta2)) if FAMILIES[point.optimizer].second_moment else 0
    else:
        # Rounded down like the milestones: a warmup that fits the budget then fits it at every batch size.
        warmup_steps = int(point.warmup_fraction * (budget_examples // batch_size) + 1e-6)
    schedule = Schedule(phases, warmup_steps, point.decay)
    if point.decay == "wsd":
        cooldown_steps = cooldown_steps_of(schedule.steps, spec.schedule.cooldown_fraction)
        schedule = replace(schedule, cooldown_steps=cooldown_steps, cooldown=spec.schedule.cooldown)
        if spec.schedule.horizons:
            # Those of larger horizons are longer, so that the first has the least room.
            steps = floor_examples(budget_examples, spec.schedule.horizons[0]) // batch_size
            shortest = replace(
                schedule, phases=(replace(phases[0], steps=steps),),
                cooldown_steps=cooldown_steps_of(steps, spec.schedule.cooldown_fraction),
            )  # fmt: skip
            _check_warmup(shortest, point, f" up to the horizon {spec.schedule.horizons[0]:g}")
    _check_warmup(schedule, point)
    return schedule


def derive_moved(
    spec: StudySpec,
    point: Point,
    trained: TrainConfig,
    *,
    batch_size: int,
    peak_lr: float,
    rule: ScalingRule,
    seeds: tuple[int, ...],
) -> TrainConfig:
    """The configuration of a trained point at another batch size.

    Args:
        spec: the study.
        point: the hyperparameters; its batch size and learning rate are replaced.
        trained: the configuration that was trained. Its batch size is the reference of the rule; the sde rule scales
            its β₁, β₂ and eps.
        batch_size: the new one.
        peak_lr: of the trained batch size; the rule scales it.
        rule: a scaling rule.
        seeds: one for each replicate.

    Raises:
        ConfigError: the moved point cannot be trained.
    """
    second_moment = FAMILIES[trained.optimizer].second_moment or "beta2"
    settings = {
        "reference_batch_size": trained.batch_size, "beta1": trained.beta1, second_moment: trained.beta2,
        "eps": trained.eps,
    }  # fmt: skip
    space = spec.space.model_copy(update=settings)
    factor = family_factor(point.optimizer, point.momentum) if space.family_factors else 1.0
    moved = point.model_copy(update={"batch_size": batch_size, "base_lr": peak_lr / factor, "scaling_rule": rule})
    return derive(spec.model_copy(update={"space": space}), moved, seeds)


def _measures(spec: StudySpec) -> tuple[Measure, ...]:
    """What the hypotheses and the key `noise_scale` ask to be measured."""
    measures = spec.claim.measures if spec.claim else ()
    return (*measures, "noise-scale") if spec.arm.noise_scale else measures


def _budget(spec: StudySpec, train_size: Count, batch_size: Count, peak_lr: Number) -> tuple[Count, bool]:
    """The budget in examples, and whether lr_time was clipped. Steps are counted at the first batch size.

    None without a budget, or where only the program knows its unit. Without a batch size, of one that counts steps,
    the number of its steps.
    """
    budget, size = spec.budget, batch_size or 1
    if budget is None or budget.amount is not None:
        return None, False  # type: ignore[return-value]
    if budget.epochs is not None:
        return int(budget.epochs * train_size + 1e-6), False
    if budget.tokens is not None:
        assert spec.example_tokens is not None
        return budget.tokens // spec.example_tokens, False
    if budget.examples is not None:
        return budget.examples, False
    if budget.steps is not None:
        return budget.steps * size, False
    assert budget.lr_time is not None and budget.min_steps is not None and budget.max_steps is not None
    wanted = budget.lr_time / peak_lr
    steps = round(min(max(wanted, budget.min_steps), budget.max_steps))
    return steps * size, not budget.min_steps <= wanted <= budget.max_steps


def _check_warmup(schedule: Schedule, point: Point, where: str = "") -> None:
    """Check that the warmup ends in the first phase, and before the last step or the cooldown if the rate goes to zero.

    And that the rate of a cooldown falls before the last step has been made.
    """
    first = schedule.phases[0]
    at = where + f" at batch_size {point.batch_size}" * (point.batch_size is not None)
    room = first.steps - (schedule.decay in ("cosine", "linear"))
    if schedule.cooldown_steps is not None:
        room = schedule.decay_start
        if schedule.cooldown_steps < 2:
            raise ConfigError(
                f"decay: the cooldown of wsd is {schedule.cooldown_steps} of {schedule.steps} steps{at}; must be at "
                "least 2: a longer budget, smaller batches or a larger schedule.cooldown_fraction"
            )
    if schedule.warmup_steps > room and schedule.warmup_steps > 0:
        raise ConfigError(
            f"warmup: {schedule.warmup_steps} warmup steps and decay {point.decay!r} do not fit; at most {room} of "
            f"{schedule.steps} steps{at}"
        )


# `derive` can fail on these knobs only.
_DECISIVE = (
    "batch_size", "base_lr", "scaling_rule", "warmup_fraction", "optimizer", "decay", "momentum", "train_size"
)  # fmt: skip


def check_space(spec: StudySpec) -> None:
    """Check that every point of a space can be trained, by deriving its corners.

    Every bound in `derive` is monotone in each number, so the smallest and the largest value of each are enough.

    Raises:
        SpecError: a corner cannot be trained.
    """
    ends = {knob.name: extremes(getattr(spec.trial_space, knob.name)) for knob in KNOBS}
    numbers = {knob.name for knob in KNOBS if knob.kind is not str and ends[knob.name] != (None,)}
    corners = [{min(ends[name]), max(ends[name])} if name in numbers else ends[name] for name in _DECISIVE]
    anywhere = {name: values[0] for name, values in ends.items()}
    for corner in product(*corners):
        try:
            derive(spec, Point(**anywhere | dict(zip(_DECISIVE, corner, strict=True))), seeds=(0,))
        except ConfigError as error:
            raise SpecError(f"space.{error}") from None
