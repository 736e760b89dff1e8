"""The predicted seconds of a configuration: a linear model of the log seconds of earlier trials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from batchlaw.stats.surface import Floats

_RIDGE = 0.1  # penalty: as much as one trial at 0.3 of the range from the middle (assumption)
_LEAST_SECONDS = 0.01  # about what a trial takes without training; a database may round a duration down to 0


@dataclass(frozen=True, eq=False)
class Costs:
    """Ridge regression of log seconds on the coordinates of configurations."""

    middle: Floats  # (n_coordinates,)
    slopes: Floats  # (n_coordinates,)
    level: float  # log seconds at the middle

    @classmethod
    def of(cls, points: Floats, seconds: Floats) -> "Costs":
        """Fit the model.

        Args:
            points: (n, n_coordinates) of one trial or more.
            seconds: (n,), above 0.
        """
        logs, middle = np.log(seconds), points.mean(axis=0)
        away = points - middle
        level = float(logs.mean())
        slopes = np.linalg.solve(away.T @ away + _RIDGE * np.eye(points.shape[1]), away.T @ (logs - level))
        return cls(middle, slopes, level)

    def log_seconds(self, points: Floats) -> Floats:
        """Predicted log seconds at points (n, n_coordinates), (n,)."""
        return np.asarray(self.level + (points - self.middle) @ self.slopes)


def full_seconds(trials: Sequence[FrozenTrial]) -> Floats:
    """The seconds that each ended trial took, or would have taken if it had not been pruned, (n,).

    Reports come at equal fractions of the budget, so a trial pruned at report 2 of 10 would have taken five times as
    long. The number of reports is the largest that any of the trials reached.
    """
    steps = max((trial.last_step or 0 for trial in trials), default=0)
    found = []
    for trial in trials:
        seconds = max(trial.duration.total_seconds(), _LEAST_SECONDS) if trial.duration else _LEAST_SECONDS
        if trial.state == TrialState.PRUNED and trial.last_step:
            seconds *= steps / trial.last_step
        found.append(seconds)
    return np.array(found)
