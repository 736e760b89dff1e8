"""How fast a study goes, and when it will end."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from batchlaw.recipe.space import cells
from batchlaw.results.records import TrialBrief
from batchlaw.spec import StudySpec

_FEWEST = 3  # ended trials without which nothing is said of the time left
_LATEST = 8  # a pruner makes trials shorter as it learns, so the latest half of them tells, and at least so many
# A trial takes about (1/B)^γ as long with a batch size of B in a budget of examples: fewer steps, each of which costs
# more. Between networks that wait for the processor and those that wait for Python γ was .4 to 1 (assumption).
_POWERS = 0.4, 0.7, 1.0


@dataclass(frozen=True)
class Pace:
    """The rate of the latest trials, and the time that the others will take, in seconds.

    `low` and `high` are about a 95 % interval: how long trials take is taken as log-normal, with the deviation of the
    latest ones. They are None, as is `seconds_left`, before three trials have ended.
    """

    trials_a_minute: float
    seconds_left: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        rate = f"{self.trials_a_minute:{'.2g' if self.trials_a_minute < 10 else '.0f'}} trials/min"
        if not self.seconds_left or self.low is None or self.high is None:
            return rate
        if self.low == self.high:  # by the clock
            return f"{rate}, {_clock(self.seconds_left)} to go"
        return f"{rate}, about {_clock(self.seconds_left)} to go ({_clock(self.low)} to {_clock(self.high)})"

    def within(self, seconds: float, *, open_ended: bool) -> "Pace":
        """The pace of a study that has so many seconds left; of an open-ended one nothing else ends it."""
        if open_ended or (self.low is not None and self.low >= seconds):
            return replace(self, seconds_left=seconds, low=seconds, high=seconds)
        if self.seconds_left is None or self.high is None:
            return self
        return replace(self, seconds_left=min(self.seconds_left, seconds), high=min(self.high, seconds))


def pace_of(
    ended: Sequence[TrialBrief], left: int, since: datetime | None = None, batch_sizes: Sequence[int] = ()
) -> Pace | None:
    """The pace of trials that have ended, with `left` to go; None before the first has ended.

    Args:
        ended: the trials, with their times.
        left: how many trials have not ended.
        since: when the run began; None takes the start of the first trial.
        batch_sizes: of a designed study, of every trial of its budget in their order, where they decide how long a
            trial takes; empty where trials to come are like those that have ended.
    """
    timed = sorted((each for each in ended if each.ended and each.started), key=lambda each: (each.ended, each.started))
    times = [(each.ended, each.started) for each in timed if each.ended and each.started]
    if not times:
        return None
    latest = times[-max(_LATEST, len(times) // 2) :]
    before = times[: -len(latest)]
    began = before[-1][0] if before else since or min(started for _, started in times)
    seconds = (latest[-1][0] - began).total_seconds()
    if seconds <= 0:
        return None
    rate = 60 * len(latest) / seconds
    if left == 0:
        return Pace(rate, 0.0, 0.0, 0.0)
    if len(latest) < _FEWEST:
        return Pace(rate)
    sizes = batch_sizes if len(batch_sizes) >= len(latest) + left else [1] * (len(latest) + left)
    done = len(sizes) - left  # in the order of the slots, about: the number of a trial counts those that were lost, too
    ran = np.array(sizes[done - len(latest) : done], float)
    to_come = np.array(sizes[-left:], float)
    lengths = np.maximum([(end - start).total_seconds() for end, start in latest], 1e-3)
    powers = _POWERS
    if len(set(ran)) > 1:
        power = float(np.clip(-np.polyfit(np.log(ran), np.log(lengths), 1)[0], 0, 1))
        powers = max(power - 0.2, 0), power, min(power + 0.2, 1)
    high, expected, low = (seconds * (to_come**-power).sum() / (ran**-power).sum() for power in powers)
    logs = np.log(lengths * ran ** powers[1])
    doubt = math.exp(2 * statistics.stdev(logs) * math.sqrt(1 / len(logs) + 1 / left))
    return Pace(rate, float(expected), float(low / doubt), float(high * doubt))


def batch_sizes_of(spec: StudySpec) -> list[int]:
    """Of every trial of a factorial design, in the order of its slots; empty where they do not decide its time."""
    if spec.claim is None or spec.claim.design != "factorial" or spec.budget is None or spec.budget.counts_steps:
        return []
    return [
        2 ** cell["log2_batch_size"] if "log2_batch_size" in cell else cell.get("batch_size", 1) for cell in cells(spec)
    ]


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
