"""From evidence to a verdict, with its reason and what would settle it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from search.claims.evidence import Direction, Evidence
from search.claims.hypotheses import CATALOGUE, MARGIN, Hypothesis
from search.stats.equivalence import equivalence_p, holm
from search.stats.slope import Slope
from search.stats.surface import Bools, Surface

Verdict = Literal["supported", "refuted", "no relation", "inconclusive"]
ENOUGH_LEVELS = 0.8  # share of learning rates that H8 asks for


@dataclass(frozen=True, eq=False)
class Finding:
    """The verdict on one hypothesis."""

    hypothesis: Hypothesis
    verdict: Verdict
    reason: str
    settle: str | None  # which further runs would settle it
    slope: Slope | None
    p_value: float | None  # of equivalence; None where a share is judged
    p_adjusted: float | None  # Holm's, over the hypotheses judged together
    evidence: Evidence

    @property
    def side(self) -> Direction:
        """The direction of the evidence that the hypothesis is about."""
        return _side(self.evidence, self.hypothesis)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "hypothesis": self.hypothesis.name,
            "statement": self.hypothesis.statement,
            "verdict": self.verdict,
            "reason": self.reason,
            "settle": self.settle,
            "slope": self.slope.slope if self.slope else None,
            "ci_low": self.slope.ci_low if self.slope else None,
            "ci_high": self.slope.ci_high if self.slope else None,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            **self.evidence.as_dict(),
        }


def judge(evidence: Evidence, names: list[str], *, alpha: float = 0.05, margin: float = MARGIN) -> list[Finding]:
    """Judge hypotheses on one surface; those about slopes share Holm's correction."""
    hypotheses = [CATALOGUE[name] for name in names]
    slopes = [_side(evidence, hypothesis).slope if hypothesis.target is not None else None for hypothesis in hypotheses]
    p_values = [
        None if slope is None or hypothesis.target is None
        else equivalence_p(slope, hypothesis.target - margin, hypothesis.target + margin)
        for slope, hypothesis in zip(slopes, hypotheses, strict=True)
    ]  # fmt: skip
    adjusted = iter(holm([p for p in p_values if p is not None]))
    findings = []
    for hypothesis, slope, p in zip(hypotheses, slopes, p_values, strict=True):
        p_adjusted = None if p is None else next(adjusted)
        side = _side(evidence, hypothesis)
        if hypothesis.target is None:
            verdict, reason, settle = _share(side, alpha)
        elif slope is None or p_adjusted is None:
            verdict, reason, settle = "inconclusive", f"{side.lack}", _what_identifies(side)
        else:
            verdict, reason = slope_verdict(slope, hypothesis.target, margin, p_adjusted, alpha)
            settle = _what_narrows(side, slope, margin) if verdict == "inconclusive" else None
        findings.append(Finding(hypothesis, verdict, reason, settle, slope, p, p_adjusted, evidence))
    return findings


def slope_verdict(slope: Slope, target: float, margin: float, p_adjusted: float, alpha: float) -> tuple[Verdict, str]:
    """Supported within the band, no relation within the band around 0, refuted outside, else inconclusive."""
    low, high = target - margin, target + margin
    shown = f"the slope is {slope.slope:.2f} [{slope.ci_low:.2f}, {slope.ci_high:.2f}]"
    if slope.ci_low >= low and slope.ci_high <= high:
        if p_adjusted <= alpha / 2:
            return "supported", f"{shown}, within [{low:g}, {high:g}]"
        return "inconclusive", f"{shown}, within [{low:g}, {high:g}], but not after Holm's correction"
    if slope.ci_low >= -margin and slope.ci_high <= margin:
        return "no relation", f"{shown}, within [{-margin:g}, {margin:g}]"
    if slope.ci_high < low or slope.ci_low > high:
        return "refuted", f"{shown}, which excludes [{low:g}, {high:g}]"
    return "inconclusive", f"{shown}, which reaches both into and out of [{low:g}, {high:g}]"


def _side(evidence: Evidence, hypothesis: Hypothesis) -> Direction:
    side: Direction = getattr(evidence, hypothesis.direction)
    return side


def _share(side: Direction, alpha: float) -> tuple[Verdict, str, str | None]:
    """H8: how many learning rates have a best batch size that the gate accepts, and how many are flat."""
    n, identified, flat = len(side.ridge.given), int(side.ridge.identified.sum()), int(_flat(side.surface, alpha).sum())
    reason = (
        f"{identified} of {n} learning rates have an identified best batch size ({sum(side.rises_then_falls)} rise and "
        f"then fall by the two-lines test), {flat} are shown flat"
    )
    if identified >= ENOUGH_LEVELS * n:
        return "supported", reason, None
    if flat >= ENOUGH_LEVELS * n:
        return "refuted", reason, None
    return "inconclusive", reason, _what_identifies(side)


def _flat(surface: Surface, alpha: float) -> Bools:
    """Levels at which every cell is equivalent to the row's mean within one seed's standard deviation."""
    n = surface.n_replicates
    sd = np.sqrt(surface.scores.var(axis=2, ddof=1).mean(axis=1))
    offset = np.abs(surface.means - surface.means.mean(axis=1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (sd[:, None] - offset) / (sd[:, None] / np.sqrt(n))
    freedom = (n - 1) * len(surface.tuned)
    # All cells must pass, an intersection of tests, which needs no correction.
    flat: Bools = np.all(np.nan_to_num(stats.t.sf(t, freedom), nan=1.0) <= alpha, axis=1)
    return flat


def _what_identifies(side: Direction) -> str:
    """Which runs would identify more optima."""
    counts = {status: side.ridge.status.count(status) for status in set(side.ridge.status)}
    lowest, highest = side.surface.tuned[0], side.surface.tuned[-1]
    advice = []
    if counts.get("left_censored"):
        advice.append(f"levels below {lowest:g}, where {counts['left_censored']} optima lie at the edge")
    if counts.get("right_censored"):
        advice.append(f"levels above {highest:g}, where {counts['right_censored']} optima lie at the edge")
    if counts.get("unidentified"):
        more = 2 * side.surface.n_replicates
        advice.append(f"more replicates, {more} or more, for the {counts['unidentified']} levels that tell no optimum")
    if not advice:
        advice.append("more levels of the given factor, over more octaves")
    return "; ".join(advice)


def _what_narrows(side: Direction, slope: Slope, margin: float) -> str:
    """How many replicates would bring the interval within the margin, if the noise stays as it is."""
    half = (slope.ci_high - slope.ci_low) / 2
    n = side.surface.n_replicates
    wanted = int(np.ceil(n * (half / (margin / 2)) ** 2))
    if wanted > n:
        return f"about {wanted} replicates instead of {n}, or levels of the given factor over more octaves"
    return "the slope lies at the border of the band: levels of the given factor over more octaves"
