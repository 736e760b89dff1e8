"""The best level tried of one factor at each level of the other."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from batchlaw.results.plain import number
from batchlaw.stats.scattered import Factor, Scattered
from batchlaw.stats.surface import Floats

Edge = Literal["lowest", "highest", "only"]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best of the levels that were tried at one level of the given factor."""

    given: Factor
    value: float  # the level of the given factor
    best: float | None  # the best level tried of the other factor; None where no run has a score, or all have the same
    edge: Edge | None  # where it lies among those tried, those that diverged included; None: inside
    n_tried: int  # levels of the other factor
    n_diverged: int  # of these, in which every run did
    score: float | None  # the mean score there, as it was written
    n_runs: int  # with a score, there

    def as_dict(self) -> dict[str, Any]:
        """For JSON and tables."""
        return asdict(self)

    @property
    def at_edge(self) -> bool:
        """Whether a better level may lie beyond those tried."""
        return self.edge in ("lowest", "highest")


def bests_of(runs: Scattered, given: Factor, maximize: bool) -> list[Best]:
    """The best level tried at each level of the given factor, ascending.

    Args:
        runs: that have a score, or diverged; of one block.
        given: the factor at whose levels the best of the other one is told.
        maximize: whether the scores were to be maximized; else they were turned around.
    """
    fixed, other = (runs.batch_size, runs.lr) if given == "batch_size" else (runs.lr, runs.batch_size)
    sign = 1.0 if maximize else -1.0
    found = []
    for value in np.unique(fixed):
        own = fixed == value
        levels, level = np.unique(other[own], return_inverse=True)
        stable = ~runs.diverged[own]
        counts = np.bincount(level, stable, len(levels))
        total = np.bincount(level, np.where(stable, np.nan_to_num(runs.scores[own]), 0.0), len(levels))
        # A level at which some seeds diverged is not as good as one at which none did.
        partly = np.bincount(level, ~stable, len(levels)) > 0
        usable = counts > 0
        if not usable.any():
            found.append(
                Best(given=given, value=float(value), best=None, edge=None, n_tried=len(levels),
                     n_diverged=len(levels), score=None, n_runs=0)
            )  # fmt: skip
            continue
        means = np.where(usable, total / np.maximum(counts, 1), -np.inf)
        at = _innermost(np.where(partly & (usable & ~partly).any(), -np.inf, means))
        if at is None:  # all that were tried have the same score
            found.append(
                Best(given=given, value=float(value), best=None, edge=None, n_tried=len(levels), n_diverged=0,
                     score=sign * float(means[0]), n_runs=int(counts.sum()))
            )  # fmt: skip
            continue
        edge: Edge | None = None
        if len(levels) == 1:
            edge = "only"
        elif at in (0, len(levels) - 1):
            edge = "lowest" if at == 0 else "highest"
        found.append(
            Best(given=given, value=float(value), best=float(levels[at]), edge=edge, n_tried=len(levels),
                 n_diverged=int((counts == 0).sum()), score=sign * float(means[at]), n_runs=int(counts[at]))
        )  # fmt: skip
    return found


def _innermost(means: Floats) -> int | None:
    """The place of the best mean, of several that are equal the one nearest the middle; None where all are equal."""
    equal = np.flatnonzero(means == means.max())
    if 1 < len(equal) == len(means):
        return None
    return int(equal[np.abs(equal - (len(means) - 1) / 2).argmin()])


def edges(bests: Sequence[tuple[Mapping[str, Any], Best]]) -> list[str]:
    """Which bests lie at an edge of what was tried, as a sentence.

    Args:
        bests: of one given factor, with the levels of other factors that were held fixed.
    """
    told = [best for _, best in bests if best.best is not None and best.n_tried > 1]
    open_ = [best for best in told if best.at_edge]
    if not told:
        return []
    given, tuned = ("batch size", "rate") if told[0].given == "batch_size" else ("learning rate", "batch size")
    if len(told) == 1:
        best = told[0]
        at = f"the best {tuned}" + ("" if np.isnan(best.value) else f" at {given} {number(best.value)}")
        if best.at_edge:
            return [f"{at} is the {best.edge} of {best.n_tried} tried: a better one may lie beyond"]
        return [f"{at} lies inside the {best.n_tried} tried"]
    fixed = " and ".join(dict.fromkeys(name for levels, _ in bests for name in levels))
    levels = f"{given}s, counted within each {fixed}" if fixed else f"{given}s"
    if not open_:
        return [f"the best {tuned} lies inside those tried at each of {len(told)} {levels}"]
    parts = []
    for edge in ("lowest", "highest"):
        values = dict.fromkeys(f"{number(best.value)}" for best in open_ if best.edge == edge)
        if values:
            parts.append(f"the {edge} tried at {given} {_listed(list(values))}")
    return [
        f"the best {tuned} lies at an edge at {len(open_)} of {len(told)} {levels} ({'; '.join(parts)}): a better one "
        "may lie beyond"
    ]


def _listed(values: list[str]) -> str:
    shown = values if len(values) <= 4 else [*values[:3], f"… {values[-1]}"]
    return ", ".join(shown)
