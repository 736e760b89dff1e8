"""Critical batch sizes along training, from branches of a trunk (arXiv:2505.23971).

The trunk trains at a constant rate. From each of its checkpoints branches train on for a window of examples with larger
batches, the rate moved by the family's rule: × √k for optimizers with second moments, × k for the others.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from batchlaw.errors import BatchlawError
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.scaling import scale
from batchlaw.recipe.schedule import Phase, Schedule
from batchlaw.spec import StudySpec, TrainConfig, extremes
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import KNOBS, Point, ScalingRule
from batchlaw.stats.branching import Branches
from batchlaw.stats.surface import Floats
from batchlaw.train.data import load_parts
from batchlaw.train.examples import Parts
from batchlaw.train.parallel_runs import ParallelRuns
from batchlaw.train.stacking import seconds_a_step, stack_size

_FEWEST_STEPS = 8  # of a branch in its window
_SCORED = 4  # times in the last quarter of the window, averaged
_TIMED = 12  # steps

Tick = Callable[[int, int], None]  # told how many parts of the work are done, and of how many


@dataclass(frozen=True, kw_only=True)
class Design:
    """A trunk, its checkpoints and its branches."""

    spec: StudySpec
    batch_size: int  # of the trunk
    base_lr: float
    budget_examples: int  # of the trunk
    checkpoints: tuple[int, ...]  # examples seen, whole steps of the trunk
    window: int  # examples, a multiple of every batch size
    sizes: tuple[int, ...]  # of the branches, the trunk's first
    seeds: tuple[int, ...]

    @property
    def rule(self) -> ScalingRule:
        """How a branch's rate moves with its batch size: "sqrt" or "linear"."""
        return "sqrt" if FAMILIES[self.config.optimizer].second_moment else "linear"

    @property
    def config(self) -> TrainConfig:
        """Of the trunk."""
        return self.config_at(self.batch_size)

    def config_at(self, batch_size: int) -> TrainConfig:
        """Of a branch; that of the trunk's batch size is the trunk's."""
        spec = self.spec
        point = Point(**{knob.name: extremes(getattr(spec.space, knob.name))[0] for knob in KNOBS})
        point = point.model_copy(update={
            "batch_size": batch_size, "base_lr": self.base_lr, "decay": "constant", "warmup_fraction": 0.0,
            "scaling_rule": "constant",
        })  # fmt: skip
        return derive(spec, point, self.seeds)

    def rate(self, batch_size: int) -> float:
        """The learning rate at a batch size, moved from the trunk's."""
        k, trunk = batch_size / self.batch_size, self.config
        moved = scale(self.rule, k, family=trunk.optimizer, beta1=trunk.beta1, beta2=trunk.beta2, eps=trunk.eps)
        return float(trunk.peak_lr or 0.0) * moved.lr_factor

    @property
    def examples(self) -> int:
        """That all runs see, for each seed."""
        return self.checkpoints[-1] + len(self.checkpoints) * len(self.sizes) * self.window

    @property
    def steps(self) -> int:
        """Updates of all runs, for each seed."""
        return self.checkpoints[-1] // self.batch_size + len(self.checkpoints) * sum(
            self.window // size for size in self.sizes
        )


def design(
    spec: StudySpec, *, batch_size: int, base_lr: float, checkpoints: int = 4, window: int | None = None,
    largest: int | None = None,
) -> Design:  # fmt: skip
    """A trunk over the study's budget, with checkpoints at halves of it: the last at its end.

    Args:
        spec: a study of a built-in task.
        batch_size: of the trunk.
        base_lr: of the trunk.
        checkpoints: how many.
        window: examples of a branch; None: a sixteenth of the budget, or what the trunk sees before the first
            checkpoint where that is more.
        largest: batch size of a branch; None: as large as leaves 8 steps in a window.

    Raises:
        BatchlawError: the window has no room for a branch.
    """
    seeds = run_seeds(spec.arm.seed, max(spec.arm.replicates, 3))
    found = Design(
        spec=spec, batch_size=batch_size, base_lr=base_lr, budget_examples=0, checkpoints=(), window=0, sizes=(),
        seeds=seeds,
    )  # fmt: skip
    budget = found.config.budget_examples
    assert budget is not None
    places = [budget >> shift for shift in range(checkpoints - 1, -1, -1)]
    steps = sorted({place // batch_size for place in places} - {0})
    wanted = window or max(budget // 16, places[0])
    most = min(wanted // _FEWEST_STEPS, largest or wanted, found.config.train_size or wanted)
    sizes = [batch_size]
    while 2 * sizes[-1] <= most:
        sizes.append(2 * sizes[-1])
    if len(sizes) < 3:
        raise BatchlawError(
            f"must be at least {4 * _FEWEST_STEPS * batch_size} examples: {_FEWEST_STEPS} steps of 4 times the trunk's "
            f"batch size {batch_size}",
            argument="window", got=wanted,
        )  # fmt: skip
    return Design(
        spec=spec, batch_size=batch_size, base_lr=base_lr, budget_examples=budget, seeds=seeds, sizes=tuple(sizes),
        checkpoints=tuple(step * batch_size for step in steps), window=wanted // sizes[-1] * sizes[-1],
    )  # fmt: skip


def seconds_of(plan: Design, runtime: Runtime) -> float:
    """Seconds of all training on this machine, from a few steps at each batch size; evaluations are not counted."""
    parts = _parts(plan, runtime)
    total, runs = 0.0, {plan.batch_size: plan.checkpoints[-1] // plan.batch_size}
    for size in plan.sizes:
        runs[size] = runs.get(size, 0) + len(plan.checkpoints) * (plan.window // size)
    for size, steps in runs.items():
        stacks = _stacks(plan, parts, size, max(_TIMED, 2) * size)
        total += sum(seconds_a_step(stack, _TIMED) for stack in stacks) * steps
    return total


def branched(plan: Design, runtime: Runtime, tick: Tick = lambda done, total: None) -> list[Branches]:
    """Train the trunk and its branches; the losses at each checkpoint, in order."""
    parts = _parts(plan, runtime)
    trunk = _stacks(plan, parts, plan.batch_size, plan.checkpoints[-1])
    found, done, n = [], 0, len(plan.checkpoints) * (1 + len(plan.sizes))
    step = 0
    for examples in plan.checkpoints:
        until = examples // plan.batch_size
        for stack in trunk:
            stack.advance(step, until)
        step = until
        states = [deepcopy(stack.state()) for stack in trunk]
        start = _losses(trunk, parts)
        tick(done := done + 1, n)
        ends = []
        for size in plan.sizes:
            ends.append(_branch(plan, parts, size, states))
            tick(done := done + 1, n)
        found.append(Branches(np.array(plan.sizes, float), start, np.array(ends)))
    return found


def _branch(plan: Design, parts: Parts, size: int, states: Sequence[dict[str, Any]]) -> Floats:
    """The loss of each seed after the window, a mean over its last quarter, (n_seeds,)."""
    stacks = _stacks(plan, parts, size, plan.window, n=len(states))
    for stack, state in zip(stacks, states, strict=True):
        kept = ("model", "optimizer", "streams", "augment")
        stack.restore(stack.state() | deepcopy({name: state[name] for name in kept}))
    steps, losses, done = plan.window // size, [], 0
    for place in range(_SCORED):
        until = ceil(steps * (1 - (_SCORED - 1 - place) / (4 * _SCORED)))
        for stack in stacks:
            if until > done:
                stack.advance(done, until)
        done = until
        losses.append(_losses(stacks, parts))
    return np.asarray(np.mean(losses, axis=0))


def _stacks(plan: Design, parts: Parts, size: int, examples: int, n: int | None = None) -> list[ParallelRuns]:
    """The seeds at a batch size, as one network or each by itself, whichever is faster at the trunk's batch size."""
    config, task = plan.config_at(size), plan.spec.task
    assert task is not None
    schedule = Schedule((Phase(size, examples // size, 1.0),), 0, "constant")
    if n is None:
        trunk = Schedule((Phase(plan.batch_size, plan.checkpoints[-1] // plan.batch_size, 1.0),), 0, "constant")
        n = 1 if stack_size([plan.config], parts.train, trunk) > 1 else len(plan.seeds)
    seeds = [plan.seeds] if n == 1 else [(seed,) for seed in plan.seeds]
    return [ParallelRuns(config, task, each, schedule, parts.train, (plan.rate(size),)) for each in seeds]


def _losses(stacks: Sequence[ParallelRuns], parts: Parts) -> Floats:
    found = [loss for stack in stacks for loss in stack.evaluate(parts.sample).loss]
    return np.array([loss if np.isfinite(loss) else np.inf for loss in found])


def _parts(plan: Design, runtime: Runtime) -> Parts:
    assert plan.spec.task is not None
    runtime.threads.use(runtime.choose_threads([plan.config]))
    return load_parts(plan.spec.task, runtime.torch_device, runtime.data_dir)
