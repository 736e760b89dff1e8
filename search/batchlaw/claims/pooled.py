"""One verdict over several groups, such as workloads or architectures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.verdict import ENOUGH_LEVELS, Finding, Grade, Verdict, slope_verdict
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.pooling import Pooled, pool
from batchlaw.stats.slope import Slope

GRADES: tuple[Grade, ...] = get_args(Grade)  # the strongest first


@dataclass(frozen=True, eq=False)
class PooledFinding:
    """The verdict on the mean slope of the groups."""

    hypothesis: Hypothesis
    verdict: Verdict
    reason: str
    pooled: Pooled | None = None
    p_value: float | None = None  # of equivalence
    grade: Grade | None = None  # the weakest of the groups that have a part in it; None: that of the claim

    @property
    def settle(self) -> str | None:
        """Which further runs would settle it."""
        if self.verdict != "inconclusive":
            return None
        return "more groups, or more runs in these; judged by itself, a group says which"


def pool_findings(findings: list[Finding]) -> PooledFinding:
    """Judge the mean slope of groups by random effects; a hypothesis that is not about a slope, by their verdicts.

    A slope that is only bounded has no part in the mean: where in its interval it lies is not known.

    Where groups differ, the prediction interval for a new group says so.
    """
    first, n = findings[0], len(findings)
    hypothesis, margin = first.hypothesis, first.margin
    alpha = next((finding.side.alpha for finding in findings if finding.evidence is not None), 0.05)
    if hypothesis.target is None:
        counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in ("supported", "refuted")}
        reason = f"supported in {counts['supported']} and refuted in {counts['refuted']} of {n} groups"
        for verdict in ("supported", "refuted"):
            if counts[verdict] >= ENOUGH_LEVELS * n:
                return PooledFinding(hypothesis, verdict, reason, grade=_weakest(findings))
        return PooledFinding(hypothesis, "inconclusive", reason, grade=_weakest(findings))
    sloped = [finding for finding in findings if finding.slope is not None and not finding.slope.bounded]
    slopes = [finding.slope for finding in findings if finding.slope is not None and not finding.slope.bounded]
    found = pool(np.array([s.slope for s in slopes]), np.array([s.standard_error for s in slopes]), alpha)
    if found is None:
        bounded = sum(finding.slope is not None and finding.slope.bounded for finding in findings)
        more = f", {bounded} one that is only bounded" if bounded else ""
        return PooledFinding(
            hypothesis, "inconclusive", f"{len(slopes)} of {n} groups have a slope{more}; pooling needs 3",
            grade=_weakest(sloped or findings),
        )  # fmt: skip
    mean = Slope(found.slope, found.ci_low, found.ci_high, found.standard_error, found.n_groups - 1)
    p = equivalence_p(mean, hypothesis.target - margin, hypothesis.target + margin)
    verdict, reason = slope_verdict(mean, hypothesis.target, margin, p, alpha)
    predicted = f"a new group's slope lies between {found.prediction_low:.2f} and {found.prediction_high:.2f}"
    reason = f"{reason}, over {len(slopes)} of {n} groups; {predicted}"
    guide = next((finding.guide for finding in sloped if finding.guide is not None), None)
    if guide is not None:
        said = "" if verdict == "inconclusive" else f", which would be {verdict!r}"
        reason = f"{reason}; a guide{said}, and no test: {guide}"
        return PooledFinding(hypothesis, "inconclusive", reason, found, p, _weakest(sloped))
    return PooledFinding(hypothesis, verdict, reason, found, p, _weakest(sloped))


def _weakest(findings: Sequence[Finding]) -> Grade | None:
    """The weakest grade among findings; None where it is that of the claim."""
    grades = [finding.grade for finding in findings if finding.grade is not None]
    return max(grades, key=GRADES.index) if grades else None
