"""Which batch size and learning rate to take, from a table of runs: as sets, at the grade that the evidence allows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.claims.bests import Best, bests_of
from batchlaw.claims.scattered import ragged
from batchlaw.errors import BatchlawError, DataError
from batchlaw.laws.law import Law
from batchlaw.laws.tables import best_score, laws_of_table, parted_for
from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import name_of, number, plain
from batchlaw.stats.best_rows import BestRows, of_replicates, of_surface
from batchlaw.tables import names
from batchlaw.tables.clock import Clock, clock_of, median_at
from batchlaw.tables.spelling import typed

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.claims.parted import PartedTable
    from batchlaw.claims.strata import Stratum
    from batchlaw.claims.verdict import Grade

_MOST_NAMED = 8  # batch sizes that a line names


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A batch size with its best learning rate.

    Attributes:
        batch_size: in the unit of the runs; None where no column tells it.
        lr: the best learning rate, by the runs that were tried where the grade is "observed"; None where no column
            tells it, or every run diverged.
        low: the lower end of its confidence set; None where the runs set none, as where they are only observed.
        high: the upper end.
        status: of that set, as in `batchlaw.Law.levels`; of observed runs where the best lies among those tried:
            "inside", "lowest", "highest" or "only".
        score: the mean score of the runs at the best rate tried; None where a surface alone tells.
        standard_error: of the score, over seeds; None without.
        lost: the score lost against the best batch size, each at its best rate; None where nothing tells its error.
        lost_low: the lower end of its interval, which holds for all batch sizes together.
        lost_high: the upper end.
        tied: whether it cannot be told from the best; None where the runs are only observed.
        time: of its runs, in the unit of the recommendation's clock; None where no column tells.
    """

    batch_size: float | None
    lr: float | None
    low: float | None = None
    high: float | None = None
    status: str | None = None
    score: float | None = None
    standard_error: float | None = None
    lost: float | None = None
    lost_low: float | None = None
    lost_high: float | None = None
    tied: bool | None = None
    time: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TableRecommendation:
    """Which batch size and learning rate to take, by a table of runs.

    Of the batch sizes that cannot be told from the best it takes the fastest, where a column tells how long runs took,
    else the best. Where the runs are only observed it is the best of those tried. Of a table with several strata it is
    that of the one with the best score; `strata` has them all.

    Attributes:
        title: of the table.
        stratum: what tells it from the others; empty where it is the only one.
        grade: "replicated", "fitted" or "observed".
        chosen: the one to take.
        choices: one for each batch size, in their order.
        clock: the column that tells how long runs took, and the unit: "seconds" or "steps"; None where none does.
        guide: why its sets are a guide and no test, as a clause; None where seeds tell.
        score: the name of the score.
        strata: the recommendation of every stratum.
        notes: sentences on what is missing, diverged, left out or merged.
        read: what was recognised, in one line.
    """

    title: str
    stratum: dict[str, Any]
    grade: "Grade"
    chosen: Choice
    choices: tuple[Choice, ...]
    clock: tuple[str, str] | None
    guide: str | None
    score: str
    strata: tuple["TableRecommendation", ...] = ()
    notes: tuple[str, ...] = ()
    read: str = ""

    @property
    def name(self) -> str:
        """The stratum, for people."""
        return name_of(self.stratum)

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each batch size, with the fields of `Choice`."""
        import pandas as pd

        return pd.DataFrame([asdict(choice) for choice in self.choices])

    def lines(self) -> list[str]:
        """What it says, for people."""
        chosen, told = self.chosen, []
        tied = [number(each.batch_size) for each in self.choices if each.tied and each.batch_size is not None]
        if self.grade == "observed":
            told.append(f"the best of those tried; nothing tells how much better it is{self._edge}")
            same = [number(each.batch_size) for each in self.choices if each.score == chosen.score and each.batch_size]
            if len(same) > 1:
                told.append(f"{chosen.score:.4g} is the score at each of batch sizes {', '.join(same[:_MOST_NAMED])}")
        elif len(tied) > 1:
            more = ", …" if len(tied) > _MOST_NAMED else ""
            what = f"batch sizes {', '.join(tied[:_MOST_NAMED])}{more} cannot be told from the best"
            faster = (
                f"; of these {number(chosen.batch_size or 0)} took the fewest {self.clock[1]}" if self.clock else ""
            )
            told.append(f"{what}, each at its best rate tried{faster}")
        else:
            told.append("no other batch size is as good at the rates that were tried there")
        if chosen.time is not None and self.clock:
            told.append(f"{chosen.time:.4g} {self.clock[1]} there, by the column {self.clock[0]} (median)")
        if names.is_cost(self.score) or {"to"} & {*names.words_of(self.score)}:
            told.append("`batchlaw critical` tells up to where larger batches pay")
        if self.guide:
            told.append(f"this is a guide and no test: {self.guide}")
        return told

    @property
    def _edge(self) -> str:
        if self.chosen.status in ("lowest", "highest"):
            return f", and its rate is the {self.chosen.status} tried there, so that a better one may lie beyond"
        return ", and its rate is the only one tried there" if self.chosen.status == "only" else ""

    @property
    def heading(self) -> str:
        """The choice in one line."""
        size, rate = self.chosen.batch_size, self.chosen.lr
        ends = f" [{self.chosen.low:.3g}, {self.chosen.high:.3g}]" if self.chosen.low and self.chosen.high else ""
        parts = [
            *([] if size is None else [f"batch size {number(size)}"]),
            *([] if rate is None else [f"learning rate {rate:.3g}{ends}"]),
        ]
        return f"{', '.join(filter(None, (self.title, self.name)))}: {', '.join(parts)} ({self.grade})"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told_of = ("title", "stratum", "grade", "score", "guide", "notes", "read")
        record = {name: getattr(self, name) for name in told_of} | {
            "chosen": asdict(self.chosen),
            "choices": [asdict(choice) for choice in self.choices],
            "clock": None if self.clock is None else dict(zip(("column", "unit"), self.clock, strict=True)),
        }
        told: dict[str, Any] = plain(record)
        return told | ({"strata": [each.as_dict() for each in self.strata]} if self.strata else {})

    def __repr__(self) -> str:
        others = [each.heading for each in self.strata if each.stratum != self.stratum]
        noted = [*([f"read: {self.read}"] if self.read else ()), *(f"note: {note}" for note in self.notes)]
        return "\n  ".join([self.heading, *self.lines(), *others, *noted])

    def _repr_html_(self) -> str:
        return notebook_html(self.heading, self.lines(), self.table)


def recommend(
    data: "pd.DataFrame | str | Path | Sequence[str | Path]",
    *,
    seconds: float | None = None,
    optimizer: str = "sgd",
    alpha: float = 0.05,
    bootstrap_seed: int = 0,
    **columns: Any,
) -> TableRecommendation:
    """Which batch size and learning rate to take, by a table of runs.

    Args:
        data: a DataFrame, or the path of a file, as for `batchlaw.law`.
        seconds: that runs may take, at most; a column must tell how long they took. None sets no limit.
        optimizer: of the runs, as for `batchlaw.law`.
        alpha: one less the confidence of every interval.
        bootstrap_seed: of the draws of optima from their sets, 0 or more.
        columns: further arguments of `batchlaw.law`, such as `lr`, `batch_size`, `score`, `direction` and `where`.

    Raises:
        DataError: the file cannot be read, or no run has a score.
        BatchlawError: an argument has a value that cannot be used, or no batch size is as fast.

    >>> import numpy as np, pandas as pd
    >>> cells = [(2.0**i, 2.0**j, s) for i in range(-10, 0) for j in range(2, 10) for s in range(5)]
    >>> runs = pd.DataFrame(cells, columns=["lr", "batch_size", "seed"])
    >>> off = np.log2(runs.lr) - 0.5 * np.log2(runs.batch_size) + 8  # the best learning rate is √batch size / 256
    >>> runs["loss"] = 1 + 0.1 * off**2 + 0.01 * np.random.default_rng(0).normal(size=len(runs))
    >>> runs["loss"] += 0.1 * (np.log2(runs.batch_size) - 6) ** 2  # and the best batch size is 64
    >>> found = recommend(runs, seed="seed")
    >>> found.chosen.batch_size, found.grade
    (64.0, 'replicated')
    """
    parted = parted_for(data, optimizer, alpha, bootstrap_seed, **columns)
    laws = laws_of_table(parted, optimizer, bootstrap_seed)
    return recommendation_of_laws(parted, laws, seconds=seconds)


def recommendation_of_laws(
    parted: "PartedTable", laws: Sequence[Law], *, seconds: float | None = None
) -> TableRecommendation:
    """The recommendation of a table that was read, by the law of each of its strata.

    Raises:
        DataError: no run has a score.
        BatchlawError: no column tells how long runs took, or no batch size is as fast.
    """
    columns = parted.runs.columns
    clock = clock_of(parted.runs.table, columns)
    if seconds is not None and (clock is None or clock.unit != "seconds"):
        raise BatchlawError("no column tells how many seconds a run took", argument="seconds", got=seconds)
    found = [
        (law, each)
        for stratum, law in zip(parted.strata, laws, strict=True)
        for each in _of_stratum(stratum, law, clock, seconds)
    ]
    if not found:
        if seconds is not None:
            raise BatchlawError("no batch size took as little", argument="seconds", got=seconds)
        raise DataError("no run has a score", argument="data")
    strata = tuple(replace(each, notes=parted.notes, read=columns.recognised) for _, each in found)
    scores = [best_score(law) if law.surface or law.smooth else -np.inf for law, _ in found]
    return replace(strata[int(np.argmax(scores))], strata=strata)


def _of_stratum(stratum: "Stratum", law: Law, clock: Clock | None, seconds: float | None) -> list[TableRecommendation]:
    """One, or of runs that are only observed one for each part that differs in other columns."""
    found = []
    for levels, choices, guide in _choices(stratum, law):
        if clock is not None:
            own = stratum.table
            for name, level in levels.items():
                own = own[typed(own[name]) == level]
            sizes = np.array([np.nan if each.batch_size is None else each.batch_size for each in choices])
            times = [_finite(time) for time in median_at(clock, own, stratum.columns, sizes)]
            choices = [replace(each, time=time) for each, time in zip(choices, times, strict=True)]
        allowed = [each for each in choices if seconds is None or (each.time is not None and each.time <= seconds)]
        if (chosen := _chosen(allowed, stratum.columns.maximize)) is None:
            continue
        told = clock is not None and any(each.time is not None for each in choices)
        found.append(
            TableRecommendation(
                title=law.title, stratum=stratum.levels | levels, grade=stratum.grade, chosen=chosen,
                choices=tuple(choices), clock=(clock.name, clock.unit) if told and clock else None, guide=guide,
                score=stratum.columns.score[0],
            )
        )  # fmt: skip
    return found


def _chosen(choices: Sequence[Choice], maximize: bool) -> Choice | None:
    """Of those that cannot be told from the best the fastest; where none is known to be tied, the best."""
    sign = 1 if maximize else -1
    tied = [each for each in choices if each.tied]
    if timed := [each for each in tied if each.time is not None]:
        return min(timed, key=lambda each: each.time or 0.0)
    if lost := [each for each in choices if each.lost is not None]:
        return min(lost, key=lambda each: each.lost or 0.0)
    scored = [each for each in choices if each.score is not None]
    return max(scored, key=lambda each: sign * (each.score or 0.0), default=None)


def _choices(stratum: "Stratum", law: Law) -> list[tuple[dict[str, Any], list[Choice], str | None]]:
    """Of each part what tells it from the others, what is known of each batch size, and why that is a guide."""
    columns = stratum.columns
    if law.surface is not None:
        rows = of_replicates(law.surface, law.alpha)
        return [({}, _with_sets(law, rows, {}, columns.maximize, seeds=True), None)]
    if law.smooth is not None and law.ridge is not None:
        runs = ragged(stratum.table, columns).runs.told
        tried = {_rounded(best.value): best for best in bests_of(runs, "batch_size", columns.maximize)}
        rows = of_surface(law.smooth, law.ridge.given, law.alpha)
        guide = law.smooth.guide or "a surface stands for seeds, and its choice of batch sizes was not calibrated"
        return [({}, _with_sets(law, rows, tried, columns.maximize, seeds=False), guide)]
    seen = stratum.observed
    parts: list[tuple[dict[str, Any], list[Choice], str | None]] = []
    for levels, best in [each for each in seen.bests if each[1].given == "batch_size"] or [
        ({}, each) for each in seen.drawn
    ]:
        if not parts or parts[-1][0] != levels:
            parts.append((levels, [], None))
        parts[-1][1].append(_observed(best, columns.untold))
    return parts


def _with_sets(law: Law, rows: BestRows, tried: dict[float, Best], maximize: bool, *, seeds: bool) -> list[Choice]:
    found = []
    for place, level in enumerate(law.levels.itertuples()):
        best = tried.get(_rounded(level.batch_size))
        lost, low, high = rows.lost[place].tolist()
        known = bool(np.isfinite(lost))
        score = None if best is None else best.score
        if seeds:
            score = float(rows.means[place] if maximize else -rows.means[place])
        found.append(
            Choice(
                batch_size=_rounded(level.batch_size),
                lr=float(level.best if level.status == "identified" else rows.tuned[place]) if known else None,
                low=_finite(level.low), high=_finite(level.high), status=level.status,
                score=_finite(score), standard_error=_finite(rows.errors[place]) if seeds else None,
                lost=_finite(lost), lost_low=_finite(low), lost_high=_finite(high),
                tied=bool(rows.tied[place]) if known else False,
            )
        )  # fmt: skip
    return found


def _observed(best: Best, untold: str | None) -> Choice:
    return Choice(
        batch_size=None if untold == "batch_size" else best.value, lr=None if untold == "lr" else best.best,
        status=None if untold == "lr" or best.best is None else best.edge or "inside", score=best.score,
    )  # fmt: skip


def _rounded(batch_size: float) -> float:
    """Without the last digits, which differ where it was a logarithm in between."""
    return float(f"{batch_size:.9g}")


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
