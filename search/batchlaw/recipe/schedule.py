"""Learning rate and batch size of every step, as pure functions of the progress through the budget.

Progress is the fraction of the budget's examples seen before a step, so that all batch sizes decay at the same points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from batchlaw.errors import ConfigError
from batchlaw.spec.config import TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import AT_MILESTONES, Cooldown, Decay


@dataclass(frozen=True)
class Phase:
    """Consecutive steps with one batch size; `lr_factor` multiplies the peak learning rate."""

    batch_size: int
    steps: int
    lr_factor: float


@dataclass(frozen=True)
class Schedule:
    """The phases of a run, its warmup and its decay."""

    phases: tuple[Phase, ...]
    warmup_steps: int
    decay: Decay
    cooldown_steps: int | None = None  # the last steps, over which wsd cools down
    cooldown: Cooldown | None = None  # its shape

    @property
    def steps(self) -> int:
        """The number of optimizer updates."""
        return sum(phase.steps for phase in self.phases)

    @property
    def examples(self) -> int:
        """The number of examples that all steps see."""
        return sum(phase.steps * phase.batch_size for phase in self.phases)

    @property
    def decay_start(self) -> int:
        """The steps before the rate of a cosine, linear or wsd decay begins to fall."""
        return self.warmup_steps if self.cooldown_steps is None else self.steps - self.cooldown_steps

    def batch_sizes(self) -> NDArray[np.int64]:
        """Examples of each step, shape (steps,)."""
        return np.repeat([phase.batch_size for phase in self.phases], [phase.steps for phase in self.phases])

    def lr_multipliers(self) -> NDArray[np.float64]:
        """Learning rate of each step divided by the peak learning rate, shape (steps,).

        Warmup is linear, (t+1)/warmup_steps for t = 0, 1, …; cosine and linear decay follow until the end of the
        budget. With wsd the rate stays at the peak until its cooldown, over which it falls to zero (Hägele et al. 2024,
        arXiv:2405.18392): linear, or 1 - √p at the fraction p of the cooldown.
        """
        batch_sizes = self.batch_sizes()
        seen = np.cumsum(batch_sizes) - batch_sizes
        multipliers = np.repeat([phase.lr_factor for phase in self.phases], [phase.steps for phase in self.phases])
        if self.decay in ("cosine", "linear", "wsd"):
            start = self.decay_start * self.phases[0].batch_size
            position = np.clip((seen - start) / (self.examples - start), 0.0, 1.0)
            if self.decay == "cosine":
                multipliers *= (1 + np.cos(pi * position)) / 2
            else:
                multipliers *= 1 - (np.sqrt(position) if self.cooldown == "1-sqrt" else position)
        ramp = min(self.warmup_steps, len(multipliers))
        multipliers[:ramp] *= np.arange(1, ramp + 1) / max(self.warmup_steps, 1)
        return multipliers

    def report_steps(self, reports: int) -> tuple[int, ...]:
        """Steps done at report 1 … `reports`: at the end of the step that completes each equal share of the examples.

        With fewer steps than reports, several reports have the same step.
        """
        seen = np.cumsum(self.batch_sizes())
        due = [ceil(self.examples * report / reports) for report in range(1, reports + 1)]
        return tuple(int(step) + 1 for step in np.searchsorted(seen, due))


def plan(
    *,
    batch_size: int,
    examples: int,
    decay: Decay,
    milestones: tuple[float, ...],
    factor: int,
    max_batch_size: int,
    normalized: bool = False,
) -> tuple[Phase, ...]:
    """Split a budget of examples into phases of whole steps; a remainder smaller than a step goes to the next phase.

    `step` divides the learning rate by `factor` at each milestone. `batch-growth` multiplies the batch size instead
    (Smith et al. 2018), up to `max_batch_size`; what is left of the factor divides the rate, so that ε/B is the same as
    with `step`. `seesaw` does the same for SGD; for optimizers that normalize the gradient it keeps ε/√B the same as
    with `step`, so that the rate falls by √factor as the batch grows (Meterez et al. 2025, arXiv:2510.14717).

    Args:
        batch_size: of the first phase.
        examples: the budget.
        decay: its name.
        milestones: increasing fractions of the budget.
        factor: above 1.
        max_batch_size: the batch does not grow beyond it.
        normalized: whether the optimizer normalizes the gradient, as Adam does.

    Raises:
        ConfigError: the budget, or its part before the first milestone, is smaller than one step.
    """
    if examples < batch_size:
        raise ConfigError(f"batch_size: the budget of {examples} examples is less than one step of {batch_size}")
    ends = [floor_examples(examples, fraction) for fraction in milestones] if decay in AT_MILESTONES else []
    if ends and ends[0] < batch_size:
        first = f"the first milestone, at {ends[0]} of {examples} examples,"
        raise ConfigError(f"batch_size: {first} comes before one step of {batch_size}")
    phases: list[Phase] = []
    seen, size, lr_factor = 0, batch_size, 1.0
    for end in [*ends, examples]:
        steps = (end - seen) // size
        if steps > 0:
            phases.append(Phase(size, steps, lr_factor))
            seen += steps * size
        grown = size if decay == "step" else max(size, min(size * factor, max_batch_size))
        growth = grown / size
        lr_factor *= (sqrt(growth) if normalized and decay == "seesaw" else growth) / factor
        size = grown
    return tuple(phases)


def floor_examples(examples: int, fraction: float) -> int:
    """The whole examples in a fraction of a budget; 1e-6 is added against rounding, as in 0.3 × 10 = 2.999…"""
    return int(examples * fraction + 1e-6)


def cooldown_steps_of(steps: int, fraction: float) -> int:
    """The last steps, over which wsd cools down.

    Those before it are rounded down like a warmup, so that a warmup that fits does so at every batch size.
    """
    return steps - int((1 - fraction) * steps + 1e-6)


def config_at(config: TrainConfig, horizon: float) -> TrainConfig:
    """The configuration of a run over a share of the budget of a wsd run, whose steps are the same until it cools down.

    The warmup is that of the whole budget.
    """
    assert config.cooldown_fraction is not None
    budget = floor_examples(config.budget_examples, horizon)
    steps = budget // config.batch_size
    changes = {
        "budget_examples": budget, "examples": steps * config.batch_size, "steps": steps, "horizons": (),
        "cooldown_steps": cooldown_steps_of(steps, config.cooldown_fraction),
    }  # fmt: skip
    return config.model_copy(update=changes)


def schedule_of(config: TrainConfig) -> Schedule:
    """The schedule of a configuration. Without a batch size it counts a step as one example.

    Raises:
        ConfigError: the number of steps is not known.
    """
    if config.steps is None:
        raise ConfigError("a schedule needs the number of steps: a [budget], and a batch size unless it counts steps")
    examples = config.steps if config.batch_size is None else config.budget_examples
    phases = plan(
        batch_size=config.batch_size or 1,
        examples=examples,
        decay=config.decay,
        milestones=config.milestones,
        factor=config.decay_factor,
        max_batch_size=config.max_batch_size or examples,
        normalized=FAMILIES[config.optimizer].normalized,
    )
    return Schedule(phases, config.warmup_steps, config.decay, config.cooldown_steps, config.cooldown)


def lr_multiplier(config: TrainConfig) -> Callable[[int], float]:
    """A function of the updates done that gives the next one's learning rate divided by the peak, as LambdaLR wants it.

    Raises:
        ConfigError: the number of steps is not known.
    """
    multipliers = schedule_of(config).lr_multipliers().tolist()
    return lambda step: multipliers[min(step, len(multipliers) - 1)]
