"""The largest learning rate of a stable step at each batch size: critical sharpness, by a line search.

Kalra et al. 2026 (arXiv:2601.16979): the critical rate η_c is the smallest at which the next step raises the loss, and
2/η_c the critical sharpness (their definition was at hand, not the details of their search). The loss is that of a
fixed sample of the training examples: a step on few examples hardly ever raises their own loss, which does not show its
noise (seen on digits, docs/how-to/range.md).
"""

from collections.abc import Callable, Hashable, Iterator
from itertools import count, product
from math import inf
from statistics import median

from batchlaw.measure.profiler import batch_sizes_of
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.schedule import Phase, Schedule
from batchlaw.results.interval import Interval
from batchlaw.results.rate_range import LearningRateRange, RateBound
from batchlaw.spec import Budget, StudySpec, TrainConfig, extremes
from batchlaw.spec.knobs import KNOBS, Point
from batchlaw.train.data import load_parts
from batchlaw.train.examples import Parts
from batchlaw.train.parallel_runs import ParallelRuns

_SEEDS = 3
_WARMUP = 10  # steps at the lowest rate of the space, in which momentum and second moments fill (assumption)
_PLACES = 3  # steps in a row that are searched; their median is a seed's bound
_BISECTIONS = 2  # of an octave: a bound is exact to a quarter of one
_BEYOND = 2.0**10  # how far below and above the rates of the space is searched

Tick = Callable[[int, int], None]  # called with the rows done and their number


def rate_range_of(spec: StudySpec, runtime: Runtime, tick: Tick = lambda done, total: None) -> LearningRateRange:
    """Search the bound at every batch size, with each optimizer and scaling rule of the space.

    Of other hyperparameters that the space varies the first value counts, or the lowest of a range.

    Args:
        spec: a study of a built-in task.
        runtime: where to train.
        tick: called after every row.

    Raises:
        DataError: the data set is missing.
    """
    assert spec.task is not None
    parts = load_parts(spec.task, runtime.torch_device, runtime.data_dir)
    sizes, levels = batch_sizes_of(spec.trial_space), extremes(spec.space.base_lr)
    cells = list(product(extremes(spec.space.optimizer), extremes(spec.space.scaling_rule), sizes))
    done, rows = count(1), []
    peaks: dict[Hashable, Interval] = {}  # which the rules share that change nothing but the rate
    for optimizer, rule, size in cells:
        config = _config(spec, optimizer, rule, size)
        low = float(config.peak_lr or 0.0)
        trained = (optimizer, size, config.beta1, config.beta2, config.eps)
        if trained not in peaks:
            runtime.threads.use(runtime.choose_threads([config]))
            high = low * max(levels) / min(levels)
            found = sorted(median(_bounds(config, seed, parts, low, high)) for seed in config.seeds)
            peaks[trained] = Interval(median(found), found[0], found[-1])
        base = Interval(*(rate * min(levels) / low for rate in peaks[trained]))
        rows.append(
            RateBound(optimizer=optimizer, scaling_rule=rule, batch_size=size, peak_lr=peaks[trained], base_lr=base)
        )
        tick(next(done), len(cells))
    return LearningRateRange(study=spec.name, highest=max(levels), seeds=_SEEDS, rows=tuple(rows))


def _config(spec: StudySpec, optimizer: str, rule: str, batch_size: int) -> TrainConfig:
    """The configuration of the warm-up, at the lowest rate of the space."""
    space = spec.space.model_copy(update={"warmup": "fraction"})
    short = spec.model_copy(update={"budget": Budget(steps=_WARMUP + _PLACES), "space": space})
    point = Point(**{knob.name: extremes(getattr(spec.space, knob.name))[0] for knob in KNOBS})
    point = point.model_copy(update={
        "batch_size": batch_size, "base_lr": min(extremes(space.base_lr)), "scaling_rule": rule,
        "optimizer": optimizer, "decay": "constant", "warmup_fraction": 0.0,
    })  # fmt: skip
    return derive(short, point, run_seeds(spec.arm.seed, _SEEDS))


def _bounds(config: TrainConfig, seed: int, parts: Parts, low: float, high: float) -> Iterator[float]:
    """The bound of one seed at each place."""
    assert config.task is not None
    schedule = Schedule((Phase(config.batch_size, _WARMUP + _PLACES, 1.0),), 0, "constant")
    stack = ParallelRuns(config, config.task, (seed,), schedule, parts.train)
    stack.advance(0, _WARMUP)
    start = high
    for step in range(_WARMUP, _WARMUP + _PLACES):
        before = stack.evaluate(parts.sample).loss[0]

        def rises(rate: float, step: int = step, before: float = before) -> bool:
            with stack.branch(schedule, rate):
                stack.advance(step, step + 1)
                return not stack.evaluate(parts.sample).loss[0] <= before  # one that is not finite has risen

        found = critical_rate(rises, start, low / _BEYOND, high * _BEYOND)
        yield found
        start = found if 0 < found < inf else start
        stack.advance(step, step + 1)


def critical_rate(rises: Callable[[float], bool], start: float, low: float, high: float) -> float:
    """The largest rate of a step that does not raise the loss, to a quarter of an octave, from below.

    The rate is doubled or halved from `start` until the answer changes, and the last octave is bisected: five or six
    steps from a start within an octave.

    Args:
        rises: whether a step at a rate raises the loss.
        start: of the search.
        low: where to give up, with the answer 0.
        high: where to give up, with the answer infinity.
    """
    rate, at_start = start, rises(start)
    while low <= rate <= high:
        following = rate / 2 if at_start else rate * 2
        if rises(following) != at_start:
            break
        rate = following
    else:
        return 0.0 if at_start else inf
    stable = min(rate, following)
    factor = 2.0
    for _ in range(_BISECTIONS):
        factor **= 0.5
        if not rises(stable * factor):
            stable *= factor
    return stable
