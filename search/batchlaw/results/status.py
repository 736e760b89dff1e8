"""The state of a study at a glance: what `status`, the progress display and the end of a run show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from batchlaw.recipe.result import ENDED, ENDINGS, Outcome
from batchlaw.results.columns import columns_of, sentence_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.details import TrialDetails, examples_of
from batchlaw.results.front import front_line, front_of
from batchlaw.results.gain import Gain
from batchlaw.results.notebook import notebook_html
from batchlaw.results.order import best_first
from batchlaw.results.pace import Pace, batch_sizes_of, pace_of
from batchlaw.results.records import TrialBrief, TrialRecord, briefs_of, outcome_counts, record_at, records_of
from batchlaw.results.standings import Standings
from batchlaw.results.told_gain import told_gain
from batchlaw.spec import StudySpec, fingerprint
from batchlaw.storage import (
    Fit,
    SlotCounts,
    StoredStudy,
    WorkerRecord,
    fits_of,
    history_of,
    stop_of,
    with_retries,
    worked_seconds,
    workers_of,
)

_SHOWN_LINES = 5  # of the output of a failed trial


@dataclass(frozen=True, repr=False)
class StudyStatus:
    """The state of a study at one moment."""

    spec: StudySpec
    slots: SlotCounts
    outcomes: dict[Outcome, int]
    best: TrialRecord | None  # the named one, as `Standings` has it; while trials run, the best score so far
    pace: Pace | None  # None before a trial has ended
    workers: tuple[WorkerRecord, ...]  # the latest first
    created: datetime | None  # UTC; None of studies from before version 0.2
    former_names: tuple[str, ...]
    examples: tuple[TrialDetails, ...] = ()  # of a program: the best trial and the last that failed, with their output
    named: Configuration | None = None  # the best of a search that has ended, with its score on fresh seeds
    gain: Gain | None = None  # of going on with a search: of the trials left, or of as many as there were
    stopped: dict[str, Any] | None = None  # of a search that `search.stop` ended: see `storage.note_stop`
    front: tuple[Configuration, ...] = ()  # of a search against seconds: see `front_of`
    breaks: Mapping[str, int] = field(default_factory=dict)  # complete trials that exceed a bound of the search
    fits: Mapping[str, Fit] = field(default_factory=dict)  # by device, what code of the user's own computes at once

    @property
    def state(self) -> str:
        """`done`, `running` while workers are alive, or `waiting` for workers."""
        if self.slots.ended:
            return "done"
        return "running" if any(worker.state in ("idle", "training") for worker in self.workers) else "waiting"

    @property
    def seconds(self) -> float:
        """Of wall time in which somebody was at work."""
        return worked_seconds(self.workers)

    @property
    def without_result(self) -> int:
        """How many trials of the budget have no result, since every attempt at them failed; `retry` runs them again."""
        return max(self.slots.done - sum(self.outcomes.get(outcome, 0) for outcome in ENDED), 0)

    @property
    def at_work(self) -> list[WorkerRecord]:
        """The workers that have not ended, including those that have stopped to send heartbeats."""
        return [worker for worker in self.workers if worker.state != "ended"]

    @property
    def device_hours(self) -> dict[str, float]:
        """Hours that workers held each GPU, by its name; under `cpu`, core hours: hours times the latest threads."""
        hours: dict[str, float] = {}
        for worker in self.workers:
            share = worker.threads if worker.device == "cpu" else 1
            hours[worker.device] = hours.get(worker.device, 0.0) + share * worker.seconds / 3600
        return hours

    def __repr__(self) -> str:
        return "\n  ".join([f"Status of {self.spec.name}: {counts_line(self)}", best_line(self), pace_line(self)])

    def _repr_html_(self) -> str:
        heading, *lines = repr(self).split("\n")
        return notebook_html(heading, lines)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        best = self.best and {
            "trial": self.best.number,
            "value": self.best.value,
            "fresh": self.named.as_dict().get("fresh") if self.named else None,
            "peak_lr": self.best.config.peak_lr if self.best.config else None,
            "params": self.best.params,
        }
        return {
            "study": self.spec.name,
            "former_names": list(self.former_names),
            "created": self.created and self.created.isoformat(),
            "state": self.state,
            "question": self.spec.purpose,
            "fingerprint": fingerprint(self.spec),
            "metric": self.spec.arm.metric,
            "direction": self.spec.direction,
            "trials": None if self.slots.open_ended else self.slots.total,
            "seconds": self.seconds,
            "budget_seconds": self.spec.arm.budget_seconds,
            "done": self.slots.done,
            "running": self.slots.held,
            "waiting": self.slots.open,
            "without_result": self.without_result,
            "outcomes": {outcome: self.outcomes.get(outcome, 0) for outcome in ENDINGS},
            "breaks": dict(self.breaks),
            "trials_a_minute": self.pace and self.pace.trials_a_minute,
            "seconds_left": self.pace and self.pace.seconds_left,
            "seconds_left_low": self.pace and self.pace.low,
            "seconds_left_high": self.pace and self.pace.high,
            "best": best,
            "front": [
                each.as_dict() | {"score": each.score, "seconds_a_run": each.seconds_a_run} for each in self.front
            ],
            "gain": self.gain and asdict(self.gain),
            "stopped": self.stopped,
            "fits": {device: fit._asdict() for device, fit in self.fits.items()},
            "workers": [asdict(worker) for worker in self.at_work],
            "workers_ended": len(self.workers) - len(self.at_work),
            "device_hours": self.device_hours,
            "examples": [example.as_dict() for example in self.examples],
        }


def status_of(
    stored: StoredStudy, since: datetime | None = None, *, failures: int | None = None, gain: bool = False
) -> StudyStatus:
    """Read the state of a study.

    Args:
        stored: the study.
        since: the rate counts trials that ended after this; None counts all.
        failures: how many failed trials of a program to read as examples, beside its best; None reads no examples.
        gain: whether to tell what going on may gain, which takes a model of the space.
    """
    briefs = with_retries(lambda: briefs_of(stored))
    ended = [b for b in briefs if b.outcome in ENDED and b.ended and b.started and (since is None or b.ended > since)]
    counts = with_retries(stored.slots.counts)
    workers = tuple(workers_of(stored.storage.engine, stored.study_id, stored.spec.name))
    pace = _pace(stored, ended, counts, workers, since)
    best, named = _best(stored, briefs), None
    if best is not None and counts.ended and stored.spec.search is not None:
        standings = Standings(stored.spec, [best, *_racers(stored, briefs, best)])
        best = standings.best or best
        named = standings.configuration(best)
    created, former = history_of(stored)
    breaks = Counter(name for b in briefs if b.outcome == Outcome.COMPLETE for name in b.breaks)
    front: tuple[Configuration, ...] = ()
    if stored.spec.search is not None and stored.spec.search.against is not None:
        front = front_of(Standings(stored.spec, with_retries(lambda: records_of(stored))))
    examples = [] if failures is None else examples_of(stored, briefs, best, failures=failures)
    return StudyStatus(
        stored.spec, counts, outcome_counts(briefs), best, pace,
        workers, created, tuple(former),
        tuple(examples), named, told_gain(stored, counts) if gain else None, _stopped(stored, counts),
        front, breaks, fits_of(stored),
    )  # fmt: skip


def _pace(
    stored: StoredStudy,
    ended: Sequence[TrialBrief],
    counts: SlotCounts,
    workers: Sequence[WorkerRecord],
    since: datetime | None,
) -> Pace | None:
    found = pace_of(ended, counts.total - counts.done, since, batch_sizes_of(stored.spec))
    left = (stored.spec.arm.budget_seconds or 0.0) - worked_seconds(workers)
    if found is None or left <= 0 or counts.ended:  # a run with a time of its own goes on past the budget
        return found
    return found.within(left, open_ended=counts.open_ended)


def _best(stored: StoredStudy, briefs: Sequence[TrialBrief]) -> TrialRecord | None:
    """The trial with the best score."""
    ranking = best_first(briefs, stored.spec.direction)
    records = (with_retries(partial(record_at, stored, brief.number)) for brief in ranking)
    return next((record for record in records if record.outcome == Outcome.COMPLETE), None)


def _racers(stored: StoredStudy, briefs: Sequence[TrialBrief], best: TrialRecord) -> list[TrialRecord]:
    """The trials of the race of a search and those that they confirm, without the best one."""
    confirming = [brief for brief in briefs if brief.confirms is not None]
    numbers = {brief.number for brief in confirming} | {brief.confirms.trial for brief in confirming if brief.confirms}
    return with_retries(lambda: records_of(stored, numbers - {best.number})) if numbers else []


def _stopped(stored: StoredStudy, counts: SlotCounts) -> dict[str, Any] | None:
    """What `note_stop` recorded, unless the budget was extended since."""
    if stored.spec.search is None or stored.spec.search.stop is None:
        return None
    facts = stop_of(stored)
    return facts if facts is not None and counts.total < facts["trials"] else None


def counts_line(status: StudyStatus) -> str:
    """`57 of 120 trials · 40 complete · 15 pruned · 2 diverged · 2 running`; what there is none of is left out.

    Of a study with a budget of seconds `57 trials · 31 of 60 s · …`, with the number of trials too where it has one.
    """
    named = [f"{status.outcomes[name]} {name}" for name in ENDINGS if status.outcomes.get(name)]
    named += [f"{n} complete exceed{'s' * (n == 1)} {name}" for name, n in status.breaks.items()]
    if status.slots.held:
        named.append(f"{status.slots.held} running")
    slots, seconds = status.slots, status.spec.arm.budget_seconds
    uncounted = seconds is not None and status.spec.search is not None and (slots.ended or slots.open_ended)
    begun = f"{slots.done} trial{'s' * (slots.done != 1)}" if uncounted else f"{slots.done} of {slots.total} trials"
    time = [] if seconds is None else [f"{status.seconds:,.0f} of {seconds:,g} s"]
    return " · ".join([begun, *time, *named])


def pace_line(status: StudyStatus) -> str:
    """Trials a minute, the time left with its doubt, the device hours so far, and workers that are silent."""
    parts = [str(status.pace)] if status.pace else []
    for device, hours in status.device_hours.items():
        parts.append(f"{hours:.2f} {'core' if device == 'cpu' else device} hours")
    stale = sum(worker.state == "stale" for worker in status.workers)
    if stale:
        parts.append(f"{stale} worker{'s' * (stale != 1)} silent")
    return " · ".join(parts) or "no worker has started yet"


def gain_lines(status: StudyStatus) -> list[str]:
    """Why a search ended early, and what going on may gain."""
    lines = []
    if status.stopped is not None:
        rule = status.spec.search and status.spec.search.stop
        assert rule
        lines.append(
            f"the search was stopped after {status.stopped['begun']} of {status.stopped['trials']} trials: the others "
            f"would gain less than {rule.gain:g} with {rule.confidence:g} confidence"
        )
    if status.gain is not None:
        before = status.gain.after not in (None, status.slots.done)
        lines.append(f"after {status.gain.after} trials: {status.gain}" if before else str(status.gain))
    return lines


def best_line(status: StudyStatus) -> str:
    """The best trial so far, with its score and configuration."""
    if status.best is None:
        over = " or ".join(status.breaks)
        return f"every complete trial exceeds {over}" if over else "no trial has finished yet"
    config, named = status.best.known_config, status.named
    score = f"{status.best.value:.4f}"
    if named is not None and named.fresh is not None:
        score = f"{named.fresh.mean:.4f} ± {named.fresh.error:.4f} on {len(named.fresh.scores)} fresh seeds"
    return (
        f"best {status.spec.arm.metric} {score} (trial {status.best.number}): "
        f"{sentence_of(config, columns_of(status.spec))}"
    )


def front_lines(status: StudyStatus) -> list[str]:
    """The front of a search against seconds."""
    return [f"fastest for its score: {front_line(status.front)}"] if status.front else []


def example_lines(status: StudyStatus) -> list[str]:
    """Of a program: the command of the best trial, and why the last one failed, with the end of its output."""
    lines = []
    for example in status.examples:
        if status.best is not None and example.record.number == status.best.number:
            lines.append(f"  {example.command}")
            continue
        lines.append(f"trial {example.record.number} {example.record.outcome}: {example.record.reason}")
        lines += [f"  {example.command}", *(f"  | {line}" for line in example.output[-_SHOWN_LINES:])]
        lines.append(f"all of it: batchlaw show {status.spec.name} {example.record.number}")
    return lines
