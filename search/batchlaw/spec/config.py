"""`TrainConfig`: everything that decides one trial, both suggested and derived."""

from typing import Any

from batchlaw.spec.knobs import KNOBS, Point
from batchlaw.spec.needs import Measure
from batchlaw.spec.task import Task


class TrainConfig(Point):
    """The configuration of one trial, recorded with it: its point in the search space, and what follows from it.

    A training function reads what it can use, such as `batch_size`, `peak_lr`, `optimizer`, `steps` and `seeds`.
    `batchlaw.recipe.schedule.schedule_of(config)` gives the learning rate and the batch size of every step.

    The fields of the point: `batch_size` is that of the first step, before it grows. `base_lr` is for plain SGD at
    `reference_batch_size`. `momentum` is 0 for optimizers without it.
    """

    task: Task | None  # None for a training function or a command
    objective: str | None  # "package.module:function"
    train_size: int  # examples in an epoch

    reference_batch_size: int
    peak_lr: float  # base_lr × factor of the optimizer × rule(batch_size / reference_batch_size)
    beta1: float  # after scaling, like beta2 and eps
    beta2: float  # for RMSprop its smoothing constant `alpha`
    beta2_half_life_examples: float | None
    eps: float
    exempt_norms_and_biases: bool  # from weight decay

    budget_examples: int  # the budget
    examples: int  # seen by the whole steps within the budget
    steps: int  # optimizer updates
    budget_clipped: bool  # lr_time gave fewer than min_steps or more than max_steps
    warmup_steps: int
    milestones: tuple[float, ...]  # fractions of the budget at which the decays step and batch-growth act
    decay_factor: int
    max_batch_size: int  # batch-growth stops there

    reports: int
    measures: tuple[Measure, ...]  # what is measured beside the scores
    seeds: tuple[int, ...]  # one for each replicate
    lr_per_example: float  # ε/B
    noise_scale: float  # εN/(B(1-m)), Smith & Le 2017

    def placeholders(self) -> dict[str, Any]:
        """The values that a `command` may name in braces; `seed` is that of the first replicate."""
        return {name: getattr(self, name) for name in PLACEHOLDERS if name != "seed"} | {"seed": self.seeds[0]}


PLACEHOLDERS = (
    *(knob.name for knob in KNOBS), "peak_lr", "beta1", "beta2", "eps", "warmup_steps", "steps", "examples", "seed"
)  # fmt: skip
