"""The few runs that would tell most where runs are too few for a fitted surface."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from batchlaw.claims.arrangement import Arrangement
from batchlaw.claims.bests import Best
from batchlaw.stats.fitted_surface import FEWEST_LEVELS, FEWEST_RUNS
from batchlaw.stats.surface import Floats

_SMALLEST, _LARGEST = 1.5, 4.0  # factor between a rate at an edge and the next one (assumption)
_RATES = 4  # learning rates at a batch size, for an optimum inside
_USUAL = 2.0
_MOST_TOLD = 8


@dataclass(frozen=True)
class Further:
    """A run that is not there."""

    lr: float
    batch_size: float
    why: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON and tables."""
        return asdict(self)


def further_runs(tried: Arrangement, by_size: Sequence[Best], maximize: bool) -> list[Further]:
    """The runs that would make a fitted surface, the most telling first.

    First beyond the edges at which best rates lie, from the best score down; then around rates that were the only ones
    at their batch size; then combinations that were left out, near the best rates; then further batch sizes.

    Args:
        tried: the runs.
        by_size: the best rate at each batch size.
        maximize: whether large scores are good.
    """
    if tried.kind == "one setting":
        return _around(tried)
    step = _step(tried)
    told = [best for best in by_size if best.best is not None and best.score is not None]
    told.sort(key=lambda best: (best.score or 0.0) * (-1 if maximize else 1))
    found: dict[tuple[float, float], Further] = {}
    there = {(float(rate), float(size)) for rate, size in tried.cells}

    def add(rate: float, size: float, why: str) -> None:
        key = float(f"{rate:.3g}"), size
        if not any(abs(key[0] / r - 1) < 0.02 and size == s for r, s in there):
            found.setdefault(key, Further(*key, why))

    for best in told:
        assert best.best is not None
        if best.at_edge:
            factor = step if best.edge == "highest" else 1 / step
            add(best.best * factor, best.value, f"the {best.edge} rate tried there is the best")
    ends = [best for best in told if best.edge == "only"]
    ends.sort(key=lambda best: -abs(np.log2(best.value) - np.log2(tried.sizes).mean()))  # the ends tell most
    for best in ends:
        assert best.best is not None
        for factor in (2 * step, 1 / (2 * step)) if step < _USUAL else (step, 1 / step):
            add(best.best * factor, best.value, "only one rate was tried there")
    for best in told:
        assert best.best is not None
        near = tried.rates[np.abs(np.log2(tried.rates / best.best)).argsort()[: _RATES + 1]]
        if len(near) <= 2 * _RATES and len(tried.levels_at("batch_size", best.value)) < _RATES:
            for rate in near:
                add(float(rate), best.value, "tried at other batch sizes only")
    if len(tried.sizes) < FEWEST_LEVELS and told:
        rates = tried.rates if len(tried.rates) <= _RATES else _spread(tried.rates, _RATES)
        for size in _new_sizes(tried.sizes):
            for rate in rates:
                add(float(rate), size, "a batch size that was not tried")
    return list(found.values())


def n_lacking(tried: Arrangement, runs: Sequence[Further]) -> int:
    """How many further runs make a fitted surface, roughly."""
    stable = ~tried.runs.diverged
    n = len(np.unique(np.stack([tried.runs.lr[stable], tried.runs.batch_size[stable]]), axis=1).T)
    edges = sum("is the best" in run.why or "only one rate" in run.why for run in runs)
    return max(FEWEST_RUNS - n, min(edges, FEWEST_RUNS), 1)


def sentence(runs: Sequence[Further], n_lacking: int) -> str | None:
    """What to run, in words; None where nothing is known to tell more."""
    if not runs:
        return None
    first = runs[0]
    told = [f"learning rate {first.lr:.3g} at batch size {first.batch_size:g}, as {first.why}"]
    others = [f"{run.lr:.3g} at {run.batch_size:g}" for run in runs[1 : min(_MOST_TOLD, n_lacking)]]
    if others:
        told.append(f"then {', '.join(others)}")
    many = "one run more" if n_lacking == 1 else f"about {n_lacking} runs more"
    return "; ".join(told) + f"; {many} may carry a fitted surface"


def _step(tried: Arrangement) -> float:
    """The usual ratio of neighbouring rates at a batch size."""
    ratios = [
        np.diff(np.log2(levels)) for size in tried.sizes if len(levels := tried.levels_at("batch_size", size)) > 1
    ]
    if not ratios:
        return _USUAL
    return float(np.clip(2 ** np.median(np.concatenate(ratios)), _SMALLEST, _LARGEST))


def _around(tried: Arrangement) -> list[Further]:
    rate, size = tried.cells[0]
    why = "one learning rate and batch size were tried"
    places = [(rate * x, size * y) for y in (1, 4, 0.25) for x in (2, 0.5, 4, 0.25) if size * y >= 1]
    return [Further(float(f"{x:.3g}"), float(max(round(y), 1)), why) for x, y in places]


def _new_sizes(sizes: Floats) -> list[float]:
    """Batch sizes beside those tried."""
    factor = 4.0 if len(sizes) == 1 else max(float(sizes[-1] / sizes[0]), 2.0)
    above, below = float(sizes[-1]) * factor, float(round(sizes[0] / factor))
    return [above, below] if below >= 1 and below < sizes[0] else [above, above * factor]


def _spread(values: Floats, n: int) -> Floats:
    return np.asarray(values[np.unique(np.linspace(0, len(values) - 1, n).round().astype(int))])
