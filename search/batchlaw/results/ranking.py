"""The best configurations of a study, each with its error and whether it is tied with the best."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from batchlaw.results.records import TrialRecord, best_first
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.knobs import KNOBS
from batchlaw.stats.comparison import mean_and_error, welch_p_value

TIE_ALPHA = 0.05
PER = tuple(knob.name for knob in KNOBS if not knob.of_data)
_BY_DECADES = {knob.name for knob in KNOBS if knob.scale == "log"}
_DERIVED = (
    "reference_batch_size",
    "warmup_steps",
    "steps",
    "examples",
    "beta1",
    "beta2",
    "eps",
    "lr_per_example",
    "noise_scale",
)
_ELSEWHERE = ("config", "suggested", "versions")  # what a document holds under other names, or in its provenance


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One finished trial, as exported; or one predicted from it for another batch size, which has no score."""

    trial: int
    value: float  # NaN of one that was predicted
    standard_error: float | None
    standard_error_of: str  # "seeds": over replicates; "validation sample": of one replicate, from the finite data
    n_replicates: int
    replicate_values: list[float]
    tied_with_best: bool | None  # None where an error is unknown
    config: TrainConfig
    suggested: dict[str, Any]  # the parameters of the trial, as Optuna names them
    versions: dict[str, str]  # that the trial was computed with
    seconds: float | None
    device: str | None
    predicted: dict[str, Any] | None = None  # as `batchlaw.laws.prediction` tells it

    @property
    def peak_lr(self) -> float:
        """The learning rate after warmup and before decay."""
        return self.config.peak_lr

    @property
    def params(self) -> dict[str, Any]:
        """What a study may search, as used."""
        return self.config.model_dump(mode="json", include=set(PER))

    @property
    def derived(self) -> dict[str, Any]:
        """What follows from it."""
        return self.config.model_dump(mode="json", include=set(_DERIVED))

    def as_dict(self) -> dict[str, Any]:
        """For JSON, YAML and TOML."""
        left_out = _ELSEWHERE if self.predicted else (*_ELSEWHERE, "predicted")
        facts = {name: value for name, value in vars(self).items() if name not in left_out}
        facts["value"] = None if self.predicted else self.value
        return facts | {"peak_lr": self.peak_lr, "params": self.params, "derived": self.derived}


def best_per(records: Iterable[TrialRecord], key: str) -> list[TrialRecord]:
    """The best of each value of a knob, from records that are ordered best first; ordered by that value.

    A searched learning rate or weight decay rarely comes twice, so values on a log scale are grouped by half decades.
    """
    best: dict[Any, TrialRecord] = {}
    for record in records:
        best.setdefault(_group(getattr(record.known_config, key), key), record)
    return [best[group] for group in sorted(best)]


def _group(value: Any, key: str) -> Any:
    return floor(2 * log10(value)) if key in _BY_DECADES and value > 0 else value


def select(records: Iterable[TrialRecord], spec: StudySpec, *, top: int, per: str | None) -> list[TrialRecord]:
    """The records to export, best first, or one for each value of `per`."""
    ordered = best_first(records, spec.direction)
    return best_per(ordered, per) if per else ordered[:top]


def with_ties(chosen: list[TrialRecord], best: TrialRecord, spec: StudySpec) -> list[Configuration]:
    """Each record with its error, and whether it differs from the best of the study at the 5 % level.

    The test is Welch's, of two means with independent errors. Trials share their validation examples and seeds, so it
    errs on the side of calling configurations tied.
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
                replicate_values=list(record.result.replicate_values),
                tied_with_best=_tied(record, best, spec),
                config=record.known_config,
                suggested=record.params,
                versions=dict(record.result.versions),
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


def _error(record: TrialRecord, spec: StudySpec) -> tuple[float | None, str]:
    values = record.result.replicate_values
    if len(values) > 1:
        return mean_and_error(values)[1], "seeds"
    error = record.result.validation_standard_errors.get(spec.arm.metric)
    return error, "validation sample" if error is not None else "unknown"
