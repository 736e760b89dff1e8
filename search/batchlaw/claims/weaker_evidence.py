"""Findings from evidence without replicates: by a fitted surface, or none from runs that are only described."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from batchlaw.claims.evidence import Direction, Evidence
from batchlaw.claims.hypotheses import CATALOGUE, GIVEN_LABELS, MARGIN
from batchlaw.claims.strata import Stratum
from batchlaw.claims.verdict import Finding, judge
from batchlaw.stats.cells import Runs
from batchlaw.stats.fitted_surface import FittedSurface
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.scattered import Factor
from batchlaw.stats.slope import Slope

_SEEDS = 3  # of each run, so that no surface must stand for the noise (assumption)


@dataclass(frozen=True, eq=False)
class FittedDirection(Direction):
    """The optimum of one factor at each level of the other, on a smooth surface through single runs."""

    smooth: FittedSurface | None = None
    factor: Factor = "lr"  # the given one

    @cached_property
    def ridge(self) -> Ridge:
        """The confidence set of the optimum at each given level, and the slope, by the noise of the surface."""
        assert self.smooth is not None
        return self.smooth.ridge(self.factor)

    @property
    def slope(self) -> Slope | None:
        """The slope of the ridge."""
        assert self.smooth is not None
        return self.smooth.slope(self.factor)

    @property
    def lack(self) -> str | None:
        """What is missing for a slope, or None."""
        return None if self.slope is not None else self.ridge.lack or self.ridge.lack_of_curve

    @property
    def how(self) -> str | None:
        """How the slope was found, for people."""
        assert self.smooth is not None
        return (
            f"by a smooth surface through {self.n_runs} runs without replicates, whose deviation from it near the best "
            f"is {self.smooth.noise:.2g}"
        )


def evidence_of(smooth: FittedSurface) -> Evidence:
    """The evidence of a fitted surface, in both directions."""
    heights, generator = smooth.heights, np.random.default_rng(0)
    scores = -heights.full
    names: dict[Factor, str] = {"lr": GIVEN_LABELS["lr"], "batch_size": "batch size"}
    sides = []
    both: tuple[tuple[Factor, Factor], ...] = (("lr", "batch_size"), ("batch_size", "lr"))
    for factor, other in both:
        fixed, tuned = (heights.x, heights.y) if factor == "lr" else (heights.y, heights.x)
        runs = Runs(2**fixed, 2**tuned, np.arange(len(fixed)), scores, heights.diverged)
        sides.append(
            FittedDirection(
                None, runs, np.unique(2**fixed), np.unique(2**tuned), generator, smooth.alpha, names[factor],
                names[other], smooth, factor,
            )
        )  # fmt: skip
    return Evidence("lr", *sides)


def fitted_findings(stratum: Stratum, hypotheses: list[str], alpha: float) -> list[Finding]:
    """Judge hypotheses on a fitted surface; where that may decide nothing, the numbers are a guide."""
    smooth = stratum.smooth
    assert smooth is not None
    findings = judge(evidence_of(smooth), hypotheses, alpha=alpha, margin=MARGIN)
    return [_as_fitted(finding, smooth, stratum) for finding in findings]


def _as_fitted(finding: Finding, smooth: FittedSurface, stratum: Stratum) -> Finding:
    verdict, reason = finding.verdict, finding.reason
    other = finding.evidence.reverse if finding.evidence and not finding.hypothesis.reverse else None
    if other is not None and other.slope is not None and not other.slope.undetermined:
        found = other.slope
        reason += (
            f"; the best learning rate moves with the batch size by a slope of {found.slope:.2f} "
            f"[{found.ci_low:.2f}, {found.ci_high:.2f}]"
        )
    if smooth.guide is not None:
        said = "" if verdict == "inconclusive" else f", which would be {verdict!r}"
        verdict, reason = "inconclusive", f"{reason}; a guide{said}, and no test: {smooth.guide}"
    settle = None
    if verdict == "inconclusive":
        open_ = [run for run in stratum.observed.further if "is the best" in run.why]
        beyond = f"learning rate {open_[0].lr:.3g} at batch size {open_[0].batch_size:g}, and " if open_ else ""
        settle = f"{beyond}{_SEEDS} seeds of each run on a grid of learning rates and batch sizes"
        if stratum.observed.unapplied:
            settle = stratum.observed.advice
    return replace(
        finding, verdict=verdict, reason=reason, settle=settle, advice=None, grade="fitted", guide=smooth.guide
    )  # fmt: skip


def observed_findings(stratum: Stratum, hypotheses: list[str]) -> list[Finding]:
    """No verdict: why there is none, and what to run."""
    reason = f"the runs are described and not judged: {'; '.join(stratum.lacks)}"
    settle = "runs that were not selected by what they brought" if stratum.selected else None
    settle = settle or stratum.observed.advice
    return [
        Finding(CATALOGUE[name], "inconclusive", reason, settle, p_value=None, grade="observed")
        for name in hypotheses
    ]  # fmt: skip
