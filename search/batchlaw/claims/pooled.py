"""One verdict over several groups, such as workloads or architectures."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import get_args

import numpy as np

from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.verdict import ENOUGH_LEVELS, Finding, Grade, Verdict, slope_verdict
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.pooling import Pooled, pool_slopes
from batchlaw.stats.slope import Slope

GRADES: tuple[Grade, ...] = get_args(Grade)  # the strongest first
_ENOUGH_GROUPS = 0.5  # share with a slope: fewer may be those whose slope is easily seen (assumption)


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

    A verdict on the mean needs a slope in half of the groups. Where groups differ, the prediction interval for a new
    group says so.
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
    sloped = [finding for finding in findings if finding.slope is not None]
    slopes = [finding.slope for finding in findings if finding.slope is not None]
    found = pool_slopes(slopes, alpha)
    if found is None or len(slopes) < _ENOUGH_GROUPS * n:
        fewest = max(3, ceil(_ENOUGH_GROUPS * n))
        return PooledFinding(
            hypothesis, "inconclusive", f"{len(slopes)} of {n} groups have a slope; pooling needs {fewest}",
            grade=_weakest(sloped or findings),
        )  # fmt: skip
    freedom = np.inf if found.n_bounded else found.n_groups - 1
    mean = Slope(found.slope, found.ci_low, found.ci_high, found.standard_error, freedom, found.n_bounded > 0)
    p = equivalence_p(mean, hypothesis.target - margin, hypothesis.target + margin)
    verdict, reason = slope_verdict(mean, hypothesis.target, margin, p, alpha)
    predicted = f"a new group's slope lies between {found.prediction_low:.2f} and {found.prediction_high:.2f}"
    bounded = f", {found.n_bounded} of which only bound it" if found.n_bounded else ""
    reason = f"{reason}, over {len(slopes)} of {n} groups{bounded}; {predicted}"
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
