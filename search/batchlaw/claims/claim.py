"""A judged claim: the public result, of a table of runs or of a stored designed study."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import name_of, plain
from batchlaw.spec.arms import Direction

if TYPE_CHECKING:  # pandas, SciPy and the database, which `import batchlaw` does without
    import pandas as pd

    from batchlaw.claims.designed import Block
    from batchlaw.claims.observed import Observed
    from batchlaw.claims.pooled import PooledFinding
    from batchlaw.claims.verdict import Finding, Grade, Verdict

_POOLED = "pooled"  # in the place of a group's name
_LEVELS = ("given", "value", "best", "low", "high", "status")
_TOLD = (
    "title", "grade", "hypothesis", "statement", "verdict", "slope", "low", "high", "reason", "settles", "notes",
    "read",
)  # fmt: skip
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
        grade: of the evidence. "designed": a designed study; "replicated": a table of runs with several seeds;
            "fitted": single runs, through which a smooth surface was fitted; "observed": too few runs for these, which
            are described and not judged. Of several groups the weakest that has a part in the verdict.
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
        descriptions: what the runs of each part of a table without replicates show, in words and as the best of those
            tried; may change between versions.
        blocks: the findings with their evidence, for figures and reports; may change between versions.
    """

    title: str
    question: str
    score: str
    direction: Direction
    grade: "Grade"
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
    descriptions: "tuple[tuple[dict[str, Any], Observed], ...]" = ()
    blocks: "tuple[Block, ...]"

    @property
    def levels(self) -> "pd.DataFrame":
        """The best level at each given level, a row each.

        Columns:
            given: the given factor: "lr" (the best is a batch size) or "batch_size" (the best is a learning rate);
                of hypotheses on other factors "train_size" or "inverse_damping" (the best is a batch size); of H22
                "batch_size" (the best is a weight decay).
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
            for given, side in ((evidence.given, evidence.forward), ("batch_size", evidence.reverse)):
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
        return _frame([row | {"grade": row["grade"] or self.grade} for row in rows], self._strata, _VERDICTS)

    @property
    def observed(self) -> "pd.DataFrame":
        """The best that was tried, with no model, of the parts of a table without replicates; a row for each level.

        Columns: given ("lr" or "batch_size"), value (its level), best (the best level tried of the other factor), edge
        (where that lies among those tried: "lowest", "highest", "only", or None inside), n_tried, n_diverged, score,
        n_runs (with a score, there). The levels that were held fixed stand in columns before these.
        """
        import pandas as pd

        tables = [seen.table.assign(**levels) for levels, seen in self.descriptions]
        found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["given", "value", "best"])
        fixed = [name for name in self._strata if name in found]
        return found[[*fixed, *(name for name in found if name not in fixed)]]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was observed, in words; empty of a designed study or a table with replicates."""
        several = len(self.descriptions) > 1
        told = []
        for levels, seen in self.descriptions:
            named = f"{name_of(levels)}: " if several and levels else ""
            told += [f"{named}{sentence}" for sentence in seen.sentences]
        return tuple(told)

    @property
    def further(self) -> "pd.DataFrame":
        """The runs that would tell most, in this order: lr, batch_size and why; with the levels of their part."""
        import pandas as pd

        rows = [levels | run.as_dict() for levels, seen in self.descriptions for run in seen.further]
        return pd.DataFrame(rows, columns=[*self._strata, "lr", "batch_size", "why"])

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
                "observed": [{"stratum": levels, **seen.as_dict()} for levels, seen in self.descriptions],
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
            *(f"seen: {sentence}" for sentence in self.sentences),
            *([f"read: {self.read}"] if self.read else ()),
            *(f"note: {note}" for note in self.notes),
        ]


def claim_of(blocks: "list[Block]", wanted: str, grade: "Grade", **facts: Any) -> Claim:
    """The claim whose verdict is that on the wanted hypothesis, or on the first if that was not judged.

    `grade` is that of findings that do not say their own.
    """
    found: dict[str, Finding | PooledFinding] = {}
    for block in blocks:
        for column in _columns(block):
            found.setdefault(column[0].hypothesis.name, _pooled(column) if len(block) > 1 else column[0])
    main = found.get(wanted) or next(iter(found.values()))
    row = {name: value for name, value in _row(main).items() if not name.startswith("p_")}
    row["grade"] = row["grade"] or grade
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
        "slope": slope.slope if slope and not getattr(slope, "undetermined", False) else None,
        "low": slope.ci_low if slope else None,
        "high": slope.ci_high if slope else None,
        "p_value": found.p_value,
        "p_adjusted": found.p_adjusted if isinstance(found, Finding) else None,
        "grade": found.grade,
        "reason": f"{found.reason} (named after the runs)" if late else found.reason,
    }


def _frame(rows: list[dict[str, Any]], strata: Sequence[str], columns: Sequence[str]) -> "pd.DataFrame":
    """A row each; numbers that are not known are NaN."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=[*strata, *columns])
    numbers = [name for name in ("value", "best", "slope", "low", "high", "p_value", "p_adjusted") if name in columns]
    return frame.astype(dict.fromkeys(numbers, float))
