"""Replicated scores over two factors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Surface:
    """Scores over two factors. A run that diverged has a score as well.

    A score is NaN where there is none: the run was not made, or its score is missing. So cells may have fewer scores
    than there are replicates, or none.
    """

    given: Floats  # (n_given,) levels, positive and ascending
    tuned: Floats  # (n_tuned,) levels, positive and ascending
    scores: Floats  # (n_given, n_tuned, n_replicates), finite or NaN; higher is better
    unstable: Bools  # (n_given, n_tuned, n_replicates): the run diverged, or is no better than guessing; False at NaN
    paired: bool = True  # replicate r has the same seed in every cell
    lost: Bools | None = None  # (n_given, n_tuned): the cell was to be run and has no score; None: it is not known

    def __post_init__(self) -> None:
        shape = (len(self.given), len(self.tuned))
        assert self.scores.shape[:2] == shape and self.unstable.shape == self.scores.shape
        assert np.all(np.diff(self.given) > 0) and np.all(np.diff(self.tuned) > 0) and min(self.given) > 0
        missing = np.isnan(self.scores)
        assert self.tuned[0] > 0 and not np.isinf(self.scores).any() and not missing.all()
        assert not self.unstable[missing].any()

    @property
    def n_replicates(self) -> int:
        """Number of runs in a cell; cells in which scores are missing have fewer."""
        return int(self.scores.shape[2])

    @property
    def counts(self) -> NDArray[np.intp]:
        """Number of scores in each cell, (n_given, n_tuned)."""
        return np.asarray((~np.isnan(self.scores)).sum(axis=2))

    @property
    def means(self) -> Floats:
        """Mean score of each cell, (n_given, n_tuned); NaN where it has none."""
        return mean(self.scores, axis=2)

    @property
    def usable(self) -> Bools:
        """Cells that have a score, and in which every run was stable, (n_given, n_tuned)."""
        return np.asarray((self.counts > 0) & ~np.any(self.unstable, axis=2))

    @property
    def means_of_others(self) -> Floats:
        """Mean score of each cell over all replicates but one, with the shape of the scores; NaN if none is left."""
        return means_of_others(self.scores)

    def transposed(self) -> "Surface":
        """The same scores with the factors exchanged: the tuned one is given."""
        return Surface(
            self.tuned, self.given, self.scores.transpose(1, 0, 2), self.unstable.transpose(1, 0, 2), self.paired,
            None if self.lost is None else self.lost.T,
        )  # fmt: skip

    def at(self, rows: Bools) -> "Surface":
        """The same scores at some of the given levels, (n_given,)."""
        lost = None if self.lost is None else self.lost[rows]
        return Surface(self.given[rows], self.tuned, self.scores[rows], self.unstable[rows], self.paired, lost)


def mean(scores: Floats, axis: int | tuple[int, ...]) -> Floats:
    """The mean along an axis of the scores that are there; NaN where there are none."""
    there = ~np.isnan(scores)
    if there.all():
        return np.asarray(scores.mean(axis=axis))
    counts = there.sum(axis=axis)
    total = np.where(there, scores, 0.0).sum(axis=axis)
    return np.asarray(np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0))


def means_of_others(scores: Floats) -> Floats:
    """For each replicate the mean of the others, with the shape of `scores`, (..., n_replicates).

    What is chosen by this mean was not chosen on the score of the replicate itself. It is NaN if no other has a score.
    """
    there = ~np.isnan(scores)
    if there.all():
        return np.asarray((scores.sum(axis=-1, keepdims=True) - scores) / (scores.shape[-1] - 1))
    known = np.where(there, scores, 0.0)
    n = there.sum(axis=-1, keepdims=True) - there
    total = known.sum(axis=-1, keepdims=True) - known
    return np.asarray(np.divide(total, n, out=np.full(scores.shape, np.nan), where=n > 0))
