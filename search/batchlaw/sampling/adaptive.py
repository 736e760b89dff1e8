"""The next runs of an adaptive claim, from the trials of its study."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.seeds import derive_seed
from batchlaw.recipe.space import params_of, point_of
from batchlaw.sampling.ridge import LOOKS, Design, Tried
from batchlaw.spec import StudySpec, levels_of
from batchlaw.storage.attributes import OUTCOME, TURN

_UNSTABLE = (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
# Seconds of a stack of n runs, in those of one run's step at a small batch size: steps × (5 + n) + n × examples / 20
# (measured on digits with networks of one hidden layer, on one core).
_STEP_OF_STACK, _EXAMPLES_OF_STEP = 5.0, 20.0


@dataclass(frozen=True)
class Cell:
    """What a trial is to run."""

    params: dict[str, Any]
    turn: int  # trials of the same turn share their seeds


def look_slots(spec: StudySpec, slot: int) -> list[int]:
    """The slots after this one whose cells are of the same batch size in the first look; none after it."""
    n = len(levels_of(spec.space.base_lr))
    return list(range(slot + 1, (slot // n + 1) * n)) if slot < LOOKS * n else []


def next_cells(spec: StudySpec, study_seed: int, slot: int, study: Study) -> list[Cell]:
    """The cells to run next as one network: one batch size, the same seeds, the most telling first.

    A task of one's own trains one at a time. In the first look, where each slot has a cell of its own, the others are
    those of the slots that follow. Running trials count as runs of their cells. Two workers that ask at the same moment
    may choose the same; `seeds_of_their_own` then sees to it that they run it on different seeds.

    Args:
        spec: an adaptive claim.
        study_seed: of its draws.
        slot: that asks.
        study: with the trials so far.
    """
    rates, sizes = (sorted(levels_of(dimension)) for dimension in (spec.space.base_lr, spec.space.batch_size))
    cells = [[params_of({"base_lr": rate, "batch_size": size}, spec) for size in sizes] for rate in rates]
    design = Design(
        np.log2(rates), np.log2(sizes), np.array([_cost(spec, params) for params in cells[len(rates) // 2]])
    )
    most = 1 if spec.task is None else len(rates)
    generator = np.random.default_rng(derive_seed(study_seed, "sampler", slot))
    stack = design.look(slot) or design.choose(tried(spec, cells, study.get_trials(deepcopy=False)), generator, most)
    return [Cell(cells[rate][stack.size], stack.turn) for rate in stack.rates[:most]]


def seeds_of_their_own(stack: Sequence[Trial], study: Study) -> None:
    """Move trials that were asked for together to another turn, if others run one of their cells on the same seeds.

    Workers need no agreement: each looks after it has noted its turn, so that of two at least the later sees the other.
    Where both do, the one with the lower numbers takes the first free turn and the other the second.
    """
    numbers, cells = {trial.number for trial in stack}, {_key(trial.params) for trial in stack}
    while True:
        others = {
            trial.number: trial.user_attrs.get(TURN)
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.COMPLETE))
            if trial.number not in numbers and _key(trial.params) in cells
        }
        met = [number for number, turn in others.items() if turn == stack[0].user_attrs[TURN]]
        if not met:
            return
        free = (turn for turn in count() if turn not in others.values())
        turn = next(islice(free, int(min(met) < min(numbers)), None))
        for trial in stack:
            trial.set_user_attr(TURN, turn)


def _cost(spec: StudySpec, params: dict[str, Any]) -> tuple[float, float]:
    """Relative seconds of a stack beside its runs, and of each run with its seeds."""
    config = derive(spec, point_of(params, spec), (0,))
    if config.steps is None or config.examples is None:
        return 0.0, 1.0
    return _STEP_OF_STACK * config.steps, spec.arm.replicates * (config.steps + config.examples / _EXAMPLES_OF_STEP)


def tried(spec: StudySpec, cells: Sequence[Sequence[dict[str, Any]]], trials: Sequence[FrozenTrial]) -> Tried:
    """The runs so far, each once however often it was begun.

    Args:
        spec: the study.
        cells: the parameters of each learning rate and batch size.
        trials: of the study. Running ones count as runs without a score, and failed ones, so that what always fails
            is not asked for again and again.
    """
    index = {_key(params): (i, j) for i, row in enumerate(cells) for j, params in enumerate(row)}
    sign = 1.0 if spec.direction == "maximize" else -1.0
    rows: dict[tuple[int, int, int], tuple[float, bool]] = {}
    for trial in sorted(trials, key=lambda each: each.number):
        place, turn = index.get(_key(trial.params)), trial.user_attrs.get(TURN)
        if place is None or turn is None or trial.user_attrs.get(OUTCOME) == Outcome.LOST:
            continue
        value = trial.value if trial.state == TrialState.COMPLETE else None
        score = math.nan if value is None else sign * value
        unstable = (
            trial.state == TrialState.PRUNED
            or trial.user_attrs.get(OUTCOME) in _UNSTABLE
            or (spec.chance is not None and score <= sign * spec.chance)
        )
        if math.isnan(rows.get((*place, turn), (math.nan,))[0]):
            rows[*place, turn] = score, unstable
    keys = np.array(list(rows), dtype=int).reshape(len(rows), 3)
    values = np.array(list(rows.values()), dtype=float).reshape(len(rows), 2)
    rate, size, turn = keys.T
    return Tried(rate, size, turn, values[:, 0], values[:, 1].astype(bool))


def _key(params: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))
