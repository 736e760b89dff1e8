"""From evidence to a verdict, with its reason and what would settle it."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import special

from batchlaw.claims.advice import Advice, of_lack, of_optima, of_slope
from batchlaw.claims.evidence import Direction, Evidence
from batchlaw.claims.hypotheses import CATALOGUE, MARGIN, Hypothesis
from batchlaw.claims.reasons import how_found, named, plural, uncounted
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.holm import holm
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Surface, mean

Verdict = Literal["supported", "refuted", "no relation", "inconclusive"]
Grade = Literal["designed", "replicated", "fitted", "observed"]  # of evidence, the strongest first
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
    advice: Advice | None = None  # `settle` as numbers, of one about a ridge
    grade: Grade | None = None  # of the evidence; None: that of the claim
    guide: str | None = None  # why its numbers are a guide and no test

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
    adjusted = _adjusted(evidence, hypotheses, margin)
    best_case = evidence.with_lost_as_best
    as_best = None if best_case is None else _adjusted(best_case, hypotheses, margin)
    findings = []
    for hypothesis in hypotheses:
        finding = _of_one(evidence, hypothesis, adjusted, alpha, margin)
        if best_case is not None and as_best is not None and finding.verdict != "inconclusive":
            other = _of_one(best_case, hypothesis, as_best, alpha, margin)
            if other.verdict != finding.verdict:
                finding = _undecided_by_missing(finding)
        findings.append(finding)
    return findings


def _adjusted(evidence: Evidence, hypotheses: list[Hypothesis], margin: float) -> dict[str, tuple[float, float]]:
    """The p-value of equivalence, and Holm's, of the hypotheses about slopes that have one."""
    p_values = {}
    for hypothesis in hypotheses:
        slope = side_of(evidence, hypothesis).slope
        if hypothesis.target is not None and slope is not None:
            p_values[hypothesis.name] = equivalence_p(slope, hypothesis.target - margin, hypothesis.target + margin)
    adjusted = holm(np.array(list(p_values.values()))).tolist()
    return {name: (p, other) for (name, p), other in zip(p_values.items(), adjusted, strict=True)}


def _of_one(
    evidence: Evidence, hypothesis: Hypothesis, adjusted: dict[str, tuple[float, float]], alpha: float, margin: float
) -> Finding:
    """The finding on one hypothesis, with its p-value and Holm's."""
    side = side_of(evidence, hypothesis)
    advice = p = p_adjusted = None
    if hypothesis.target is None:
        verdict, reason = _share(side, alpha)
        advice = of_optima(side, ENOUGH_LEVELS, slope=0.0) if verdict == "inconclusive" and side.how is None else None
    elif side.slope is None:
        verdict, reason = "inconclusive", f"{side.lack}"
        advice = of_lack(side, hypothesis.target) if side.how is None else None
    else:
        p, p_adjusted = adjusted[hypothesis.name]
        verdict, reason = slope_verdict(side.slope, hypothesis.target, margin, p_adjusted, alpha)
        if hypothesis.grows:
            verdict, reason = _growth(side.slope, verdict, reason)
        reason += f"; {side.how or how_found(side, side.slope)}"
        if verdict == "inconclusive" and side.how is None:
            borders = (0.0,) if hypothesis.grows else (hypothesis.target - margin, hypothesis.target + margin)
            advice = of_slope(side, side.slope, borders, margin)
    return Finding(
        hypothesis, verdict, reason + uncounted(side), None if advice is None else advice.sentence(side),
        None if hypothesis.target is None else side.slope, p, p_adjusted, evidence, margin=margin, advice=advice,
    )  # fmt: skip


def _undecided_by_missing(finding: Finding) -> Finding:
    """An inconclusive finding in place of one that would be another, were the runs without a score the best."""
    side, advice = finding.side, Advice(missing=True)
    assert side.lost is not None
    rows, columns = (axis.any(axis=number) for number, axis in ((1, side.lost), (0, side.lost)))
    n, (given, tuned) = int(side.lost.sum()), (side.surface.given[rows].tolist(), side.surface.tuned[columns].tolist())
    reason = (
        f"{n} {'cell is' if n == 1 else 'cells are'} missing, at {named(side.given_name, given)} and "
        f"{named(side.tuned_name, tuned)}: the verdict would not be {finding.verdict!r} if they were the best; without "
        f"them {finding.reason}"
    )
    settle = advice.sentence(side)
    return replace(finding, verdict="inconclusive", reason=reason, settle=settle, advice=advice)


def growth_verdict(slope: Slope, target: float, margin: float, p_adjusted: float, alpha: float) -> tuple[Verdict, str]:
    """As `slope_verdict`, of a claim of growth."""
    return _growth(slope, *slope_verdict(slope, target, margin, p_adjusted, alpha))


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
    interval = f"[{slope.ci_low:.2f}, {slope.ci_high:.2f}]"
    shown = f"the slope lies in {interval}" if slope.bounded else f"the slope is {slope.slope:.2f} {interval}"
    if slope.ci_low >= low and slope.ci_high <= high:
        if p_adjusted <= alpha / 2:
            return "supported", f"{shown}, within [{low:g}, {high:g}]"
        return "inconclusive", f"{shown}, within [{low:g}, {high:g}], but not after Holm's correction"
    if slope.ci_low >= -margin and slope.ci_high <= margin:
        return "no relation", f"{shown}, within [{-margin:g}, {margin:g}]"
    if slope.ci_high < low or slope.ci_low > high:
        return "refuted", f"{shown}, which excludes [{low:g}, {high:g}]"
    return "inconclusive", f"{shown}, which reaches both into and out of [{low:g}, {high:g}]"


def _share(side: Direction, alpha: float) -> tuple[Verdict, str]:
    """The verdict by how many levels have an identified optimum, and how many are shown flat."""
    n, identified, given = len(side.ridge.given), int(side.ridge.identified.sum()), plural(side.given_name)
    reason = f"{identified} of {n} {given} have an identified optimum"
    if side.grid is None:
        return ("supported" if identified >= ENOUGH_LEVELS * n else "inconclusive"), reason
    flat = int(_flat(side.grid, alpha).sum())
    reason += f" ({sum(side.rises_then_falls)} rise and then fall by the two-lines test), {flat} are shown flat"
    if identified >= ENOUGH_LEVELS * n:
        return "supported", reason
    return ("refuted" if flat >= ENOUGH_LEVELS * n else "inconclusive"), reason


def _flat(surface: Surface, alpha: float) -> Bools:
    """Levels at which every cell is equivalent to the level's mean within one seed's standard deviation, (n_given,).

    A cell without a score has no part in it; one with a single score does not show that its level is flat.
    """
    there, counts = ~np.isnan(surface.scores), surface.counts
    squares = np.where(there, surface.scores - surface.means[:, :, None], 0.0) ** 2
    freedom = np.maximum(counts - 1, 0).sum(axis=1)
    offset = np.abs(surface.means - mean(surface.means, axis=1)[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(squares.sum(axis=(1, 2)) / freedom)[:, None]
        t = (sd - offset) / (sd / np.sqrt(counts))
        p = np.nan_to_num(special.stdtr(freedom[:, None], -t), nan=1.0)
    # All cells must pass, an intersection of tests, which needs no correction.
    flat: Bools = np.all((p <= alpha) | (counts == 0), axis=1) & (counts > 0).any(axis=1)
    return flat
