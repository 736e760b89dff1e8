"""What a study will cost on this machine, and how narrow the intervals of a designed one will be, beforehand."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import special

from batchlaw.errors import StudyError
from batchlaw.measure.training_time import seconds_together
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.cube import Cube
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.space import cells, distributions_of, point_of
from batchlaw.spec import StudySpec, TrainConfig, levels_of
from batchlaw.spec.knobs import Point

# Standard errors of an optimum with five seeds, in octaves: medians over the identified levels of
# studies/claim-scaling-rule.toml, for momentum and for Adam.
TYPICAL_ERRORS = (0.07, 0.37)


_POINTS = 24  # of a search, drawn at random: the time of each stands for its part of the space


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """The size of a search, and the longest it takes."""

    study: str
    trials: int | None  # None: as many as the seconds allow
    budget_seconds: float | None
    replicates: int
    pruner: str
    workers: int
    seconds_a_trial: float | None  # that trains to its end, of wall time for all workers; None of your own training

    @property
    def seconds(self) -> float | None:
        """Of wall time if every trial trains to its end, within the budget; None where that is not known."""
        if self.trials is None:
            return self.budget_seconds
        whole = None if self.seconds_a_trial is None else self.trials * self.seconds_a_trial
        return min((each for each in (whole, self.budget_seconds) if each is not None), default=None)

    def lines(self) -> list[str]:
        """For people."""
        each = f" × {self.replicates} seeds" if self.replicates > 1 else ""
        size = [] if self.trials is None else [f"{self.trials} trials{each}"]
        bound = [] if self.budget_seconds is None else [f"{self.budget_seconds:,g} s"]
        lines = [f"{self.study}: {' or '.join([*size, *bound])}, {self.workers} workers"]
        if self.seconds_a_trial is None or self.seconds is None:
            return [
                *lines,
                "how long your own training takes is not known before it runs; batchlaw try shows it",
            ]
        fitting = self.seconds / self.seconds_a_trial
        if self.trials is None or fitting < self.trials:  # the seconds end it
            more = "" if self.pruner == "none" else f"; {self.pruner} ends poor trials early, so there will be more"
            return [*lines, f"about {fitting:,.0f} trials{each} on this machine if every one trains to its end{more}"]
        time = f"{timedelta(seconds=round(self.seconds))} on this machine if every trial trains to its end"
        less = "" if self.pruner == "none" else f"; {self.pruner} ends poor trials early, so it will take less"
        return [*lines, f"about {time}{less}"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The size of a designed study, and the time it takes."""

    study: str
    cells: int
    replicates: int
    runs: int
    # Of a staggered grid the batch sizes, and the learning rates (base_lr) that have them.
    staggered: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = ()
    workers: int
    seconds: float | None  # of wall time; None for a training function of one's own, which is not measured
    slope_half_widths: tuple[float, float] | None  # of the expected interval, from … to; None with one learning rate

    def lines(self) -> list[str]:
        """For people."""
        time = (
            "unknown for an objective of your own"
            if self.seconds is None
            else str(timedelta(seconds=round(self.seconds)))
        )
        lines = [
            f"{self.study}: {self.cells} cells × {self.replicates} replicates = {self.runs} runs",
            *(
                f"batch sizes {', '.join(map(str, sizes))} at base_lr {', '.join(f'{rate:.4g}' for rate in rates)}"
                for sizes, rates in self.staggered
            ),
            f"about {time} of training with {self.workers} workers on this machine",
        ]
        if self.slope_half_widths:
            widths = " to ".join(f"± {width:.2f}" for width in self.slope_half_widths)
            lines.append(
                f"expected interval of a slope over the learning rates: {widths}, where every optimum is identified as "
                "well as on digits (with momentum, with Adam)"
            )
        return lines


def cost_of(spec: StudySpec, runtime: Runtime, workers: int) -> Cost | SearchCost:
    """The cost of a study, from a few measured steps at every batch size, or of a search at random points.

    Raises:
        StudyError: the study has an adaptive design, whose batch sizes are not known beforehand.
    """
    seeds = run_seeds(spec.arm.seed, spec.arm.replicates)
    if spec.search is not None:
        configs = [derive(spec, point, seeds) for point in _random_points(spec)]
        together = [[each] for each in configs]
        seconds = None if spec.task is None else seconds_together(spec, runtime, workers, together) / len(configs)
        return SearchCost(
            study=spec.name, trials=spec.search.trials, budget_seconds=spec.search.budget_seconds,
            replicates=spec.search.replicates, pruner=spec.search.pruner, workers=workers, seconds_a_trial=seconds,
        )  # fmt: skip
    assert spec.claim is not None
    if spec.claim.design == "adaptive":
        raise StudyError(f"study {spec.name!r} has an adaptive design, whose batch sizes are not known beforehand")
    n = spec.claim.replicates
    combinations = cells(spec)
    x = np.log2(levels_of(spec.space.base_lr))
    spread = float(np.sqrt(((x - x.mean()) ** 2).sum()))
    t = float(special.stdtrit(n - 1, 1 - spec.claim.alpha / 2))
    low, high = (t * error * (5 / n) ** 0.5 for error in TYPICAL_ERRORS)
    seconds = None
    if spec.task is not None:
        configs = [derive(spec, point_of(cell, spec), seeds) for cell in combinations]
        seconds = seconds_together(spec, runtime, workers, _stacks(spec, configs))
    return Cost(
        study=spec.name,
        cells=len(combinations),
        replicates=n,
        runs=n * len(combinations),
        staggered=_staggered(spec) if spec.is_staggered else (),
        workers=workers,
        seconds=seconds,
        slope_half_widths=(low / spread, high / spread) if spread else None,
    )


def _random_points(spec: StudySpec) -> list[Point]:
    """Points that are spread over the space of a search, always the same."""
    distributions = distributions_of(spec)
    single = {name: _only(each) for name, each in distributions.items() if each.single()}
    cube = Cube.of(distributions)
    drawn = cube.at_random(_POINTS, np.random.default_rng(0)) if cube.sides else [np.array([])] * _POINTS
    return [point_of(single | cube.configuration(place), spec) for place in drawn]


def _only(distribution: BaseDistribution) -> Any:
    """The value of a distribution that has one."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low


def _stacks(spec: StudySpec, configs: list[TrainConfig]) -> list[list[TrainConfig]]:
    """Each configuration with those that may train together with it: which differ in the learning rate only."""
    assert spec.claim is not None
    if spec.claim.times_steps:
        return [[config] for config in configs]
    groups: dict[str, list[TrainConfig]] = {}
    keys = [repr(config.model_copy(update={"base_lr": None, "peak_lr": None})) for config in configs]
    for key, config in zip(keys, configs, strict=True):
        groups.setdefault(key, []).append(config)
    return [
        [config, *(each for each in groups[key] if each is not config)]
        for key, config in zip(keys, configs, strict=True)
    ]


def _staggered(spec: StudySpec) -> tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]:
    """Each row of batch sizes of a staggered grid, with its learning rates."""
    rows: dict[tuple[int, ...], list[float]] = {}
    for base_lr, sizes in spec.batch_sizes.items():
        rows.setdefault(tuple(sizes.values()), []).append(base_lr)
    return tuple((sizes, tuple(rates)) for sizes, rates in rows.items())
