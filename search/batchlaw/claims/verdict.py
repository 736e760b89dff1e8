"""From evidence to a verdict, with its reason and what would settle it."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import special

from batchlaw.claims.evidence import Direction, Evidence
from batchlaw.claims.hypotheses import CATALOGUE, MARGIN, Hypothesis
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.holm import holm
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Surface

Verdict = Literal["supported", "refuted", "no relation", "inconclusive"]
ENOUGH_LEVELS = 0.8  # share of levels that must have an optimum


@dataclass(frozen=True, eq=False)
class Finding:
    """The verdict on one hypothesis."""

    hypothesis: Hypothesis
    verdict: Verdict
    reason: str
    settle: str | None = None  # which further runs would settle it
    slope: Slope | None = None
    p_value: float | None = None  # of equivalence; None where no slope is judged
    p_adjusted: float | None = None  # Holm's, over the hypotheses judged together
    evidence: Evidence | None = None  # of one about a ridge
    preregistered: bool = True  # False where it was named after the runs
    margin: float = MARGIN  # of a slope
    details: dict[str, Any] = field(default_factory=dict)  # the numbers of a hypothesis that is not about a ridge

    @property
    def side(self) -> Direction:
        """The direction that the hypothesis is about."""
        assert self.evidence is not None
        return side_of(self.evidence, self.hypothesis)


def side_of(evidence: Evidence, hypothesis: Hypothesis) -> Direction:
    """The direction that a hypothesis is about."""
    side = evidence.reverse if hypothesis.reverse else evidence.forward
    assert side is not None and hypothesis.given == evidence.given
    return side


def judge(evidence: Evidence, names: list[str], *, alpha: float = 0.05, margin: float = MARGIN) -> list[Finding]:
    """Judge hypotheses about the ridge of one surface; those about slopes share Holm's correction."""
    hypotheses = [CATALOGUE[name] for name in names]
    p_values = {}
    for hypothesis in hypotheses:
        slope = side_of(evidence, hypothesis).slope
        if hypothesis.target is not None and slope is not None:
            p_values[hypothesis.name] = equivalence_p(slope, hypothesis.target - margin, hypothesis.target + margin)
    adjusted = dict(zip(p_values, holm(np.array(list(p_values.values()))).tolist(), strict=True))
    findings = []
    for hypothesis in hypotheses:
        side, p = side_of(evidence, hypothesis), adjusted.get(hypothesis.name)
        if hypothesis.target is None:
            verdict, reason, settle = _share(side, alpha)
            findings.append(Finding(hypothesis, verdict, reason, settle, evidence=evidence, margin=margin))
            continue
        if side.slope is None or p is None:
            verdict, reason, settle = "inconclusive", f"{side.lack}", _what_identifies(side)
        else:
            verdict, reason = slope_verdict(side.slope, hypothesis.target, margin, p, alpha)
            if hypothesis.grows:
                verdict, reason = _growth(side.slope, verdict, reason)
            settle = _what_narrows(side, side.slope, margin) if verdict == "inconclusive" else None
        unadjusted = p_values.get(hypothesis.name)
        findings.append(
            Finding(hypothesis, verdict, reason, settle, side.slope, unadjusted, p, evidence, margin=margin)
        )
    return findings


def _growth(slope: Slope, verdict: Verdict, reason: str) -> tuple[Verdict, str]:
    """The verdict on a claim of growth: any slope above 0 supports it, unless it shows no relation."""
    if verdict in ("supported", "no relation"):
        return verdict, reason + (", in proportion" if verdict == "supported" else "")
    if slope.ci_low > 0:
        return "supported", f"{reason}: growth, if not shown to be in proportion"
    return ("refuted" if slope.ci_high < 0 else "inconclusive"), reason


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


def _share(side: Direction, alpha: float) -> tuple[Verdict, str, str | None]:
    """The verdict by how many levels have an identified optimum, and how many are shown flat."""
    n, identified, flat = len(side.ridge.given), int(side.ridge.identified.sum()), int(_flat(side.surface, alpha).sum())
    lines = f"{sum(side.rises_then_falls)} rise and then fall by the two-lines test"
    reason = f"{identified} of {n} levels have an identified optimum ({lines}), {flat} are shown flat"
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
    flat: Bools = np.all(np.nan_to_num(special.stdtr(freedom, -t), nan=1.0) <= alpha, axis=1)
    return flat


def _what_identifies(side: Direction) -> str:
    """Which runs would identify more optima."""
    counts = {status: side.ridge.status.count(status) for status in set(side.ridge.status)}
    lowest, highest = side.ridge.tuned[0], side.ridge.tuned[-1]
    advice = []
    if counts.get("left_censored"):
        advice.append(f"levels below {lowest:g}, where {counts['left_censored']} optima lie at the edge")
    if counts.get("right_censored"):
        advice.append(f"levels above {highest:g}, where {counts['right_censored']} optima lie at the edge")
    if counts.get("undecided"):
        more = f"replicates, {2 * side.grid.n_replicates}" if side.grid else f"runs, {2 * side.n_runs}"
        advice.append(f"more {more} or more, for the {counts['undecided']} levels that tell no optimum")
    if not advice:
        advice.append("more levels of the given factor, over more octaves")
    return "; ".join(advice)


def _what_narrows(side: Direction, slope: Slope, margin: float) -> str:
    """How many replicates, or runs of an adaptive design, would narrow the interval to the margin, at this noise."""
    half = (slope.ci_high - slope.ci_low) / 2
    n, unit = (side.grid.n_replicates, "replicates") if side.grid else (side.n_runs, "runs")
    wanted = int(np.ceil(n * (half / (margin / 2)) ** 2))
    if wanted > n:
        return f"about {wanted} {unit} instead of {n}, or levels of the given factor over more octaves"
    return "the slope lies at the border of the band: levels of the given factor over more octaves"
