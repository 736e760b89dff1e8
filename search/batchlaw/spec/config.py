"""`TrainConfig`: everything that decides one trial, both suggested and derived."""

from typing import Any

from batchlaw.expressions.parser import FUNCTIONS, REDUCTIONS
from batchlaw.spec.knobs import KNOBS, Cooldown, Count, Number, Point
from batchlaw.spec.needs import Measure
from batchlaw.spec.task import Task


class TrainConfig(Point):
    """The configuration of one trial, recorded with it: its point in the search space, and what follows from it.

    A training function reads what it can use, such as `batch_size`, `peak_lr`, `optimizer`, `steps` and `seeds`.
    `batchlaw.recipe.schedule.schedule_of(config)` gives the learning rate and the batch size of every step.

    The fields of the point: `batch_size` is that of the first step, before it grows. `base_lr` is for plain SGD at
    `reference_batch_size`. `momentum` is 0 for optimizers without it. `parameters` has the values of the study's own
    parameters by name, without those whose condition is false. With `weight_decay_tau`, `weight_decay` is what follows
    from it.

    What a study does not give is None, and so is what follows from it: the batch size, the learning rate, the number of
    training examples, and the steps and examples of a budget.
    """

    task: Task | None  # None for a training function or a command
    objective: str | None  # "package.module:function"
    train_size: Count  # examples in an epoch

    reference_batch_size: int
    peak_lr: Number  # base_lr × factor of the optimizer × rule(batch_size / reference_batch_size)
    beta1: float  # after scaling, like beta2 and eps
    beta2: float  # for RMSprop its smoothing constant `alpha`
    beta2_half_life_examples: float | None
    beta2_floor: float = 0.0  # of the beta2 that a half-life gives
    beta2_ceiling: float = 1.0
    eps: float
    exempt_norms_and_biases: bool  # from weight decay

    budget_examples: Count  # the budget
    examples: Count  # seen by the whole steps within the budget
    steps: Count  # optimizer updates
    budget_clipped: bool  # lr_time gave fewer than min_steps or more than max_steps
    warmup_steps: Count
    milestones: tuple[float, ...]  # fractions of the budget at which the decays step, batch-growth and seesaw act
    decay_factor: int
    max_batch_size: Count  # batch-growth and seesaw stop there
    cooldown_fraction: float | None = None  # of wsd: the last share of the budget, over which it cools down
    cooldown_steps: int | None = None  # the same in steps
    cooldown: Cooldown | None = None  # its shape
    horizons: tuple[float, ...] = ()  # shares of the budget at which a branch cools down, the last of them 1

    reports: int
    measures: tuple[Measure, ...]  # what is measured beside the scores
    seeds: tuple[int, ...]  # one for each replicate
    tokens_per_example: int | None = None
    budget: int | float | None = None  # of a unit that only the program knows
    budget_unit: str | None = None
    lr_per_example: Number  # ε/B
    noise_scale: Number  # εN/(B(1-m)), Smith & Le 2017

    @property
    def tokens(self) -> int | None:
        """The tokens that a trial sees, where the study tells those of an example."""
        return self.examples * self.tokens_per_example if self.tokens_per_example and self.examples else None

    @property
    def batch_tokens(self) -> int | None:
        """The tokens of a batch, likewise."""
        return self.batch_size * self.tokens_per_example if self.tokens_per_example and self.batch_size else None

    def placeholders(self) -> dict[str, Any]:
        """The values that a `command` may name in braces; `seed` is that of the first replicate."""
        known = {name: getattr(self, name) for name in PLACEHOLDERS if name != "seed"}
        return known | self.parameters | {"seed": self.seeds[0]}


PLACEHOLDERS = (
    *(knob.name for knob in KNOBS), "peak_lr", "beta1", "beta2", "eps", "warmup_steps", "cooldown_steps", "steps",
    "examples", "tokens", "batch_tokens", "budget", "seed",
)  # fmt: skip
# No parameter of the user's own can have these names: they are placeholders, parameters of Optuna, columns of tables
# of trials and runs, or words of expressions.
RESERVED = frozenset(
    (
        *PLACEHOLDERS, *TrainConfig.model_fields, *(knob.parameter for knob in KNOBS), *FUNCTIONS, *REDUCTIONS,
        "lr", "epochs", "tokens", "batch_tokens", "budget", "trial", "run_dir", "devices", "accumulate",
        "micro_batch_size", "rmsprop_alpha", "warmup", "number", "outcome", "value", "seconds", "started", "ended",
        "reason", "replicate", "score", "unstable", "train_seconds", "curves", "inverse_damping", "shares_network",
        "and", "or", "not", "in", "true", "false", "True", "False",
    )
)  # fmt: skip
