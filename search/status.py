"""The state of a study at a glance: what `status`, the progress display and the end of a run show."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from search.records import ENDED, TrialRecord, best_first, outcome_counts, records_of
from search.spec import StudySpec, fingerprint
from search.storage import SlotCounts, StoredStudy, patiently


@dataclass(frozen=True)
class StudyStatus:
    """A snapshot of a study."""

    spec: StudySpec
    slots: SlotCounts
    outcomes: dict[str, int]
    best: TrialRecord | None
    trials_a_minute: float | None  # over the time in which trials ended

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far."""
        left = self.slots.total - self.slots.done
        return 60 * left / self.trials_a_minute if self.trials_a_minute else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        best = self.best and {
            "trial": self.best.number,
            "value": self.best.value,
            "peak_lr": self.best.config.get("peak_lr"),
            "params": self.best.params,
        }
        return {
            "study": self.spec.name,
            "question": self.spec.question,
            "fingerprint": fingerprint(self.spec),
            "metric": self.spec.arm.metric,
            "direction": self.spec.direction,
            "trials": self.slots.total,
            "done": self.slots.done,
            "running": self.slots.held,
            "waiting": self.slots.open,
            "outcomes": {outcome: self.outcomes.get(outcome, 0) for outcome in (*ENDED, "failed", "lost")},
            "trials_a_minute": self.trials_a_minute,
            "seconds_left": self.seconds_left,
            "best": best,
        }


def status_of(stored: StoredStudy, since: datetime | None = None) -> StudyStatus:
    """Read the state of a study; the rate counts trials that ended after `since`."""
    records = patiently(lambda: records_of(stored.study))
    ended = [r for r in records if r.outcome in ENDED and r.ended and r.started and (since is None or r.ended > since)]
    rate = None
    if ended:
        began = since or min(record.started for record in ended if record.started)
        seconds = (max(record.ended for record in ended if record.ended) - began).total_seconds()
        rate = 60 * len(ended) / seconds if seconds > 0 else None
    ranking = best_first(records, stored.spec.direction)
    return StudyStatus(
        stored.spec, patiently(stored.slots.counts), outcome_counts(records), ranking[0] if ranking else None, rate
    )


def counts_line(status: StudyStatus) -> str:
    """`57 of 120 trials · 40 complete · 15 pruned · 2 diverged`, naming what happened at all."""
    named = [f"{status.outcomes[name]} {name}" for name in (*ENDED, "failed", "lost") if status.outcomes.get(name)]
    return " · ".join([f"{status.slots.done} of {status.slots.total} trials", *named])


def best_line(status: StudyStatus) -> str:
    """The best so far with its configuration."""
    if status.best is None:
        return "no trial has finished yet"
    config = status.best.config
    return (
        f"best {status.spec.arm.metric} {status.best.value:.4f} (trial {status.best.number}): "
        f"batch size {config['batch_size']}, peak lr {config['peak_lr']:.3g}, {config['optimizer']}, "
        f"{config['scaling_rule']} rule, warmup {config['warmup_fraction']:.0%}, {config['decay']} decay"
    )
