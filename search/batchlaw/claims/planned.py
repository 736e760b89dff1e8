"""The cells that a designed study runs, and those that have no score."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import cells, point_of
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS, Point

FACTORS = tuple(knob.name for knob in KNOBS if knob.factor)
Cell = tuple[Any, ...]  # a level for each factor


def factors_of(spec: StudySpec) -> tuple[str, ...]:
    """The factors of a study: hyperparameters, and parameters of the user's own."""
    return (*FACTORS, *spec.parameters)


def varied_factors(spec: StudySpec) -> list[str]:
    """The factors of a study that have several levels."""
    return [name for name in factors_of(spec) if name in spec.searched]


def planned_cells(spec: StudySpec) -> dict[Cell, dict[str, Any]]:
    """The cells of a factorial design, in the order of their levels, with the parameters of their trials."""
    found = {cell_of(spec, point_of(params, spec)): params for params in cells(spec)}
    return {cell: found[cell] for cell in sorted(found)}


def cell_of(spec: StudySpec, point: Point) -> Cell:
    """The levels of a trial as suggested; derived values may differ: a family without momentum has 0."""
    return tuple(spec.n_train if name == "train_size" and point.train_size is None else point.value_of(name)
                 for name in factors_of(spec))  # fmt: skip


def cell_name(spec: StudySpec, cell: Cell) -> str:
    """Such as `batch_size 4, base_lr 1.0`."""
    varied = varied_factors(spec)
    return ", ".join(f"{name} {level}" for name, level in zip(factors_of(spec), cell, strict=True) if name in varied)


def scored(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that count in a claim: complete ones, and those that diverged."""
    return [record for record in records if is_scored(record)]


def is_scored(record: TrialRecord) -> bool:
    """Whether a trial counts in a claim."""
    complete = record.outcome == Outcome.COMPLETE and bool(record.result.replicate_values)
    return complete or record.outcome == Outcome.DIVERGED


def last_trials(spec: StudySpec, records: Sequence[TrialRecord]) -> dict[Cell, TrialRecord]:
    """The last trial of each cell that counts in a claim, or else the last that has drawn its parameters."""
    found: dict[Cell, TrialRecord] = {}
    for record in records:
        if record.config is None:
            continue
        cell = cell_of(spec, record.point_in(spec))
        if is_scored(record) or cell not in found or not is_scored(found[cell]):
            found[cell] = record
    return found


def missing_cells(planned: Collection[Cell], last: Mapping[Cell, TrialRecord]) -> dict[Cell, Outcome | None]:
    """The cells of a factorial design without a score, and how the last trial of each ended, if it has one.

    Args:
        planned: the cells of the design.
        last: as `last_trials` has them.
    """
    return {
        cell: last[cell].outcome if cell in last else None
        for cell in planned
        if cell not in last or not is_scored(last[cell])
    }
