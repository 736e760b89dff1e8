"""Which designed studies are the cheapest from which a longer or larger run can be planned."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import log2
from pathlib import Path
from typing import NamedTuple

import numpy as np

from batchlaw.errors import BatchlawError, SpecError
from batchlaw.laws.plan_design import PlanDesign
from batchlaw.results.step_time import Profile
from batchlaw.spec import FloatRange, IntRange, StudySpec, Task, extremes, levels_of, parse_spec
from batchlaw.spec.knobs import KNOBS
from batchlaw.spec.network_size import n_parameters, of_size
from batchlaw.stats.forecast_design import ForecastDesign

_HYPOTHESIS = "H3"  # of those over rates and batch sizes it needs the smallest grid; a plan needs no verdict
_REPLICATES = 5  # of a factorial design at least
_LEVELS, _RATE_OCTAVES, _OCTAVES = 4, 3.0, 4.0  # of rates and of batch sizes at least, as H3 and a plan need
_BATCH_SIZES = range(_LEVELS, 9)
_FEWEST_STEPS = 32  # of the largest batch size in the shortest run (assumption)
_FARTHEST = 2.0  # octaves beyond the longest run, or as far as the runs reach: `plan` refuses what lies further
_SHARES = (2.5, 5.0, 10.0, 20.0, 40.0)  # the run asked for over the longest run
_RATIOS = (2**0.5, 2.0, 4.0)  # of a horizon over the one below
_HORIZONS = range(3, 11)
_SIZES = (
    (4.0, 2.0),
    (8.0, 4.0, 2.0),
    (16.0, 8.0, 4.0, 2.0),
    (32.0, 16.0, 8.0, 4.0, 2.0),
)  # the size asked for over those of the runs
_VARIED = ("batch_size", "base_lr", "scaling_rule")  # the last is constant in a claim


class _Group(NamedTuple):
    examples: int
    task: Task | None

    @property
    def parameters(self) -> int | None:
        """Of the network; None where they are not known."""
        return None if self.task is None else n_parameters(self.task)

    def place(self, n_axes: int) -> list[float]:
        """As an axis each: the horizon, and the size where it is varied."""
        return [float(self.examples), float(self.parameters or 0)][:n_axes]


def design_of(
    spec: StudySpec, at: Mapping[str, float], *, up_to: float | None = None, factor: float = 2.0, alpha: float = 0.05,
    profile: Profile | None = None, timed: str = "no step was timed", folder: Path = Path(),
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> PlanDesign:  # fmt: skip
    """The cheapest designed studies whose forecast interval is expected below a factor.

    Sets of horizons, of batch sizes and, where asked, of sizes are weighed in the order of their cost.

    Args:
        spec: the task, its space and its metric.
        at: the run asked for: "examples", and "parameters" to vary the width of a built-in network as well.
        up_to: the most examples of a run of the design; None: as it pays.
        factor: above 1, between the ends of the interval.
        alpha: one less the confidence of the interval.
        profile: seconds a step at each batch size; None: cost is counted in examples.
        timed: what the profile is, or why there is none.
        folder: of the study's file.
        tick: called with the sets that were weighed, and their number.

    Raises:
        SpecError: the study varies what a law must hold fixed, or lacks what a grid needs.
        BatchlawError: no design reaches the factor, or there is no room for three horizons.
    """
    _check_fixed(spec)
    rates, all_sizes = _rates(spec), _batch_sizes(spec)
    for name, levels, octaves in (("base_lr", rates, _RATE_OCTAVES), ("batch_size", all_sizes, _OCTAVES)):
        span = log2(levels[-1] / levels[0]) if levels else 0.0
        if len(levels) < _LEVELS or span < octaves - 0.01:
            told = f"must have {_LEVELS} levels or more over {octaves:g} octaves; got {len(levels)} over {span:.1f}"
            raise SpecError(f"{spec.name}: space.{name}: {told}")
    places = [at[name] for name in ("examples", "parameters") if name in at]
    narrowest = np.inf
    for last in range(len(all_sizes), 0, -1):  # without the largest batch sizes only where nothing else reaches
        options = []
        for sizes in _subsets(all_sizes[:last]):
            for groups in _sets_of_groups(spec, at, up_to, max(sizes)):
                options.append((_cost(spec, groups, sizes, profile), sizes, groups))
        for done, (_, sizes, groups) in enumerate(sorted(options, key=lambda option: option[0])):
            tick(done, len(options))
            design = ForecastDesign(np.log2(sizes), np.log2(places), "parameters" in at)
            octaves = design.octaves(np.log2([group.place(len(places)) for group in groups]), alpha)
            narrowest = min(narrowest, octaves)
            if octaves < log2(factor):
                studies = tuple(_study(spec, group, sizes, rates) for group in groups)
                cost = _cost(spec, groups, sizes, profile) * len(rates) * studies[0].arm.replicates
                seconds = None if profile is None else cost
                return PlanDesign(dict(at), studies, factor, 2**octaves, alpha, seconds, timed, folder)
    if np.isfinite(narrowest):
        told = f"no set of studies is expected to forecast within it; the narrowest reaches {2**narrowest:.3g}"
        raise BatchlawError(told, argument="factor", got=factor)
    shortest = _FEWEST_STEPS * min(
        max(sizes) for last in range(len(all_sizes)) for sizes in _subsets(all_sizes[: last + 1])
    )
    argument, got = ("at", at["examples"]) if up_to is None else ("up_to", up_to)
    told = f"leaves no room for three horizons: the shortest run has {shortest:,} examples, {_FEWEST_STEPS} steps"
    raise BatchlawError(told, argument=argument, got=got)


def _check_fixed(spec: StudySpec) -> None:
    dimensions = {f"space.{knob.name}": getattr(spec.space, knob.name) for knob in KNOBS if knob.name not in _VARIED}
    dimensions |= {f"parameters.{name}": parameter.dimension for name, parameter in spec.parameters.items()}
    for name, dimension in dimensions.items():
        if len(extremes(dimension)) > 1:
            raise SpecError(f"{spec.name}: {name}: must be one value, which the law holds for; got {dimension}")


def _rates(spec: StudySpec) -> tuple[float, ...]:
    """The choices of the space; of a range every octave."""
    dimension = spec.space.base_lr
    if isinstance(dimension, FloatRange):
        octaves = int(log2(dimension.high / dimension.low) + 1e-9) if dimension.low > 0 else 0
        return tuple(float(f"{dimension.low * 2**octave:.6g}") for octave in range(octaves + 1))
    return tuple(sorted(levels_of(dimension))) if dimension is not None else ()


def _batch_sizes(spec: StudySpec) -> tuple[int, ...]:
    """The choices of the space; of a range its powers of two."""
    dimension = spec.space.batch_size
    if isinstance(dimension, IntRange):
        return tuple(2**power for power in range(31) if dimension.low <= 2**power <= dimension.high)
    return tuple(sorted(levels_of(dimension))) if dimension is not None else ()


def _subsets(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Batch sizes spread evenly from the smallest to the largest, few and more of them."""
    if log2(sizes[-1] / sizes[0]) < _OCTAVES:
        return
    for n in _BATCH_SIZES:
        if n <= len(sizes):
            yield tuple(sizes[place] for place in np.linspace(0, len(sizes) - 1, n).round().astype(int))


def _sets_of_groups(
    spec: StudySpec, at: Mapping[str, float], up_to: float | None, largest: int
) -> Iterator[list[_Group]]:
    """Horizons, crossed with sizes where these are varied, or the shortest row and the smallest column of the cross."""
    asked = at["examples"]
    longest = [asked / share for share in _SHARES] if up_to is None else [up_to]
    for top, ratio, n in product(longest, _RATIOS, _HORIZONS):
        # In whole steps of the largest batch size, so that all batch sizes see as many examples.
        horizons = [int(top / ratio**place) // largest * largest for place in range(n)][::-1]
        far = max(_FARTHEST, log2(horizons[-1] / horizons[0])) if horizons[0] else 0.0
        if horizons[0] < _FEWEST_STEPS * largest or log2(asked / horizons[-1]) > far:
            continue
        if "parameters" not in at:
            yield [_Group(horizon, spec.task) for horizon in horizons]
            continue
        assert spec.task is not None
        for scales in _SIZES:
            tasks = [of_size(spec.task, at["parameters"] / scale) for scale in scales]
            yield [_Group(*each) for each in product(horizons, tasks)]
            yield [_Group(horizon, tasks[0]) for horizon in horizons] + [_Group(horizons[0], t) for t in tasks[1:]]


def _cost(spec: StudySpec, groups: Sequence[_Group], sizes: Sequence[int], profile: Profile | None) -> float:
    """Of a run at each batch size in each group: seconds, or examples times parameters."""
    if profile is None:
        parameters = [group.parameters or 1 for group in groups]
        return len(sizes) * float(sum(group.examples * n for group, n in zip(groups, parameters, strict=True)))
    optimizer = str(extremes(spec.space.optimizer)[0])
    return sum(group.examples / size * profile.seconds_a_step_at(size, optimizer) for group in groups for size in sizes)


def _study(spec: StudySpec, group: _Group, sizes: Sequence[int], rates: Sequence[float]) -> StudySpec:
    """The designed study of a group."""
    table = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    table.pop("search", None)
    sized = group.task is not None and group.task != spec.task
    table["name"] = f"{spec.name}-{group.examples}" + (f"-{group.parameters}" if sized else "")
    table["question"] = f"Which rate is best at each batch size after {group.examples:,} examples?"
    table["budget"] = {"examples": group.examples}
    if sized and group.task is not None:
        table["task"]["model_options"] = group.task.model_options.model_dump(mode="json", exclude_none=True)
    table["space"] = table.get("space", {}) | {"batch_size": list(sizes), "base_lr": list(rates)}
    table["space"].pop("scaling_rule", None)
    arm = spec.arm
    table["claim"] = {
        "hypotheses": [_HYPOTHESIS], "replicates": max(arm.replicates, _REPLICATES), "metric": arm.metric,
        "direction": spec.direction, "seed": arm.seed,
    }  # fmt: skip
    return parse_spec(table, spec.name)
