"""How fast a study goes, and when it will end."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchlaw.results.records import TrialBrief

_FEWEST = 3  # ended trials without which nothing is said of the time left
_LATEST = 8  # a pruner makes trials shorter as it learns, so the latest half of them tells, and at least so many


@dataclass(frozen=True)
class Pace:
    """The rate of the latest trials, and the time that the others will take at this rate, in seconds.

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
        return f"{rate}, about {_clock(self.seconds_left)} to go ({_clock(self.low)} to {_clock(self.high)})"


def pace_of(ended: Sequence[TrialBrief], left: int, since: datetime | None = None) -> Pace | None:
    """The pace of trials that have ended, with `left` to go; None before the first has ended.

    Args:
        ended: the trials, with their times.
        left: how many trials have not ended.
        since: when the run began; None takes the start of the first trial.
    """
    times = sorted((each.ended, each.started) for each in ended if each.ended and each.started)
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
    logs = [math.log(max((end - start).total_seconds(), 1e-3)) for end, start in latest]
    doubt = math.exp(2 * statistics.stdev(logs) * math.sqrt(1 / len(logs) + 1 / left))
    expected = 60 * left / rate
    return Pace(rate, expected, expected / doubt, expected * doubt)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
