"""The provenance of an exported configuration: its study and trial, the interval of its score, what was tried."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import Any

from batchlaw.recipe.result import ENDED, Outcome
from batchlaw.results.configuration import BestRate, Configuration, ErrorSource, Predicted
from batchlaw.results.records import TrialRecord
from batchlaw.results.verification import Verification
from batchlaw.spec import StudySpec, TrainConfig, fingerprint
from batchlaw.spec.knobs import Count

_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The facts about its configuration that every export states."""

    study: str
    fingerprint: str  # of the study file
    trial: int
    metric: str
    direction: str
    value: float  # NaN of a predicted configuration, which was not trained
    standard_error: float | None
    standard_error_of: ErrorSource
    ci_low: float | None  # 95 %; it does not account for the choice of the best of n_complete
    ci_high: float | None
    n_seeds: int
    seeds: tuple[int, ...]
    n_complete: int  # trials of the study that trained to their end
    fresh_seeds: int  # behind the score; 0 if it is the trial's own
    versions: Mapping[str, str]  # of the packages that the trial was computed with
    device: str | None
    exported: str  # UTC, ISO 8601
    batch_sizes: tuple[int, int] | None  # smallest and largest that the study tried with this optimizer
    peak_lrs: tuple[float, float] | None  # smallest and largest, likewise
    train_size: Count
    budget: dict[str, Any]
    verified: Verification | None = None  # the score on fresh seeds and test data
    predicted: Predicted | None = None  # for a batch size that was not trained
    best_rate: BestRate | None = None  # of a trial of a designed study: the best rate at its batch size

    def as_dict(self) -> dict[str, Any]:
        """For JSON, YAML, TOML and CSV; `verified`, `predicted` and `best_rate` are left out where they are None."""
        facts = asdict(self)
        del facts["verified"], facts["predicted"]
        if self.best_rate is None:
            del facts["best_rate"]
        if self.verified:
            facts["verified"] = self.verified.as_dict()
        if self.predicted:
            facts |= {"predicted": self.predicted.as_dict(), "value": None}
        return facts

    def score(self) -> str:
        """The metric with its error and interval, on one line."""
        if self.predicted:
            return f"{self.metric} not measured at this batch size"
        words = f"{self.metric} {self.value:.4f}"
        if self.standard_error is not None:
            words += f" ± {self.standard_error:.4f}, 95 % interval [{self.ci_low:.4f}, {self.ci_high:.4f}]"
        return words

    def lines(self) -> list[str]:
        """Sentences for the comment at the top of an exported file."""
        source = {
            "seeds": "over the seeds",
            "fresh seeds": f"over {self.fresh_seeds} fresh seeds",
            "validation sample": "of the validation sample",
        }
        error = f", error {source[self.standard_error_of]}" if self.standard_error_of in source else ""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        budget = ", ".join(
            f"{name} = {value if isinstance(value, str) else format(value, 'g')}" for name, value in self.budget.items()
        )
        tried = []
        if self.batch_sizes:
            tried.append(f"batch sizes {self.batch_sizes[0]} to {self.batch_sizes[1]}")
        if self.peak_lrs:
            tried.append(f"peak learning rates {self.peak_lrs[0]:.4g} to {self.peak_lrs[1]:.4g}")
        flattered = "" if self.fresh_seeds else "; the choice flatters the score"
        trained = [f"train_size = {self.train_size}"] * bool(self.train_size) + [f"budget: {budget}"] * bool(budget)
        told = [
            f"study {self.study}, fingerprint {self.fingerprint}, trial {self.trial}",
            f"{self.score()}{error}",
            f"{self.n_seeds} seed{'s' * (self.n_seeds != 1)}: {', '.join(map(str, self.seeds))}",
            f"complete trials to choose from: {self.n_complete}{flattered}",
            f"computed with {versions or 'unknown versions'} on {self.device or 'an unknown device'}",
            *([f"tried with this optimizer: {', '.join(tried)}"] if tried else []),
            *([", ".join(trained)] if trained else []),
            f"exported by batchlaw at {self.exported}",
        ]
        if self.predicted:
            told.insert(1, self.predicted.line())
        if self.best_rate:
            told.insert(2, self.best_rate.line())
        return [*told, self.verified.line()] if self.verified else told

    def comment(self) -> str:
        """The lines as `#` comments, as in Python, YAML and shells."""
        # The name of a user's metric may hold a line break, which would end the comment.
        return "".join(f"# {' '.join(line.split())}\n" for line in self.lines())


def provenances_of(
    configurations: Sequence[Configuration],
    records: Sequence[TrialRecord],
    spec: StudySpec,
    *,
    exported: str,
    verified: Verification | None,
    best_rates: Mapping[int, BestRate] = MappingProxyType({}),
) -> list[Provenance]:
    """The provenance of each configuration.

    Args:
        configurations: of this study.
        records: every trial of the study.
        spec: the study.
        exported: the time of the export, UTC.
        verified: one of the configurations on fresh seeds.
        best_rates: where the best rates of their batch sizes lie, by the numbers of their trials.
    """
    spans = _spans(records)
    n_complete = sum(record.outcome == Outcome.COMPLETE for record in records)
    provenances = []
    for configuration in configurations:
        config = configuration.config
        ci_low, ci_high = interval_of(configuration)
        batch_sizes, peak_lrs = spans[config.optimizer]
        provenances.append(
            Provenance(
                study=spec.name,
                fingerprint=fingerprint(spec),
                trial=configuration.trial,
                metric=spec.arm.metric,
                direction=spec.direction,
                value=configuration.score,
                standard_error=configuration.score_error,
                standard_error_of="fresh seeds" if configuration.fresh else configuration.standard_error_of,
                ci_low=ci_low,
                ci_high=ci_high,
                n_seeds=len(config.seeds),
                seeds=config.seeds,
                n_complete=n_complete,
                fresh_seeds=len(configuration.fresh.scores) if configuration.fresh else 0,
                versions=configuration.versions,
                device=configuration.device,
                exported=exported,
                batch_sizes=batch_sizes,
                peak_lrs=peak_lrs,
                train_size=config.train_size,
                budget={} if spec.budget is None else spec.budget.model_dump(exclude_none=True),
                verified=verified if verified and verified.trial == configuration.trial else None,
                predicted=configuration.predicted,
                best_rate=None if configuration.predicted else best_rates.get(configuration.trial),
            )
        )
    return provenances


def _spans(records: Sequence[TrialRecord]) -> dict[str, tuple[tuple[int, int] | None, tuple[float, float] | None]]:
    """The smallest and largest batch size and peak learning rate that were tried with each optimizer, if it had any."""
    tried: dict[str, list[TrainConfig]] = {}
    for record in records:
        if record.outcome in ENDED and record.config:
            tried.setdefault(record.config.optimizer, []).append(record.config)
    spans: dict[str, tuple[tuple[int, int] | None, tuple[float, float] | None]] = {}
    for optimizer, configs in tried.items():
        sizes, rates = [config.batch_size for config in configs], [config.peak_lr for config in configs]
        spans[optimizer] = (
            None if None in sizes else (min(sizes), max(sizes)),
            None if None in rates else (min(rates), max(rates)),
        )
    return spans


def interval_of(configuration: Configuration) -> tuple[float | None, float | None]:
    """The 95 % interval of the score: Student's t over seeds, normal for the known error of a validation set."""
    if configuration.score_error is None:
        return None, None
    n, quantile = (
        len(configuration.fresh.scores) if configuration.fresh else configuration.n_replicates,
        (1 + _CONFIDENCE) / 2,
    )
    if n > 1:
        from scipy import special  # a third of a second to import

        errors = float(special.stdtrit(n - 1, quantile))
    else:
        errors = NormalDist().inv_cdf(quantile)
    width = errors * configuration.score_error
    return configuration.score - width, configuration.score + width
