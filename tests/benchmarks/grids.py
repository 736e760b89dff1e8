"""Published grids of results as objectives to search: every answer, and what it cost, is in a table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray

WHOLE = Path(__file__).parents[1] / "data" / "hpobench" / "whole"
NAMES = ("australian", "car", "credit_g", "kc1")
DIMENSIONS = ("alpha", "batch_size", "depth", "learning_rate_init", "width")
SEEDS = [f"acc_s{seed}" for seed in range(5)]

Cell = tuple[int, ...]  # the index of a level in each dimension


@dataclass(frozen=True, eq=False)
class Grid:
    """One complete factorial of HPOBench."""

    scores: NDArray[np.float64]  # (*levels, n_seeds) validation accuracy
    seconds: NDArray[np.float64]  # (*levels,) of training

    def suggest(self, trial: optuna.Trial) -> Cell:
        """All factors but depth are spaced evenly in the logarithm, so that a level's number is on their scale."""
        shape = self.seconds.shape
        return tuple(trial.suggest_int(name, 0, n - 1) for name, n in zip(DIMENSIONS, shape, strict=True))

    def regret(self, cell: Cell) -> float:
        """Below the best of the grid, by the mean over seeds."""
        means = self.scores.mean(axis=-1)
        return float(means.max() - means[cell])

    @property
    def untuned(self) -> float:
        """The regret of the median configuration."""
        means = self.scores.mean(axis=-1)
        return float(means.max() - np.median(means))


def read_grid(name: str) -> Grid:
    table = pd.read_csv(WHOLE / f"{name}.csv.gz").sort_values(list(DIMENSIONS))
    shape = tuple(table[dimension].nunique() for dimension in DIMENSIONS)
    return Grid(table[SEEDS].to_numpy().reshape(*shape, -1), table["mean_train_time"].to_numpy().reshape(shape))
