"""Completed trials by their scores, and the best for each value of a hyperparameter."""

from collections.abc import Iterable
from math import floor, log10
from typing import Any, TypeVar

from batchlaw.recipe.result import Outcome
from batchlaw.results.records import TrialBrief, TrialRecord
from batchlaw.spec.knobs import KNOBS

_BY_HALF_DECADES = {knob.name for knob in KNOBS if knob.scale == "log"}
Brief = TypeVar("Brief", bound=TrialBrief)


def best_first(records: Iterable[Brief], direction: str) -> list[Brief]:
    """Completed trials, the best first; of equal values the earlier comes first.

    Without those that confirm another, and those that exceed a bound of their search.
    """
    sign = -1 if direction == "maximize" else 1
    complete = [
        record
        for record in records
        if record.outcome == Outcome.COMPLETE
        and record.value is not None
        and record.confirms is None
        and not record.breaks
    ]
    return sorted(complete, key=lambda record: (sign * (record.value or 0.0), record.number))


def best_per(records: Iterable[TrialRecord], key: str) -> list[TrialRecord]:
    """The best record of each value of a hyperparameter, in the order of the values.

    A searched learning rate or weight decay rarely comes twice, so values on a log scale are grouped by half decades.

    Args:
        records: the best first.
        key: the name of the hyperparameter, or of a parameter of the user's own.
    """
    best: dict[Any, TrialRecord] = {}
    for record in records:
        best.setdefault(_group(record.known_config.value_of(key), key), record)
    # A trial without the parameter is in no group. Choices may mix numbers and text.
    groups = [group for group in best if group is not None]
    return [best[group] for group in sorted(groups, key=lambda group: (isinstance(group, str), group))]


def _group(value: Any, key: str) -> Any:
    return floor(2 * log10(value)) if key in _BY_HALF_DECADES and value > 0 else value
