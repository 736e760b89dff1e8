"""The critical batch size of Muon over that of AdamW, by steps to a target (H23)."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.runs import alpha_of
from batchlaw.claims.to_target import ToTarget, logs_of_seeds, miss_of, to_common_targets
from batchlaw.claims.verdict import Finding, Verdict
from batchlaw.spec import StudySpec
from batchlaw.stats.contrast import paired
from batchlaw.stats.hyperbola import Bounded, Hyperbola

_MORE = "a longer budget and more reports, so that both reach a target at more batch sizes, or more replicates"
Reached = tuple[ToTarget, Hyperbola]


def muon_scales_further(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H23, at the hardest target that both optimizers reach at three batch sizes; the others are told."""
    alpha, arms = alpha_of(spec), ("muon", "adamw")
    parts = [runs[runs["optimizer"] == name] for name in arms]
    fitted = [
        ((muon, muon.fitted(alpha)), (adamw, adamw.fitted(alpha)))
        for muon, adamw in zip(*to_common_targets(spec, parts, hypothesis.name), strict=True)
    ]
    both = [
        ((muon, upper), (adamw, lower))
        for (muon, upper), (adamw, lower) in fitted
        if upper is not None and lower is not None
    ]
    if not both:
        return Finding(hypothesis, "inconclusive", "no target is reached by both at three batch sizes", _MORE)
    ratios = [_ratio(*pair, alpha) for pair in both]
    (muon, upper), (adamw, lower) = both[-1]
    hardest = ratios[-1]
    reason = (
        f"at a loss of {muon.target:g} the ratio is {hardest}: a critical batch size of {upper.critical} with Muon and "
        f"{lower.critical} with AdamW, whose hyperbolas miss the steps by {miss_of(muon, upper):.0%} and "
        f"{miss_of(adamw, lower):.0%}"
    )
    if len(both) > 1:
        told = (f"{ratio} at {pair[0][0].target:g}" for ratio, pair in zip(ratios[:-1], both[:-1], strict=True))
        reason += f"; at easier targets {', '.join(told)}"
    for name, each in zip(arms, (muon, adamw), strict=True):
        if each.edge.any():
            sizes = ", ".join(f"{size:g}" for size in each.batch_size[each.edge])
            reason += f"; the best rate of {name} is the lowest or highest tried at batch size {sizes}"
    verdict: Verdict = "inconclusive"
    if hardest.low is not None and hardest.low > 1:
        verdict = "supported"
    elif hardest.high is not None and hardest.high < 1:
        verdict = "refuted"
    details = {
        "targets": [
            {
                "target": pair[0][0].target, "ratio": asdict(ratio),
                **{name: asdict(curve.critical) for name, (_, curve) in zip(arms, pair, strict=True)},
            }
            for ratio, pair in zip(ratios, both, strict=True)
        ]
    }  # fmt: skip
    return Finding(hypothesis, verdict, reason, _MORE if verdict == "inconclusive" else None, details=details)


def _ratio(muon: Reached, adamw: Reached, alpha: float) -> Bounded:
    """The ratio of two critical batch sizes, with the wider of two intervals.

    One is of the curves through the means, from both intervals by the method of variance estimates recovery (Zou and
    Donner 2008): it has the misfit of the hyperbola in it, and open ends. The other is over seeds, paired, where all
    have a critical batch size.
    """
    (one, upper), (other, lower) = muon, adamw
    top, bottom = (_logs(curve.critical) for curve in (upper, lower))
    if top[1] is None or bottom[1] is None:
        value, ends = None, (top[0] - bottom[2], top[2] - bottom[0])
    else:
        value = top[1] - bottom[1]
        below = np.hypot(top[1] - top[0], bottom[2] - bottom[1])
        above = np.hypot(top[2] - top[1], bottom[1] - bottom[0])
        ends = (value - below, value + above)
    seeds = logs_of_seeds(one, other)
    if seeds is not None and np.isfinite(seeds).all():
        contrast = paired(seeds[0], seeds[1], alpha)
        ends = (min(ends[0], contrast.ci_low), max(ends[1], contrast.ci_high))
    low, high = (float(np.exp(end)) if np.isfinite(end) else None for end in ends)
    return Bounded(None if value is None else float(np.exp(value)), low, high)


def _logs(bounded: Bounded) -> tuple[float, float | None, float]:
    """The logarithms of the lower end, the value and the upper end."""
    low = -np.inf if bounded.low is None else float(np.log(bounded.low))
    high = np.inf if bounded.high is None else float(np.log(bounded.high))
    return low, None if bounded.value is None else float(np.log(bounded.value)), high
