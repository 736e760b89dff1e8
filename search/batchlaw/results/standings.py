"""The completed trials of a study in the order in which they are named, and which cannot be told from the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from batchlaw.results.configuration import Configuration, ErrorSource, Fresh
from batchlaw.results.order import best_first, best_per
from batchlaw.results.race import Race
from batchlaw.results.records import TrialRecord
from batchlaw.results.search_run import SearchRun
from batchlaw.spec import StudySpec
from batchlaw.stats.comparison import mean_and_error, welch_p_value

TIE_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Standings:
    """What is best in a study.

    Of a search the first is what its race chose, else the trial with the best score. A model of the space chooses the
    contenders of a race, but does not name the best by itself: there it was no better than the best score (racing.py).
    """

    spec: StudySpec
    records: Sequence[TrialRecord]  # every trial

    @cached_property
    def race(self) -> Race:
        """The race of a search, without contenders if there was none."""
        runs = [run_of(record) for record in self.records] if self.spec.search else []
        return Race.of(runs, maximize=self.spec.direction == "maximize")

    @cached_property
    def order(self) -> list[TrialRecord]:
        """The completed trials, those on fresh seeds left out: the named one first, the others by their scores.

        Contenders that are not told to be worse come before all others, by their scores on fresh seeds.
        """
        scored = best_first(self.records, self.spec.direction)
        if self.spec.search is None or self.race.ignores_seeds:
            return scored
        by_number = {record.number: record for record in scored}
        race, worse = self.race, self._told_apart
        first = [] if race.chosen is None else [race.chosen.number]
        tied = sorted(race.timed, key=lambda each: -race.sign * race.means[each.number])
        first += [each.number for each in tied if each.number not in (*first, *worse)]
        return [by_number[number] for number in dict.fromkeys([*first, *by_number]) if number in by_number]

    @property
    def best(self) -> TrialRecord | None:
        """The named one; None before a trial has completed."""
        chosen = None if self.spec.search is None else self.race.chosen
        if chosen is not None:  # the order of the others, for which SciPy is loaded, is not needed
            return next(record for record in self.records if record.number == chosen.number)
        return self.order[0] if self.order else None

    def per(self, key: str) -> list[TrialRecord]:
        """The first of each value of a hyperparameter; see `best_per`."""
        return best_per(self.order, key)

    def configurations(self, chosen: Sequence[TrialRecord]) -> list[Configuration]:
        """Each record with its errors, and whether it is tied with the best: not told from it at the 5 % level.

        Contenders of a race are told apart by its test. Others are compared with the best by Welch's test, as if their
        errors were independent. They share their validation examples, so that more are called tied than are.
        """
        return [self.configuration(record) for record in chosen]

    def configuration(self, record: TrialRecord) -> Configuration:
        """One record with its errors and its tie."""
        assert record.value is not None
        error, source = error_of(record, self.spec)
        return Configuration(
            trial=record.number,
            value=record.value,
            standard_error=error,
            standard_error_of=source,
            n_replicates=max(len(record.result.replicate_values), 1),
            replicate_values=record.result.replicate_values,
            tied_with_best=self._tied(record),
            config=record.known_config,
            suggested=record.params,
            versions=record.result.versions,
            seconds=record.result.seconds,
            device=record.result.device,
            fresh=self._fresh(record.number),
        )

    @cached_property
    def _told_apart(self) -> set[int]:
        return self.race.told_apart if self.race.contenders else set()

    def _fresh(self, number: int) -> Fresh | None:
        contender = self.race.contenders.get(number)
        if contender is None or len(contender.fresh) < 2 or self.race.ignores_seeds:
            return None
        return Fresh(tuple(contender.fresh))

    def _tied(self, record: TrialRecord) -> bool | None:
        best = self.best
        assert best is not None
        if record.number == best.number:
            return True
        if self.race.chosen is not None and record.number in {each.number for each in self.race.timed}:
            return record.number not in self._told_apart
        one, other = self._score(record), self._score(best)
        return None if one is None or other is None else welch_p_value(*other, *one) >= TIE_ALPHA

    def _score(self, record: TrialRecord) -> tuple[float, float, int] | None:
        """The score on fresh seeds, or else of the trial, with its standard error and the seeds behind that."""
        if (fresh := self._fresh(record.number)) is not None:
            return fresh.mean, fresh.error, len(fresh.scores)
        error, _ = error_of(record, self.spec)
        assert record.value is not None
        return None if error is None else (record.value, error, max(len(record.result.replicate_values), 1))


def error_of(record: TrialRecord, spec: StudySpec) -> tuple[float | None, ErrorSource]:
    """The standard error of a trial's score, and what it is of."""
    values = record.result.replicate_values
    if len(values) > 1:
        return mean_and_error(values)[1], "seeds"
    error = record.result.validation_standard_errors.get(spec.arm.metric)
    return error, "validation sample" if error is not None else "unknown"


def run_of(record: TrialRecord) -> SearchRun:
    """A trial as the choice of the best sees it."""
    result = record.result
    seconds = result.train_seconds or result.seconds
    return SearchRun(
        number=record.number, outcome=record.outcome, value=record.value, scores=result.replicate_values,
        params=record.params, seconds=seconds and seconds / max(len(result.replicate_values), 1),
        confirms=record.confirms,
    )  # fmt: skip
