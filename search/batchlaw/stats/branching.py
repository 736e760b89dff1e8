"""The critical batch size at a checkpoint, from branches that train on with larger batches (arXiv:2505.23971).

All branches see the same window of examples. With L₀ the loss at the checkpoint and L_k that of the branch with k times
the batch size, its share of the progress is log(L₀/L_k) / log(L₀/L_1). Near a checkpoint the hyperbola of
`stats.hyperbola` makes this share (1 + B/B_crit) / (1 + kB/B_crit).
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.contrast import paired
from batchlaw.stats.hyperbola import Bounded
from batchlaw.stats.surface import Floats

_PLACES = 400
_BEYOND = 8.0  # octaves beyond the batch sizes at which a share tells nothing any more


@dataclass(frozen=True, eq=False)
class Branches:
    """The losses of the branches of one checkpoint."""

    batch_size: Floats  # (n_branches,) ascending, the first is the trunk's
    start: Floats  # (n_seeds,) at the checkpoint
    end: Floats  # (n_branches, n_seeds) at the end of the window; infinite where a branch diverged

    @property
    def shares(self) -> Floats:
        """The progress of each branch as a share of that with the trunk's batch size, (n_branches, n_seeds)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            progress = np.log(self.start / self.end)
            return np.asarray(np.where(np.isfinite(progress), progress / progress[0], -np.inf))

    def largest_not_worse(self, tolerance: float, alpha: float = 0.05) -> Bounded:
        """The largest batch size that loses at most a share `tolerance` of the trunk's progress.

        The loss is that of the paired difference over seeds, (1 - tolerance) × progress of the trunk less that of the
        branch. Below the interval every branch is shown not to lose more, and above it one is shown to lose more; an
        end is open where no branch is on that side.

        Args:
            tolerance: in (0, 1).
            alpha: one less the confidence of each comparison.
        """
        own = np.log(self.start / self.end[0])
        within, value, above = 0, 0, len(self.batch_size)
        for k in range(1, len(self.batch_size)):
            if not np.isfinite(self.end[k]).all():
                above = k
                break
            lost = paired((1 - tolerance) * own, np.log(self.start / self.end[k]), alpha)
            if lost.ci_low > 0:
                above = k
                break
            within = k if lost.ci_high <= 0 and within == k - 1 else within
            value = k if lost.difference <= 0 and value == k - 1 else value
        high = float(self.batch_size[above]) if above < len(self.batch_size) else None
        low = float(self.batch_size[within]) if within or above > 1 else None
        return Bounded(float(self.batch_size[value]), low, high)

    def critical(self, alpha: float = 0.05) -> Bounded:
        """B_crit of the hyperbola, from the shares of each seed; the interval is Student's over the logs of seeds.

        An end is open where a seed's shares fit best at a limit: all branches as good as the trunk, or all without
        progress.
        """
        x = np.log2(self.batch_size)
        places = 2 ** np.linspace(x[0] - _BEYOND, x[-1] + _BEYOND, _PLACES)
        expected = (1 + self.batch_size[0] / places[:, None]) / (1 + self.batch_size / places[:, None])
        shares = np.clip(self.shares, 0.0, None)
        at = ((expected[:, :, None] - shares) ** 2).sum(axis=1).argmin(axis=0)
        logs = np.log(places[at])
        reach = float(special.stdtrit(len(logs) - 1, 1 - alpha / 2)) * logs.std(ddof=1) / np.sqrt(len(logs))
        low, high = float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach))
        if (np.log(self.start / self.end[0]) <= 0).any():  # no progress, of which shares could be told
            return Bounded(None, None, None)
        below, above = bool((at == 0).any()), bool((at == _PLACES - 1).any())
        value = None if below or above else float(np.exp(logs.mean()))
        return Bounded(value, None if below else low, None if above else high)
