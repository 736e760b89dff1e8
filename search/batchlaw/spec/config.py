"""`TrainConfig`: everything that decides one trial, suggested and derived, with nothing left to look up."""

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from batchlaw.spec.arms import Measure
from batchlaw.spec.dimensions import Decay, OptimizerFamily, ScalingRule
from batchlaw.spec.task import Task


class TrainConfig(BaseModel):
    """One configuration to train, as recorded with its trial.

    A training function of your own reads what it can use: `batch_size`, `peak_lr`, `optimizer`, `steps`, `seeds`, …
    `batchlaw.recipe.schedule.schedule_of(config)` gives the learning rate and the batch size of every step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def placeholders(self) -> dict[str, Any]:
        """What a `command` may name in braces; the seed is that of the first replicate."""
        return {name: getattr(self, name) for name in PLACEHOLDERS if name != "seed"} | {"seed": self.seeds[0]}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Read a configuration back from the JSON of its trial."""
        return cls.model_validate_json(json.dumps(record))

    task: Task | None  # None for a training function of one's own
    objective: str | None  # "package.module:function"
    train_size: int  # examples in an epoch

    batch_size: int  # examples a step, before any growth
    base_lr: float  # at reference_batch_size, for plain SGD
    reference_batch_size: int
    scaling_rule: ScalingRule
    peak_lr: float  # base_lr × factor(family) × rule(batch_size / reference_batch_size)

    optimizer: OptimizerFamily
    momentum: float  # of momentum and nesterov
    beta1: float  # of adam and adamw, after scaling
    beta2: float  # of adam and adamw, and RMSprop's smoothing constant, after scaling
    beta2_half_life_examples: float | None
    eps: float
    weight_decay: float  # decoupled for adamw, L2 elsewhere
    exempt_norms_and_biases: bool

    budget_examples: int  # what the study allows
    examples: int  # what the whole steps within the budget see
    steps: int  # optimizer updates
    budget_clipped: bool  # lr_time asked for fewer than min_steps or more than max_steps
    warmup_fraction: float  # of the budget, as suggested or derived
    warmup_steps: int
    decay: Decay
    milestones: tuple[float, ...]  # fractions of the budget at which step and batch-growth act
    decay_factor: int
    max_batch_size: int  # cap of batch-growth

    reports: int
    measures: tuple[Measure, ...]  # beside the scores
    seeds: tuple[int, ...]  # one a replicate
    lr_per_example: float  # ε/B
    noise_scale: float  # εN/(B(1-m)), Smith & Le 2017


PLACEHOLDERS = (
    "batch_size", "base_lr", "peak_lr", "optimizer", "momentum", "beta1", "beta2", "eps", "weight_decay",
    "scaling_rule", "warmup_fraction", "warmup_steps", "decay", "steps", "examples", "train_size", "seed",
)  # fmt: skip
