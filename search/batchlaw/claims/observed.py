"""What runs show that are too few for a verdict: described, and not judged."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.arrangement import Arrangement
from batchlaw.claims.bests import Best, bests_of, edges
from batchlaw.claims.confounding import moving, without_effect
from batchlaw.claims.further import Further, further_runs, n_lacking, sentence
from batchlaw.claims.scattered import RaggedTable
from batchlaw.claims.selection import is_sampled
from batchlaw.stats.scattered import Scattered
from batchlaw.tables import names
from batchlaw.tables.columns import KnownColumns

_COLUMNS = ("given", "value", "best", "edge", "n_tried", "n_diverged", "score", "n_runs")
_MOST_BLOCKS, _FEWEST_OF_A_BLOCK = 8, 4  # that are described apart, and the runs of each on average
_CHEAPER = 1.05  # factor below which costs at two batch sizes are the same, for a sentence


@dataclass(frozen=True, eq=False)
class Observed:
    """What was seen, with no model: the best of those tried, and how far they go.

    Attributes:
        kind: how the runs lie, such as "grid" or "trials"; see `arrangement.Kind`.
        n_runs: with a score, or diverged.
        bests: the best level tried of one factor at each level of the other, with what was held fixed.
        sentences: what they say and what they cannot, for people.
        further: runs that would tell more, the most telling first.
        advice: the same in words, with how many would carry a fitted surface; None where none are known.
    """

    kind: str
    n_runs: int
    bests: tuple[tuple[dict[str, Any], Best], ...]
    sentences: tuple[str, ...]
    further: tuple[Further, ...]
    advice: str | None

    @property
    def table(self) -> pd.DataFrame:
        """The bests, a row each; the levels that were held fixed stand in columns before the others."""
        rows = [levels | best.as_dict() for levels, best in self.bests]
        fixed = tuple(dict.fromkeys(name for levels, _ in self.bests for name in levels))
        frame = pd.DataFrame(rows, columns=[*fixed, *_COLUMNS])
        return frame.astype({"best": float, "score": float})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "n_runs": self.n_runs,
            "best": [levels | best.as_dict() for levels, best in self.bests],
            "sentences": list(self.sentences),
            "advice": self.advice,
            "further": [run.as_dict() for run in self.further],
        }


def observe(table: pd.DataFrame, found: RaggedTable, columns: KnownColumns) -> Observed:
    """Describe the runs of a table.

    Args:
        table: the rows, as read.
        found: the same rows as arrays, with the factors that part them.
        columns: what the columns mean.
    """
    known = [name for several in columns.named.values() for name in several]
    there = found.runs.diverged | np.isfinite(found.runs.scores)
    runs, rows = found.runs.at(there), table[there]
    if not len(runs.lr) or runs.diverged.all():
        why = "every run diverged" if len(runs.lr) else "no run has a score"
        return Observed("no grid", len(runs.lr), (), (why,), (), None)
    sampled = is_sampled(table)
    whole = Arrangement(runs, sampled)
    told = whole.sentences()
    bests: list[tuple[dict[str, Any], Best]] = []
    apart = _apart(found, runs)
    if found.factors and not apart:
        named = " and ".join(found.factors)
        told.append(f"{named} {'differs' if len(found.factors) == 1 else 'differ'}, too, and nothing held them fixed")
    further: list[Further] = []
    for number, levels in apart.items():
        own = runs.at(runs.block == number) if apart and found.factors else runs
        name = name_of(levels)
        more, by_size = _described(Arrangement(own, sampled), columns)
        told += [f"{name}: {each}" if name else each for each in more]
        bests += [(levels, best) for best in by_size]
    if not apart:
        more, by_size = _described(whole, columns)
        told += more
        bests += [({}, best) for best in by_size]
    main = whole
    if apart and found.factors:  # runs are advised in the largest part
        largest = max(apart, key=lambda number: int((runs.block == number).sum()))
        main = Arrangement(runs.at(runs.block == largest), sampled)
    told += _cost(main, columns, f" ({name_of(apart[largest])})" if main is not whole else "")
    told += [*moving(rows, runs, known), *without_effect(main.runs)]
    by_size_of_main = bests_of(main.runs, "batch_size", columns.maximize)
    if whole.kind != "trials":
        further = further_runs(main, by_size_of_main, columns.maximize)
    advice = sentence(further, n_lacking(main, further)) if further else None
    return Observed(whole.kind, len(runs.lr), tuple(bests), tuple(dict.fromkeys(told)), tuple(further), advice)


def name_of(levels: dict[str, Any]) -> str:
    """Such as "optimizer adam, depth 2"."""
    return ", ".join(f"{key} {value}" for key, value in levels.items())


def _apart(found: RaggedTable, runs: Scattered) -> dict[int, dict[str, Any]]:
    """The blocks that are described one by one; none where they are many or small."""
    blocks = {number: found.blocks[number] for number in np.unique(runs.block).tolist()}
    few = len(blocks) <= _MOST_BLOCKS and len(runs.lr) >= _FEWEST_OF_A_BLOCK * len(blocks)
    return blocks if few else {}


def _described(tried: Arrangement, columns: KnownColumns) -> tuple[list[str], list[Best]]:
    """The bests of runs that differ in nothing else, and where they lie."""
    told, bests = [], []
    if len(tried.rates) > 1 and tried.kind not in ("one rate a batch size", "trials"):
        by_size = bests_of(tried.runs, "batch_size", columns.maximize)
        bests += by_size
        told += edges(by_size)
        told += _ratio(by_size)
    elif tried.kind in ("one rate a batch size", "one learning rate"):
        bests += bests_of(tried.runs, "batch_size", columns.maximize)
    if len(tried.sizes) > 1 and tried.kind not in ("one rate a batch size", "trials"):
        by_rate = bests_of(tried.runs, "lr", columns.maximize)
        if any(best.n_tried > 1 for best in by_rate):
            bests += by_rate
            told += edges([best for best in by_rate if best.n_tried > 1])
    if tried.kind == "trials":
        told.append(_best_trial(tried, columns))
        if len(tried.sizes) <= _MOST_BLOCKS:
            bests += bests_of(tried.runs, "batch_size", columns.maximize)
    return told, bests


def _ratio(by_size: list[Best]) -> list[str]:
    """Of two batch sizes, by what factor their best rates differ."""
    told = [best for best in by_size if best.best is not None and best.edge != "only"]
    if len(by_size) != 2 or len(told) != 2:
        return []
    small, large = told
    assert small.best is not None and large.best is not None
    return [
        f"the best rate tried at batch size {large.value:g} is {large.best / small.best:.3g} times that at "
        f"{small.value:g}, for {large.value / small.value:.3g} times the batch size"
    ]


def _best_trial(tried: Arrangement, columns: KnownColumns) -> str:
    scores = np.where(tried.runs.diverged, -np.inf, tried.runs.scores)
    at = int(scores.argmax())
    score = scores[at] if columns.maximize else -scores[at]
    return (
        f"the best trial has learning rate {tried.runs.lr[at]:.3g} and batch size {tried.runs.batch_size[at]:g}, "
        f"{columns.score[0]} {score:.4g}"
    )


def _cost(tried: Arrangement, columns: KnownColumns, of: str) -> list[str]:
    """How the score, or what it takes to converge, changes with the batch size; `of` names the part that is told."""
    if len(tried.sizes) < 2:
        return []
    told = [best for best in bests_of(tried.runs, "batch_size", columns.maximize) if best.score is not None]
    if len(told) < 2 or tried.kind == "trials":
        return []
    name = columns.score[0]
    rate = "" if all(best.n_tried == 1 for best in told) else " at the best rate tried"
    first, last = told[0], told[-1]
    assert first.score is not None and last.score is not None
    listed = ", ".join(f"{best.score:.6g} at B = {best.value:g}" for best in told[:12])
    sentences = [f"{name}{rate}{of}: {listed}"]
    words = set(names.words_of(name))
    is_cost = bool(words & {"samples", "examples", "steps", "epochs", "tokens", "updates", "iterations", "sequences"})
    if is_cost and first.score > 0 and last.score > 0:
        times, larger = last.score / first.score, last.value / first.value
        sentences.append(_growth(times, larger))
        if words & {"samples", "examples", "sequences"}:
            sentences.append(
                f"that is {first.score / first.value:.0f} steps at B = {first.value:g} and "
                f"{last.score / last.value:.0f} at B = {last.value:g}, {larger / times:.2g} times fewer"
            )
        elif words & {"steps", "updates", "iterations"}:
            sentences.append(f"in examples it takes {times * larger:.2g} times as many")
    return sentences


def _growth(times: float, larger: float) -> str:
    size = f"for {larger:.3g} times the batch size"
    if times > _CHEAPER:
        return f"{times:.2g} times as many {size}"
    return f"{1 / times:.2g} times fewer {size}" if times < 1 / _CHEAPER else f"as many {size}"
