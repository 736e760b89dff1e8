"""What a report says about one study."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from batchlaw.claims.designed import Block, findings_of
from batchlaw.claims.notes import notes_of
from batchlaw.errors import StudyError
from batchlaw.laws import Law, known_laws
from batchlaw.results.configuration import Configuration
from batchlaw.results.records import TrialRecord, known_trials
from batchlaw.results.standings import Standings
from batchlaw.results.status import StudyStatus, status_of
from batchlaw.spec import StudySpec
from batchlaw.storage import StoredStudy

_FAILURES = 5  # trials of a program that failed and are shown with their output


@dataclass(frozen=True, kw_only=True)
class Account:
    """A study with its trials and everything that was found in them."""

    status: StudyStatus
    records: list[TrialRecord]
    judged: list[Block]  # the verdicts; empty for a search, and where `lack` says why
    lack: str | None  # why a designed study has no verdicts
    laws: list[Law]  # of the best learning rate against batch size

    @property
    def spec(self) -> StudySpec:
        """The study's spec."""
        return self.status.spec

    def best(self, top: int) -> list[Configuration]:
        """The best configurations with their errors and ties."""
        return self.standings.configurations(self.standings.order[:top])

    @cached_property
    def standings(self) -> Standings:
        """What is best in it."""
        return Standings(self.spec, self.records)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on runs without a score of their own; none of a search."""
        return notes_of(self.spec, self.records) if self.judged else ()

    @property
    def costs(self) -> dict[str, str]:
        """The number of trials, the time from the first start to the last end, and device hours."""
        times = [(r.started, r.ended) for r in self.records if r.started and r.ended]
        costs = {"trials run": str(len(times))}
        if times:
            wall = max(ended for _, ended in times) - min(started for started, _ in times)
            costs["from first to last"] = str(timedelta(seconds=round(wall.total_seconds())))
        for device, hours in self.status.device_hours.items():
            costs["core hours" if device == "cpu" else f"{device} hours"] = f"{hours:.3g}"
        return costs

    @property
    def versions(self) -> dict[str, str]:
        """The package versions that its trials were computed with; several of a package that changed between runs."""
        seen: dict[str, list[str]] = {}
        for record in self.records:
            for name, version in record.result.versions.items():
                seen.setdefault(name, []).append(version)
        return {name: _distinct(versions) for name, versions in seen.items()}


def account_of(stored: StoredStudy) -> Account:
    """What is known of a study; a designed one that has not ended has no verdicts yet."""
    judged: list[Block] = []
    lack = None
    known = known_trials(stored)
    if stored.spec.claim is not None:
        try:
            judged = findings_of(stored, None, seed=0, known=known)
        except StudyError as error:
            lack = str(error)
    laws = known_laws(stored.spec, known.records, ended=known.ended)
    status = status_of(stored, failures=_FAILURES)
    return Account(status=status, records=known.records, judged=judged, lack=lack, laws=laws)


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
