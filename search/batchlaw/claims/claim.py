"""A judged claim: the public result, from a table of runs or from a stored designed study."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchlaw.errors import BatchlawError
from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import plain
from batchlaw.spec.arms import Direction

if TYPE_CHECKING:  # pandas, SciPy and the database, which `import batchlaw` does without
    import pandas as pd

    from batchlaw.claims.designed import Block
    from batchlaw.claims.pooled import PooledFinding
    from batchlaw.claims.verdict import Finding, Verdict
    from batchlaw.storage import StoredStudy

_POOLED = "pooled"  # in the place of a group's name
_LEVELS = ("given", "value", "best", "low", "high", "status")
_TOLD = (
    "title",
    "grade",
    "hypothesis",
    "statement",
    "verdict",
    "slope",
    "low",
    "high",
    "reason",
    "settles",
    "notes",
    "read",
)
_VERDICTS = ("hypothesis", "verdict", "slope", "low", "high", "p_value", "p_adjusted", "grade", "reason")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Claim:
    """A claim about batch size and learning rate, with its verdict.

    `verdict`, `slope`, `low`, `high`, `reason` and `settles` are about one hypothesis: H9, "B_opt grows in proportion
    to ε", where it was judged, else the first that was. B_opt is the best batch size at a learning rate ε. Where there
    are several groups, they are about the mean over the groups.

    Attributes:
        title: the name of the study or file.
        question: the study's.
        score: the name of the score.
        direction: "maximize" or "minimize".
        grade: "designed" for a designed study, "replicated" for a table of runs with several seeds.
        hypothesis: the name of the hypothesis, such as "H9".
        statement: what it says.
        verdict: "supported", "refuted", "no relation" or "inconclusive".
        slope: of log₂ of the best level on log₂ of the given one; None where there is none. It is the middle of its
            interval where it is only bounded, which `reason` says.
        low: the lower end of the slope's interval, or None.
        high: the upper end.
        reason: why the verdict is what it is, with the numbers that carry it.
        settles: which further runs would settle it, or None where it is settled.
        notes: sentences on runs that have no score of their own, such as those that diverged; of a table also on what
            is missing, left out or merged.
        read: which columns of a table were recognised by their names, in one line; empty where all were named.
        blocks: the findings with their evidence, for figures and reports; may change between versions.
    """

    title: str
    question: str
    score: str
    direction: Direction
    grade: Literal["designed", "replicated"]
    hypothesis: str
    statement: str
    verdict: "Verdict"
    slope: float | None
    low: float | None
    high: float | None
    reason: str
    settles: str | None
    notes: tuple[str, ...] = ()
    read: str = ""
    blocks: "tuple[Block, ...]"

    @property
    def levels(self) -> "pd.DataFrame":
        """The best level at each given level, a row each.

        Columns:
            given: the given factor: "lr" (the best is a batch size) or "batch_size" (the best is a learning rate);
                of hypotheses on other factors "train_size" or "inverse_damping" (the best is a batch size).
            value: its level.
            best: the best level of the other factor; NaN unless the status is "identified".
            low: the lower end of its confidence set; NaN where the runs set no lower bound.
            high: the upper end; NaN where the runs set no upper bound.
            status: "identified": the set has two ends, three octaves apart at most; "left_censored": the best lies
                at or below `high`; "right_censored": it lies at or above `low`; "undecided": the runs set no bound, or
                two that are further apart; "diverged": every run did; "missing": no run has a score.

        The levels of a group or of a study's further factors stand in columns before these.
        """
        rows = []
        for stratum, findings in (part for block in self.blocks for part in block):
            evidence = findings[0].evidence
            if evidence is None:
                continue
            sides = {str(evidence.given): evidence.forward, "batch_size": evidence.reverse}
            for given, side in sides.items():
                for row in side.ridge.rows("value", "best") if side else ():
                    best = row["best"] if row["status"] == "identified" else None
                    ends = {"low": row["ci_low"], "high": row["ci_high"]}
                    rows.append(stratum | {"given": given} | row | {"best": best} | ends)
        return _frame(rows, self._strata, _LEVELS)

    @property
    def verdicts(self) -> "pd.DataFrame":
        """Every verdict, a row each.

        Columns: hypothesis, verdict, slope, low, high, p_value (of equivalence with the slope that the hypothesis
        names), p_adjusted (by Holm's method, over the hypotheses judged together), grade, reason. The levels of a group
        stand in columns before these; the row of all groups together has "pooled" there.
        """
        rows = []
        for block in self.blocks:
            for column in _columns(block):
                rows += [stratum | _row(finding) for (stratum, _), finding in zip(block, column, strict=True)]
                if len(block) > 1:
                    rows.append(dict.fromkeys(block[0][0], _POOLED) | _row(_pooled(column)))
        return _frame([row | {"grade": self.grade} for row in rows], self._strata, _VERDICTS)

    @property
    def _strata(self) -> tuple[str, ...]:
        """The names of what groups or surfaces differ in."""
        return tuple(dict.fromkeys(name for block in self.blocks for stratum, _ in block for name in stratum))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the attributes, and what else the runs say, as `surfaces`, `details` and `pooled`."""
        parts = [part for block in self.blocks for part in block]
        pooled = [_pooled(column) for block in self.blocks if len(block) > 1 for column in _columns(block)]
        record: dict[str, Any] = plain(
            {name: getattr(self, name) for name in _TOLD}
            | {
                "levels": self.levels.to_dict("records"),
                "verdicts": self.verdicts.to_dict("records"),
                "surfaces": [
                    {"stratum": stratum, "given": findings[0].evidence.given, **findings[0].evidence.as_dict()}
                    for stratum, findings in parts
                    if findings[0].evidence
                ],
                "details": [
                    {"hypothesis": finding.hypothesis.name, "stratum": stratum, **finding.details}
                    for stratum, findings in parts
                    for finding in findings
                    if finding.details
                ],
                "pooled": [
                    {"hypothesis": found.hypothesis.name, **asdict(found.pooled)} for found in pooled if found.pooled
                ],
            }
        )
        return record

    def __repr__(self) -> str:
        return "\n  ".join([self._heading, *self._lines])

    def _repr_html_(self) -> str:
        return notebook_html(self._heading, self._lines, self.verdicts, self.levels)

    @property
    def _heading(self) -> str:
        slope = ""
        if self.slope is not None and self.low is not None and self.high is not None:
            slope = f", slope {self.slope:.2f} [{self.low:.2f}, {self.high:.2f}]"
        return f"Claim on {self.title}: {self.hypothesis} {self.verdict}{slope} ({self.grade})"

    @property
    def _lines(self) -> list[str]:
        settles = [f"would settle it: {self.settles}"] if self.settles else []
        return [
            f"{self.statement}; {self.reason}",
            *settles,
            *([f"read: {self.read}"] if self.read else ()),
            *(f"note: {note}" for note in self.notes),
        ]


def claim(
    data: "pd.DataFrame | str | Path",
    *,
    score: str | Sequence[str] | None = None,
    lr: str | None = None,
    batch_size: str | None = None,
    direction: str | None = None,
    seed: str | None = None,
    error: str | None = None,
    seeds: str | int | None = None,
    tokens_per_example: str | float | None = None,
    by: str | Sequence[str] | None = None,
    average: str | Sequence[str] | None = None,
    where: str | None = None,
    missing: Literal["missing", "diverged"] = "missing",
    diverged_above: float | None = None,
    diverged_below: float | None = None,
    diverged_where: str | None = None,
    epochs: Literal["last", "best"] = "last",
    format: str | None = None,
    storage: str | None = None,
    table: int | str | Sequence[int] | None = None,
    alpha: float = 0.05,
    hypothesis: str = "H9",
    bootstrap_seed: int = 0,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Claim:
    """Judge a claim on a table of runs: a grid of learning rates and batch sizes with several seeds each.

    A score is missing where a cell of a file is empty or says NA, N/A, null or none, and where a DataFrame has NaN. A
    run diverged where a file says NaN or infinity, in any spelling, and where a DataFrame has infinity. A number of
    3.4e38 or more, which some tools write in place of infinity, counts as infinity. A missing score tells nothing; a
    run that diverged is as bad as the worst that did not. Rows of runs that were pruned or have not ended are left out,
    where a column `state` or `status` tells.

    Args:
        data: a DataFrame, or the path of a file; a row a run, or a row a cell with a score column a seed.
        score: the column of the score, or several, a seed each (a list, or "a,b"); None: recognised by its name.
        lr: the column of the learning rate, or an expression over columns, such as "base_lr * sqrt(batch_size / 128)";
            None: recognised. Rates that agree to 2 % are one level.
        batch_size: the column of the batch size, in examples, or an expression; None: recognised.
        direction: "maximize" or "minimize" the score; None: told by the name of the score.
        seed: the column that names the seed of a row; None: a column that is called so. Without one repeated rows are
            independent runs.
        error: the column of the standard error of the score, where a score is a mean.
        seeds: how many seeds a score is the mean of: a number, or the column that says so.
        tokens_per_example: a number or a column; batch sizes are then told in tokens.
        by: a column, or several; each of their levels is judged by itself, and the slopes are pooled.
        average: a column, or several, over whose levels a score is averaged, such as the weight decay. Rows of one cell
            and seed may differ in no other hyperparameter.
        where: an expression for the rows to keep, such as "depth == 2 and alpha < 1e-3". A name with blanks or slashes
            stands in backticks, text in single quotes; see `batchlaw.expressions`.
        missing: "diverged" takes the missing scores of rows as those of runs that diverged.
        diverged_above: runs with a score above this number diverged; of a score to minimize.
        diverged_below: runs with a score below this number diverged; of a score to maximize.
        diverged_where: an expression for the rows of runs that diverged, such as "grad_norm > 1e4".
        epochs: of several rows of one run, a row an epoch, the "last" counts, or the "best".
        format: of the file, such as "csv" or "wandb"; None: told by its content.
        storage: of a store: the database of "optuna:STUDY", the tracking URI of "mlflow:EXPERIMENT".
        table: the number of the table in a page or workbook, from 1, or several.
        alpha: one less the confidence of every interval, and the level of every test.
        hypothesis: the one to judge; `batchlaw claim --list` shows them.
        bootstrap_seed: 0 or more; it changes nothing here, since no hypothesis on a table is judged by bootstraps.
        track: wraps the list of groups, to show progress, as `tqdm.tqdm` does.

    Raises:
        DataError: the file cannot be read, a column is missing, or the grid has too few levels or no replicates.
        BatchlawError: an argument has a value that cannot be used.

    >>> import numpy as np, pandas as pd
    >>> cells = [(2.0**i, 2.0**j, s) for i in range(-8, 0) for j in range(2, 10) for s in range(5)]
    >>> runs = pd.DataFrame(cells, columns=["lr", "batch_size", "seed"])
    >>> far = np.log2(runs.batch_size) - np.log2(runs.lr) - 10  # the best batch size is 1024 × lr
    >>> runs["loss"] = 1 + 0.1 * far**2 + 0.01 * np.random.default_rng(0).normal(size=len(runs))
    >>> found = claim(runs, score="loss", direction="minimize", seed="seed")
    >>> found.verdict, round(found.slope, 1)
    ('supported', 1.0)
    """
    from batchlaw.claims.evidence import gather
    from batchlaw.claims.hypotheses import OF_A_TABLE, hypothesis_named
    from batchlaw.claims.tables import surfaces_of
    from batchlaw.claims.verdict import judge
    from batchlaw.tables.columns import Columns, check_statistics
    from batchlaw.tables.reading import read_runs

    name = hypothesis_named(hypothesis).name
    if name not in OF_A_TABLE:
        raise BatchlawError(f"a table can be judged on {', '.join(OF_A_TABLE)}", argument="hypothesis", got=hypothesis)
    check_statistics(alpha, bootstrap_seed)
    asked = Columns.of(
        lr=lr, batch_size=batch_size, score=score, seed=seed, error=error, seeds=seeds,
        tokens_per_example=tokens_per_example, by=by, average=average, direction=direction, where=where,
        missing=missing, diverged_above=diverged_above, diverged_below=diverged_below, diverged_where=diverged_where,
        epochs=epochs, format=format, storage=storage, table=table,
    )  # fmt: skip
    runs = read_runs(data, asked)
    parts, notes = surfaces_of(runs)
    block = [
        (group, judge(gather(surface, seed=bootstrap_seed, alpha=alpha), [name], alpha=alpha))
        for group, surface in track(parts)
    ]
    return _claim(
        [block], name, title=runs.title, question="", score="score", grade="replicated",
        direction="maximize" if runs.columns.maximize else "minimize", notes=notes, read=runs.columns.recognised,
    )  # fmt: skip


def claim_of_study(stored: "StoredStudy", hypothesis: str | None = None, *, bootstrap_seed: int = 0) -> Claim:
    """Judge the hypotheses of a designed study, or one that is named after its runs.

    Args:
        stored: the study.
        hypothesis: one to judge in place of the study's own.
        bootstrap_seed: of the bootstraps over seeds that H5, H13 and H17 are judged by, 0 or more.

    Raises:
        StudyError: the study was searched, or has cells without a result.
        SpecError: the hypothesis needs levels that the study does not have.
        BatchlawError: there is no such hypothesis.
    """
    from batchlaw.claims.designed import findings_of
    from batchlaw.claims.hypotheses import hypothesis_named
    from batchlaw.claims.notes import notes_of
    from batchlaw.results.records import known_trials

    spec = stored.spec
    named = hypothesis_named(hypothesis).name if hypothesis else None
    known = known_trials(stored)
    blocks = findings_of(stored, [named] if named else None, bootstrap_seed, known)
    return _claim(
        blocks, named or "H9", title=spec.name, question=spec.purpose, score=spec.arm.metric, grade="designed",
        direction=spec.direction, notes=notes_of(spec, known.records),
    )  # fmt: skip


def _claim(blocks: "list[Block]", wanted: str, **facts: Any) -> Claim:
    """The claim whose verdict is that on the wanted hypothesis, or on the first if that was not judged."""
    found: dict[str, Finding | PooledFinding] = {
        column[0].hypothesis.name: _pooled(column) if len(block) > 1 else column[0]
        for block in blocks
        for column in _columns(block)
    }
    main = found.get(wanted) or next(iter(found.values()))
    row = {name: value for name, value in _row(main).items() if not name.startswith("p_")}
    return Claim(blocks=tuple(blocks), statement=main.hypothesis.statement, settles=main.settle, **row, **facts)


def _columns(block: "Block") -> "Iterable[list[Finding]]":
    """The findings on each hypothesis, over the groups or surfaces of a block."""
    return map(list, zip(*(findings for _, findings in block), strict=True))


def _pooled(column: "list[Finding]") -> "PooledFinding":
    from batchlaw.claims.pooled import pool_findings  # statsmodels, which one surface does without

    return pool_findings(column)


def _row(found: "Finding | PooledFinding") -> dict[str, Any]:
    """The columns that findings and pooled ones have."""
    from batchlaw.claims.verdict import Finding

    slope = found.slope if isinstance(found, Finding) else found.pooled
    late = isinstance(found, Finding) and not found.preregistered
    return {
        "hypothesis": found.hypothesis.name,
        "verdict": found.verdict,
        "slope": slope.slope if slope else None,
        "low": slope.ci_low if slope else None,
        "high": slope.ci_high if slope else None,
        "p_value": found.p_value,
        "p_adjusted": found.p_adjusted if isinstance(found, Finding) else None,
        "reason": f"{found.reason} (named after the runs)" if late else found.reason,
    }


def _frame(rows: list[dict[str, Any]], strata: Sequence[str], columns: Sequence[str]) -> "pd.DataFrame":
    """A row each; numbers that are not known are NaN."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=[*strata, *columns])
    numbers = [name for name in ("value", "best", "slope", "low", "high", "p_value", "p_adjusted") if name in columns]
    return frame.astype(dict.fromkeys(numbers, float))
