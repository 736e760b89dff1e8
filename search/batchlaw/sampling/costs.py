"""What a configuration will take: a line through the logarithms of the seconds of trials so far."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

Floats = NDArray[np.float64]

_RIDGE = 0.1  # a prior of weight one trial at .3 of the range from the middle (assumption)
_LEAST_SECONDS = 0.01  # about what a trial takes beside training; databases may round a duration down to nothing


@dataclass(frozen=True, eq=False)
class Costs:
    """Ridge regression of log seconds on the coordinates of configurations."""

    middle: Floats  # (n_coordinates,)
    slopes: Floats  # (n_coordinates,)
    level: float  # log seconds in the middle

    @classmethod
    def of(cls, points: Floats, seconds: Floats) -> "Costs":
        """Fit.

        Args:
            points: (n, n_coordinates), one trial or more.
            seconds: (n,), positive.
        """
        logs, middle = np.log(seconds), points.mean(axis=0)
        away = points - middle
        level = float(logs.mean())
        slopes = np.linalg.solve(away.T @ away + _RIDGE * np.eye(points.shape[1]), away.T @ (logs - level))
        return cls(middle, slopes, level)

    def log_seconds(self, points: Floats) -> Floats:
        """Foreseen, (n,), at points (n, n_coordinates)."""
        return np.asarray(self.level + (points - self.middle) @ self.slopes)


def full_seconds(trials: Sequence[FrozenTrial]) -> Floats:
    """What each ended trial took, or would have taken if a pruner had not cut it off, (n,).

    A trial's reports are at equal shares of its budget, so one cut off at step 2 of 10 would have taken five times as
    long; the number of steps is the largest that any trial came to.
    """
    steps = max((trial.last_step or 0 for trial in trials), default=0)
    found = []
    for trial in trials:
        seconds = max(trial.duration.total_seconds(), _LEAST_SECONDS) if trial.duration else _LEAST_SECONDS
        if trial.state == TrialState.PRUNED and trial.last_step:
            seconds *= steps / trial.last_step
        found.append(seconds)
    return np.array(found)
