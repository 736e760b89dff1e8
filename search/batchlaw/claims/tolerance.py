"""How wrong a learning rate may be at each batch size (H25)."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.runs import alpha_of
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.claims.verdict import Finding, Verdict
from batchlaw.spec import StudySpec
from batchlaw.stats.contrast import seed_deviation
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Surface
from batchlaw.stats.tolerance import FEWEST, TOLD_APART, Width, slope_of_widths, width_of

_DRAWS = 200  # of seeds
_ROUNDING = 1e-12
Place = tuple[int, float]  # the number of a surface, and a batch size


def tolerance_shrinks(
    hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, generator: np.random.Generator
) -> Finding:
    """H25: the octaves of ε in which a single run is as good as one at the best ε, at each B, against log B.

    What counts as good is a threshold for all batch sizes. Each combination of the further factors has an offset.
    """
    alpha, surfaces = alpha_of(spec), [surface for _, surface in surfaces_of(spec, runs, "lr")]
    threshold = _threshold(surfaces)
    spread = max(float(np.nanmax(surface.means) - np.nanmin(surface.means)) for surface in surfaces)
    if threshold <= _ROUNDING * spread:
        reason = "the seeds do not differ at the best rates, so that nothing says how much worse is still as good"
        return Finding(hypothesis, "inconclusive", reason, "a metric that seeds move", details={"threshold": threshold})
    widths = _widths(surfaces, threshold)
    known = {place: width for place, width in widths.items() if width is not None}
    n_open = sum(width.is_open for width in known.values())
    spans = [f"{'≥ ' * width.is_open}{width.octaves:.1f} at {size:g}" for (_, size), width in known.items()]
    reason = (
        f"the rates at most {threshold:.3g} worse than the best, which one run each does not tell, span this many "
        f"octaves at each B: {', '.join(spans)}"
    )
    if len(known) < len(widths):
        reason += f"; runs diverge at the best rate of {len(widths) - len(known)} batch sizes"
    details = {
        "threshold": threshold,
        "widths": [
            {"surface": number, "batch_size": size, "octaves": width.octaves, **asdict(width)}
            for (number, size), width in known.items()
        ],
    }
    more = "learning rates beyond those tried" if n_open else "more replicates, or learning rates closer together"
    slope = _slope(known, alpha)
    if slope is None:
        reason += f"; {len(known) - n_open} of {len(widths)} end within the rates tried, and a slope needs {FEWEST}"
        return Finding(hypothesis, "inconclusive", reason, more, details=details)
    slope = _with_seeds(slope, surfaces, threshold, generator, alpha)
    reason = (
        f"an octave of B changes the range by {slope.slope:+.2f} octaves [{slope.ci_low:+.2f}, {slope.ci_high:+.2f}]; "
        f"{reason}"
    )
    verdict: Verdict = "supported" if slope.ci_high < 0 else "refuted" if slope.ci_low > 0 else "inconclusive"
    settle = more if verdict == "inconclusive" else None
    return Finding(hypothesis, verdict, reason, settle, slope, details=details)


def _threshold(surfaces: Sequence[Surface]) -> float:
    """What one run each tells apart: by the deviation over seeds at the best rate of each batch size."""
    best = []
    for surface in surfaces:
        for column, means in enumerate(surface.means.T):
            scores = surface.scores[int(np.nanargmax(means)), column]
            best.append(scores[~np.isnan(scores)])
    return TOLD_APART * seed_deviation(np.array([scores for scores in best if len(scores) == max(map(len, best))]))


def _widths(surfaces: Sequence[Surface], threshold: float) -> dict[Place, Width | None]:
    found = {}
    for number, surface in enumerate(surfaces):
        place, means = np.log2(surface.given), surface.means
        dead: Bools = np.any(surface.unstable, axis=2)
        for column, size in enumerate(surface.tuned.tolist()):
            found[number, size] = width_of(place, means[:, column], dead[:, column], threshold)
    return found


def _slope(widths: dict[Place, Width], alpha: float) -> Slope | None:
    if not widths:
        return None
    numbers, sizes = np.array(list(widths)).T
    octaves = np.array([width.octaves for width in widths.values()])
    is_open = np.array([width.is_open for width in widths.values()])
    _, group = np.unique(numbers, return_inverse=True)
    return slope_of_widths(np.log2(sizes), group, octaves, is_open, alpha)


def _with_seeds(
    slope: Slope, surfaces: Sequence[Surface], threshold: float, generator: np.random.Generator, alpha: float
) -> Slope:
    """The slope, with its deviation over bootstraps of the seeds where that is larger than by the scatter of widths."""
    n, drawn = surfaces[0].n_replicates, []
    for _ in range(_DRAWS):
        seeds = generator.integers(n, size=n)
        again = [
            Surface(each.given, each.tuned, each.scores[:, :, seeds], each.unstable[:, :, seeds]) for each in surfaces
        ]
        widths = {place: width for place, width in _widths(again, threshold).items() if width is not None}
        found = _slope(widths, alpha)
        if found is not None:
            drawn.append(found.slope)
    error = float(np.std(drawn)) * np.sqrt(n / (n - 1)) if len(drawn) > 1 else np.inf
    return Slope.of(slope.slope, error, n - 1, alpha) if error > slope.standard_error else slope
