"""What `Study.export` chooses, and what it refuses before any training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from batchlaw.errors import BatchlawError, StudyError, check_whole
from batchlaw.export import FORMATS, OF_ONE, provenances_of, render
from batchlaw.results.configuration import PER, BestRate, Configuration
from batchlaw.results.records import KnownTrials, TrialRecord, known_trials
from batchlaw.results.standings import Standings
from batchlaw.results.verification import Verification
from batchlaw.storage import StoredStudy, spec_that_fits

if TYPE_CHECKING:
    from batchlaw.laws.prediction import CarriedBy


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which configurations to export, and how; the fields are the arguments of `Study.export`."""

    format: str
    top: int
    per: str | None
    trial: int | None
    for_batch_size: int | None
    rule: str
    extrapolate: bool
    verify: int | None

    def check(self) -> None:
        """Refuse unknown names and arguments that exclude each other; `per` is checked with the study.

        Raises:
            BatchlawError: names the argument, its value and what it may be.
        """
        if self.format not in FORMATS:
            raise BatchlawError(f"must be one of {', '.join(FORMATS)}", argument="format", got=self.format)
        fewest = {"top": 1, "for_batch_size": 1, "verify": 2}  # one seed has no error
        for argument, least in fewest.items():
            if (number := getattr(self, argument)) is not None:
                check_whole(number, argument, at_least=least)
        if self.format in OF_ONE and self.top > 1:
            raise BatchlawError(f"must be 1; {self.format} holds one configuration", argument="top", got=self.top)
        if self.format in OF_ONE and self.per is not None:
            raise BatchlawError(
                f"must not be given; {self.format} holds one configuration", argument="per", got=self.per
            )
        if self.trial is not None and (self.top > 1 or self.per is not None):
            raise BatchlawError("must stand without top and per", argument="trial", got=self.trial)
        if self.for_batch_size is not None:
            self._check_prediction()
        elif self.rule != "law":
            raise BatchlawError(
                "goes with a batch size to predict for", argument="rule", got=self.rule, remedy="for_batch_size"
            )
        elif self.extrapolate:
            raise BatchlawError(
                "goes with a batch size to predict for", argument="extrapolate", got=True, remedy="for_batch_size"
            )

    def _check_prediction(self) -> None:
        from batchlaw.laws.prediction import CARRIERS

        if self.rule not in CARRIERS:
            raise BatchlawError(f"must be one of {', '.join(CARRIERS)}", argument="rule", got=self.rule)
        others = {"top": self.top > 1, "per": self.per, "trial": self.trial is not None, "verify": self.verify}
        if given := [name for name, value in others.items() if value]:
            raise BatchlawError(
                f"must stand without {' and '.join(given)}", argument="for_batch_size", got=self.for_batch_size
            )
        if self.format == "optuna":
            raise BatchlawError(
                "a predicted configuration need not be a point of the study's space", argument="format", got="optuna"
            )


def export_text(
    stored: StoredStudy, choice: Choice, verified: Callable[[TrialRecord, int], Verification]
) -> tuple[str, Sequence[str]]:
    """The chosen configurations as text, and warnings about a prediction.

    Args:
        stored: the study.
        choice: what to export, and how.
        verified: called if a winner is to be trained, with its trial and a number that no trial of the study has.

    Raises:
        BatchlawError: the format cannot express the configuration, or there is no such trial or law.
        StudyError: no trial has finished.
    """
    choice.check()
    spec = stored.spec
    if choice.per is not None and choice.per not in (*PER, *spec.parameters):
        raise BatchlawError(f"must be one of {', '.join((*PER, *spec.parameters))}", argument="per", got=choice.per)
    known = known_trials(stored)
    records = known.records
    if choice.for_batch_size is not None:
        predicted, warnings = _predicted(stored, known, choice)
        return _rendered(stored, records, choice, [predicted], None), warnings
    standings = Standings(spec, records)
    ranked = standings.order
    if not ranked:
        raise StudyError(f"study {spec.name!r} has no finished trial to export yet")
    chosen = standings.per(choice.per) if choice.per else ranked[: choice.top]
    if choice.trial is not None:
        chosen = [record for record in ranked if record.number == choice.trial]
        if not chosen:
            raise BatchlawError(f"must be a completed trial of study {spec.name!r}", argument="trial", got=choice.trial)
    configurations = standings.configurations(chosen)
    best = _best_rates(stored, known, configurations)
    text = _rendered(stored, records, choice, configurations, None, best)  # a format refuses before any training
    if choice.verify is not None:
        winner = chosen[0] if choice.trial is not None else ranked[0]
        found = verified(winner, 1 + max(record.number for record in records))
        text = _rendered(stored, records, choice, configurations, found, best)
    return text, ()


def _best_rates(
    stored: StoredStudy, known: KnownTrials, configurations: Sequence[Configuration]
) -> dict[int, BestRate]:
    """Where the best rates of their batch sizes lie; of a designed study only, whose sets are more than a guide."""
    if stored.spec.claim is None:
        return {}
    from batchlaw.laws import best_rate, known_laws

    laws = known_laws(stored.spec, known.records, of={each.trial for each in configurations})
    found = {each.trial: best_rate(laws, each.trial, each.config.batch_size) for each in configurations}
    return {trial: rate for trial, rate in found.items() if rate}


def _predicted(stored: StoredStudy, known: KnownTrials, choice: Choice) -> tuple[Configuration, Sequence[str]]:
    from batchlaw.laws import laws_of
    from batchlaw.laws.prediction import predict

    assert choice.for_batch_size is not None
    found = predict(
        stored.spec, laws_of(stored.spec, known.records, ended=known.ended), choice.for_batch_size,
        rule=cast("CarriedBy", choice.rule), extrapolate=choice.extrapolate,
    )  # fmt: skip
    assert found.predicted is not None
    return found, found.predicted.warnings


def _rendered(
    stored: StoredStudy,
    records: list[TrialRecord],
    choice: Choice,
    configurations: list[Configuration],
    verified: Verification | None,
    best_rates: Mapping[int, BestRate] = MappingProxyType({}),
) -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    provenances = provenances_of(
        configurations, records, stored.spec, exported=now, verified=verified, best_rates=best_rates
    )
    return render(choice.format, spec_that_fits(stored), configurations, provenances, verified, per=choice.per)
