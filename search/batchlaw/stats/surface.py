"""Replicated scores over two factors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Surface:
    """Scores of a full factorial. A run that diverged has a score as well."""

    given: Floats  # (n_given,) levels, positive and ascending
    tuned: Floats  # (n_tuned,) levels, positive and ascending
    scores: Floats  # (n_given, n_tuned, n_replicates), finite; higher is better
    unstable: Bools  # (n_given, n_tuned, n_replicates): the run diverged, or is no better than guessing
    paired: bool = True  # replicate r has the same seed in every cell

    def __post_init__(self) -> None:
        shape = (len(self.given), len(self.tuned))
        assert self.scores.shape[:2] == shape and self.unstable.shape == self.scores.shape
        assert np.all(np.diff(self.given) > 0) and np.all(np.diff(self.tuned) > 0) and min(self.given) > 0
        assert self.tuned[0] > 0 and np.isfinite(self.scores).all()

    @property
    def n_replicates(self) -> int:
        """Number of runs in each cell."""
        return int(self.scores.shape[2])

    @property
    def means(self) -> Floats:
        """Mean score of each cell, (n_given, n_tuned)."""
        means: Floats = self.scores.mean(axis=2)
        return means

    @property
    def usable(self) -> Bools:
        """Cells in which every run was stable, (n_given, n_tuned)."""
        return np.asarray(~np.any(self.unstable, axis=2))

    @property
    def means_of_others(self) -> Floats:
        """Mean score of each cell over all replicates but one, (n_given, n_tuned, n_replicates)."""
        return means_of_others(self.scores)

    def transposed(self) -> "Surface":
        """The same scores with the factors exchanged: the tuned one is given."""
        return Surface(
            self.tuned, self.given, self.scores.transpose(1, 0, 2), self.unstable.transpose(1, 0, 2), self.paired
        )

    def resampled_means(self, n_resamples: int, generator: np.random.Generator) -> Floats:
        """Mean scores of bootstrapped replicates, (n_resamples, n_given, n_tuned).

        Paired replicates are drawn once for all cells, because a seed moves the whole surface. Other replicates are
        drawn in each cell by itself. They are sorted first, so that their order in a file does not matter.
        """
        n = self.n_replicates
        if self.paired:
            weights = generator.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
            return np.asarray(np.einsum("rs,gts->rgt", weights, self.scores))
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=(n_resamples, *self.scores.shape[:2])) / n
        return np.asarray(np.einsum("rgts,gts->rgt", drawn, np.sort(self.scores, axis=2)))


def means_of_others(scores: Floats) -> Floats:
    """For each replicate the mean of the others, with the shape of `scores`, (..., n_replicates).

    What is chosen by this mean was not chosen on the score of the replicate itself.
    """
    return np.asarray((scores.sum(axis=-1, keepdims=True) - scores) / (scores.shape[-1] - 1))
