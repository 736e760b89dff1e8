"""One verdict over several groups, such as workloads or architectures."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from batchlaw.claims.hypotheses import MARGIN
from batchlaw.claims.verdict import Finding, Verdict, slope_verdict
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.pooling import Pooled, pool
from batchlaw.stats.slope import Slope


@dataclass(frozen=True, eq=False)
class PooledFinding:
    """The verdict on the mean slope of the groups."""

    hypothesis: str
    verdict: Verdict
    reason: str
    pooled: Pooled | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        nothing = dict.fromkeys(("slope", "ci_low", "ci_high", "prediction_low", "prediction_high"))
        return {
            "hypothesis": self.hypothesis,
            "verdict": self.verdict,
            "reason": self.reason,
            "pooled": asdict(self.pooled) if self.pooled else nothing,
        }


def pool_findings(findings: list[Finding], *, alpha: float = 0.05, margin: float = MARGIN) -> PooledFinding:
    """Random effects over the groups that have a slope; H8 is a share, which is summed.

    The verdict is about the mean. Where single groups differ, the prediction interval says so.
    """
    hypothesis = findings[0].hypothesis
    if hypothesis.target is None:
        counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in ("supported", "refuted")}
        reason = f"supported in {counts['supported']} and refuted in {counts['refuted']} of {len(findings)} groups"
        for verdict in ("supported", "refuted"):
            if counts[verdict] >= 0.8 * len(findings):
                return PooledFinding(hypothesis.name, verdict, reason, None)
        return PooledFinding(hypothesis.name, "inconclusive", reason, None)
    slopes = [finding.slope for finding in findings if finding.slope is not None]
    found = pool(np.array([s.slope for s in slopes]), np.array([s.standard_error for s in slopes]), alpha)
    if found is None:
        reason = f"{len(slopes)} of {len(findings)} groups have a slope; pooling needs 3"
        return PooledFinding(hypothesis.name, "inconclusive", reason, None)
    mean = Slope(found.slope, found.ci_low, found.ci_high, found.standard_error, found.n_groups - 1)
    p = equivalence_p(mean, hypothesis.target - margin, hypothesis.target + margin)
    verdict, reason = slope_verdict(mean, hypothesis.target, margin, p, alpha)
    predicted = f"a new group's between {found.prediction_low:.2f} and {found.prediction_high:.2f}"
    return PooledFinding(
        hypothesis.name, verdict, f"{reason}, over {len(slopes)} of {len(findings)} groups; {predicted}", found
    )
