"""`TrainConfig`: everything that decides one trial, suggested and derived, with nothing left to look up."""

from typing import Any

from batchlaw.spec.arms import Measure
from batchlaw.spec.knobs import KNOBS, Point
from batchlaw.spec.task import Task


class TrainConfig(Point):
    """One configuration to train, as recorded with its trial: its point, and what follows from it.

    A training function of your own reads what it can use: `batch_size`, `peak_lr`, `optimizer`, `steps`, `seeds`, …
    `batchlaw.recipe.schedule.schedule_of(config)` gives the learning rate and the batch size of every step.
    """

    def placeholders(self) -> dict[str, Any]:
        """What a `command` may name in braces; the seed is that of the first replicate."""
        return {name: getattr(self, name) for name in PLACEHOLDERS if name != "seed"} | {"seed": self.seeds[0]}

    task: Task | None  # None for a training function of one's own
    objective: str | None  # "package.module:function"
    train_size: int  # examples in an epoch

    # Of a Point: batch_size is that of the first step, before any growth; base_lr applies to plain SGD at
    # reference_batch_size; momentum is 0 for optimizers without it.
    reference_batch_size: int
    peak_lr: float  # base_lr × factor of the family × rule(batch_size / reference_batch_size)
    beta1: float  # after scaling, like beta2 and eps
    beta2: float  # of RMSprop its smoothing constant
    beta2_half_life_examples: float | None
    eps: float
    exempt_norms_and_biases: bool  # from weight decay

    budget_examples: int  # what the study allows
    examples: int  # what the whole steps within the budget see
    steps: int  # optimizer updates
    budget_clipped: bool  # lr_time asked for fewer than min_steps or more than max_steps
    warmup_steps: int
    milestones: tuple[float, ...]  # fractions of the budget at which step and batch-growth act
    decay_factor: int
    max_batch_size: int  # cap of batch-growth

    reports: int
    measures: tuple[Measure, ...]  # beside the scores
    seeds: tuple[int, ...]  # one a replicate
    lr_per_example: float  # ε/B
    noise_scale: float  # εN/(B(1-m)), Smith & Le 2017


PLACEHOLDERS = (
    *(knob.name for knob in KNOBS), "peak_lr", "beta1", "beta2", "eps", "warmup_steps", "steps", "examples", "seed"
)  # fmt: skip
