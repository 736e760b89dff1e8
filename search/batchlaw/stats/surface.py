"""Replicated scores over two factors: at each level of the `given` one, the best of the `tuned` one is sought."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Surface:
    """Scores of a full factorial, higher is better.

    Both factors are positive and read on a log₂ scale. A run that diverged has a score all the same.
    """

    given: Floats  # (n_given,), ascending
    tuned: Floats  # (n_tuned,), ascending
    scores: Floats  # (n_given, n_tuned, n_replicates), finite
    unstable: Bools  # the same shape: diverged, or no better than guessing
    paired: bool = True  # whether replicate r is the same seed in every cell

    def __post_init__(self) -> None:
        shape = (len(self.given), len(self.tuned))
        assert self.scores.shape[:2] == shape and self.unstable.shape == self.scores.shape
        assert np.all(np.diff(self.given) > 0) and np.all(np.diff(self.tuned) > 0) and min(self.given) > 0
        assert self.tuned[0] > 0 and np.isfinite(self.scores).all()

    @property
    def n_replicates(self) -> int:
        """Runs of each cell."""
        return int(self.scores.shape[2])

    @property
    def means(self) -> Floats:
        """Of each cell, (n_given, n_tuned)."""
        means: Floats = self.scores.mean(axis=2)
        return means

    def transposed(self) -> "Surface":
        """The same scores with the roles of the factors exchanged."""
        return Surface(
            self.tuned, self.given, self.scores.transpose(1, 0, 2), self.unstable.transpose(1, 0, 2), self.paired
        )

    def resampled_means(self, n_resamples: int, generator: np.random.Generator) -> Floats:
        """Means of each cell over bootstrapped replicates, (n_resamples, n_given, n_tuned).

        Paired replicates are drawn once for all cells, so that what a seed does to the whole surface stays together;
        others are drawn for each cell, from sorted scores, so that their order in a file does not matter.
        """
        n = self.n_replicates
        if self.paired:
            weights = generator.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
            return np.asarray(np.einsum("rs,gts->rgt", weights, self.scores))
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=(n_resamples, *self.scores.shape[:2])) / n
        return np.asarray(np.einsum("rgts,gts->rgt", drawn, np.sort(self.scores, axis=2)))
