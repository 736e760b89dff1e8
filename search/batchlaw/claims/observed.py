"""What runs show that are too few for a verdict: described, and not judged."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.arrangement import Arrangement
from batchlaw.claims.bests import Best, bests_of, edges
from batchlaw.claims.confounding import moving, without_effect
from batchlaw.claims.course import course
from batchlaw.claims.further import Further, further_runs, n_lacking, sentence
from batchlaw.claims.scattered import RaggedTable, known_names, within_blocks
from batchlaw.claims.selection import is_sampled
from batchlaw.results.plain import name_of
from batchlaw.stats.scattered import Scattered
from batchlaw.tables import names
from batchlaw.tables.columns import FACTORS, KnownColumns

_COLUMNS = ("given", "value", "best", "edge", "n_tried", "n_diverged", "score", "n_runs")
_MOST_BLOCKS, _FEWEST_OF_A_BLOCK = 8, 4  # that are described apart, and the runs of each on average
_MOST_LISTED = 12
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
        score: the name of the score.
        runs: those of the part that is told of in full; None where none has a score.
        of: what tells that part from others, in brackets; empty where it is the only one.
        drawn: the best rate tried at each of its batch sizes.
        unapplied: whether a factor has no effect over decades, so that it may not have been applied.
    """

    kind: str
    n_runs: int
    bests: tuple[tuple[dict[str, Any], Best], ...]
    sentences: tuple[str, ...]
    further: tuple[Further, ...]
    advice: str | None
    unapplied: bool = False
    score: str = "score"
    runs: Scattered | None = None
    of: str = ""
    drawn: tuple[Best, ...] = ()

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
    known = sorted(known_names(columns))
    there = found.runs.diverged | np.isfinite(found.runs.scores)
    runs, rows = found.runs.at(there), table[there]
    if not len(runs.lr) or runs.diverged.all():
        why = "every run diverged" if len(runs.lr) else "no run has a score"
        return Observed("no grid", len(runs.lr), (), (why,), (), None)
    sampled = is_sampled(rows, columns)
    parts, told = _parts(found, runs)
    tried = {number: Arrangement(own, sampled, columns.untold) for number, (_, own) in parts.items()}
    # Where there are several parts, the largest is told of in full.
    levels, _ = parts[main := max(tried, key=lambda number: len(tried[number].runs.lr))]
    whole, of = tried[main], name_of(levels)
    told += [f"{of}: {each}" if of else each for each in whole.sentences()]
    bests = [
        (levels, best) for number, (levels, _) in parts.items() for best in _bests(tried[number], columns.maximize)
    ]
    if whole.kind == "trials":
        told += [_best_trial(tried[number], columns, name_of(levels)) for number, (levels, _) in parts.items()]
    elif whole.kind not in ("one rate a batch size", "no learning rate told"):
        for given in ("batch_size", "lr"):
            told += edges([(levels, best) for levels, best in bests if best.given == given])
        told += _ratio([best for own, best in bests if own == levels and best.given == "batch_size"])
        told += course(
            [(tried[number], bests_of(tried[number].runs, "batch_size", columns.maximize)) for number in parts]
        )
    one_rate = whole.kind in ("one rate a batch size", "one learning rate", "no learning rate told")
    told_of = list(parts) if one_rate else [main]
    for number in told_of:
        named = name_of(parts[number][0])
        told += _cost(tried[number], columns, f" ({named})" if named else "")
    if found.loose:
        named, verb = " and ".join(found.loose), "differs" if len(found.loose) == 1 else "differ"
        told.append(f"{named} {verb} from run to run, too, and nothing held that fixed: its effect counts as noise")
    unapplied = without_effect(whole.runs)
    told += [*moving(rows, runs, known), *unapplied]
    further: list[Further] = []
    if whole.kind != "trials" and not unapplied and columns.untold is None:
        further = further_runs(whole, bests_of(whole.runs, "batch_size", columns.maximize), columns.maximize)
    advice = sentence(further, n_lacking(whole, further)) if further else None
    if columns.untold is not None:
        advice = f"the {FACTORS[columns.untold]} of each run, in a column of its own"
    if unapplied:
        advice = (
            "no effect shows that any sensible number of runs would settle: first a look at whether the factor is "
            "applied in training"
        )
    return Observed(
        whole.kind, len(runs.lr), tuple(bests), tuple(dict.fromkeys(told)), tuple(further), advice, bool(unapplied),
        columns.score[0], whole.runs, f" ({of})" if of else "",
        tuple(bests_of(whole.runs, "batch_size", columns.maximize)),
    )  # fmt: skip


def _parts(found: RaggedTable, runs: Scattered) -> tuple[dict[int, tuple[dict[str, Any], Scattered]], list[str]]:
    """The runs that are described by themselves, with the levels of other factors, and what was done about these.

    Blocks are described one by one, or, where they are many or small, together by scores less their block's effect.
    """
    blocks = np.unique(runs.block).tolist()
    if not found.factors or len(blocks) == 1:
        return {0: ({}, runs)}, []
    named, verb = " and ".join(found.factors), "differs" if len(found.factors) == 1 else "differ"
    if len(blocks) <= _MOST_BLOCKS and len(runs.lr) >= _FEWEST_OF_A_BLOCK * len(blocks):
        told = f"{len(runs.lr)} runs, in which {named} {verb}, too: described within each of {len(blocks)} combinations"
        return {number: (found.blocks[number], runs.at(runs.block == number)) for number in blocks}, [told]
    if (within := within_blocks(runs)) is not None:
        told = f"{named} {verb}, too: of a score the mean effect of its one of {len(blocks)} combinations is taken"
        return {0: ({}, within)}, [told]
    return {0: ({}, runs)}, [
        f"{named} {verb}, too, and nothing held that fixed: what looks like an effect may be that of {named}"
    ]


def _bests(tried: Arrangement, maximize: bool) -> list[Best]:
    """The bests of runs that differ in nothing else, where there is something to compare or to list."""
    by_size = bests_of(tried.runs, "batch_size", maximize)
    if tried.untold == "lr":
        return [replace(best, best=None, edge=None) for best in by_size]
    if tried.untold == "batch_size":
        return [replace(best, value=np.nan) for best in by_size]
    by_rate = bests_of(tried.runs, "lr", maximize)
    if tried.kind == "trials":
        return by_size if len(tried.sizes) <= _MOST_BLOCKS else []
    if tried.kind == "one rate a batch size":
        return by_size
    found = by_size if len(tried.rates) > 1 or tried.kind == "one learning rate" else []
    return found + (by_rate if any(best.n_tried > 1 for best in by_rate) else [])


def _ratio(by_size: list[Best]) -> list[str]:
    """Of two batch sizes, by what factor their best rates differ."""
    told = [best for best in by_size if best.best is not None and best.edge != "only"]
    if len(by_size) != 2 or len(told) != 2:
        return []
    small, large = told
    assert small.best is not None and large.best is not None
    times = large.best / small.best
    if times == 1:
        return [f"the best rate tried is the same at batch sizes {small.value:g} and {large.value:g}"]
    return [
        f"the best rate tried at batch size {large.value:g} is {times:.3g} times that at "
        f"{small.value:g}, for {large.value / small.value:.3g} times the batch size"
    ]


def _best_trial(tried: Arrangement, columns: KnownColumns, of: str) -> str:
    scores = np.where(tried.runs.diverged, -np.inf, tried.runs.scores)
    at = int(scores.argmax())
    score = scores[at] if columns.maximize else -scores[at]
    return (
        f"{of}{': ' if of else ''}the best trial has learning rate {tried.runs.lr[at]:.3g} and batch size "
        f"{tried.runs.batch_size[at]:g}, {columns.score[0]} {score:.4g}"
    )


def _cost(tried: Arrangement, columns: KnownColumns, of: str) -> list[str]:
    """How the score, or what it takes to converge, changes with the batch size; `of` names the part that is told.

    Batch sizes are compared at their best rates only where as many were tried at each; of one factor at a time, at the
    one rate that they share.
    """
    if len(tried.sizes) < 2 or tried.kind == "trials":
        return []
    runs, rate = tried.runs, ""
    if tried.center is not None and tried.kind == "one factor at a time":
        runs, rate = runs.at(runs.lr == tried.center[0]), f" at learning rate {tried.center[0]:.4g}"
    told = [best for best in bests_of(runs, "batch_size", columns.maximize) if best.score is not None]
    if len(told) < 2:
        return []
    counts = [best.n_tried for best in told]
    if max(counts) > 1:
        rate = " at the best rate tried" + (
            "" if min(counts) == max(counts) else f", of {min(counts)} to {max(counts)}"
        )
    name = columns.score[0] if len(columns.score) == 1 else f"mean of {columns.score[0]} … {columns.score[-1]}"
    first, last = told[0], told[-1]
    assert first.score is not None and last.score is not None
    listed = ", ".join(f"{_shown(best.score)} at B = {_shown(best.value)}" for best in told[:_MOST_LISTED])
    sentences = [f"{name}{rate}{of}: {listed}"]
    words = set(names.words_of(columns.score[0]))
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


def _shown(value: float | None) -> str:
    """A number in at most five digits, or as many as stand before its point."""
    assert value is not None
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}"


def _growth(times: float, larger: float) -> str:
    size = f"for {larger:.3g} times the batch size"
    if times > _CHEAPER:
        return f"{times:.2g} times as many {size}"
    return f"{1 / times:.2g} times fewer {size}" if times < 1 / _CHEAPER else f"as many {size}"
