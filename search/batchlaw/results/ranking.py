"""Which trials are best, and which of them cannot be told from the best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import floor, log10
from typing import TYPE_CHECKING, Any, TypeVar, overload

from batchlaw.recipe.result import Outcome
from batchlaw.results.columns import USUAL, columns_of
from batchlaw.results.configuration import Configuration, ErrorSource
from batchlaw.results.notebook import notebook_html
from batchlaw.results.records import TrialBrief, TrialRecord
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS
from batchlaw.stats.comparison import mean_and_error, welch_p_value

if TYPE_CHECKING:
    import pandas as pd

TIE_ALPHA = 0.05
_BY_HALF_DECADES = {knob.name for knob in KNOBS if knob.scale == "log"}
Brief = TypeVar("Brief", bound=TrialBrief)


def best_first(records: Iterable[Brief], direction: str) -> list[Brief]:
    """Completed trials, the best first; of two with the same value, the earlier first."""
    sign = -1 if direction == "maximize" else 1
    complete = [record for record in records if record.outcome == Outcome.COMPLETE and record.value is not None]
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


def select(records: Iterable[TrialRecord], spec: StudySpec, *, top: int, per: str | None) -> list[TrialRecord]:
    """The records to export, best first, or one for each value of `per`."""
    ordered = best_first(records, spec.direction)
    return best_per(ordered, per) if per else ordered[:top]


def with_ties(chosen: list[TrialRecord], best: TrialRecord, spec: StudySpec) -> list[Configuration]:
    """Each record with its error, and whether it is tied with the best: not different from it at the 5 % level.

    Welch's test compares two means as if their errors were independent. Trials share their validation examples and
    seeds, so that more configurations are called tied than are.
    """
    configurations = []
    for record in chosen:
        assert record.value is not None
        error, source = _error(record, spec)
        configurations.append(
            Configuration(
                trial=record.number,
                value=record.value,
                standard_error=error,
                standard_error_of=source,
                n_replicates=_n(record),
                replicate_values=record.result.replicate_values,
                tied_with_best=_tied(record, best, spec),
                config=record.known_config,
                suggested=record.params,
                versions=record.result.versions,
                seconds=record.result.seconds,
                device=record.result.device,
            )
        )
    return configurations


def _n(record: TrialRecord) -> int:
    return max(len(record.result.replicate_values), 1)


def _tied(record: TrialRecord, best: TrialRecord, spec: StudySpec) -> bool | None:
    if record.number == best.number:
        return True
    (error, _), (best_error, _) = _error(record, spec), _error(best, spec)
    if error is None or best_error is None or record.value is None or best.value is None:
        return None
    return welch_p_value(best.value, best_error, _n(best), record.value, error, _n(record)) >= TIE_ALPHA


def _error(record: TrialRecord, spec: StudySpec) -> tuple[float | None, ErrorSource]:
    values = record.result.replicate_values
    if len(values) > 1:
        return mean_and_error(values)[1], "seeds"
    error = record.result.validation_standard_errors.get(spec.arm.metric)
    return error, "validation sample" if error is not None else "unknown"


@dataclass(frozen=True, repr=False)
class Ranking(Sequence[Configuration]):
    """The best configurations of a study, the best first: a sequence of `Configuration` that shows itself as a table.

    `tied_with_best` says whether a configuration cannot be told from the best at the 5 % level (Welch's test).
    """

    study: str
    metric: str
    configurations: tuple[Configuration, ...]
    columns: tuple[str, ...] = USUAL  # hyperparameters that the table shows

    @overload
    def __getitem__(self, index: int) -> Configuration: ...

    @overload
    def __getitem__(self, index: slice) -> "Ranking": ...

    def __getitem__(self, index: int | slice) -> "Configuration | Ranking":
        found = self.configurations[index]
        return replace(self, configurations=found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self.configurations)

    @property
    def frame(self) -> "pd.DataFrame":
        """A row a configuration."""
        import pandas as pd

        rows = [
            {
                "trial": each.trial, self.metric: each.value, "standard_error": each.standard_error,
                "tied_with_best": each.tied_with_best,
                **{name: each.config.value_of(name) for name in self.columns},
            }
            for each in self.configurations
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        if not self.configurations:
            return f"study {self.study!r} has no completed trial yet"
        return f"Best configurations of {self.study} by {self.metric}\n{self.frame.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return notebook_html(f"Best configurations of {self.study} by {self.metric}", (), self.frame)


def ranking(records: Sequence[TrialRecord], spec: StudySpec, n: int) -> Ranking:
    """The n best completed trials, or as many as there are."""
    chosen = select(records, spec, top=n, per=None)
    found = tuple(with_ties(chosen, chosen[0], spec) if chosen else ())
    return Ranking(spec.name, spec.arm.metric, found, columns_of(spec))
