"""The simple noise scale from its two parts, each averaged before dividing (McCandlish et al. 2018, appendix A.1)."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.surface import Floats


@dataclass(frozen=True, kw_only=True)
class NoiseScale:
    """B_simple = tr Σ/|G|² in examples, with its confidence interval, whose end may be infinite."""

    value: float
    ci_low: float
    ci_high: float


def simple_noise_scale(norm2: Floats, variance: Floats, *, alpha: float = 0.05) -> NoiseScale | None:
    """The ratio of the means of both estimates, with Fieller's interval for it (1954); None where mean |G|² is not > 0.

    The interval takes runs as independent and alike. The reports of one run are neither, and are summed up before. It
    is one-sided where |G|² is not told from 0, and says nothing, 0 to infinity, of a single run.

    Args:
        norm2: estimates of |G|², (runs,) or (runs, reports); NaN where a run has no such report.
        variance: estimates of tr Σ, the same shape.
        alpha: the interval's error.
    """
    noise, signal = (np.nansum(part.reshape(len(part), -1), axis=1) for part in (variance, norm2))
    a, b, n = noise.mean(), signal.mean(), len(noise)
    if not b > 0:
        return None
    if n == 1:
        return NoiseScale(value=float(a / b), ci_low=0.0, ci_high=np.inf)
    # Ratios r with (a - rb)² <= t² var(a - rb): Ar² - 2Br + C <= 0. A <= 0 where b may be 0, C <= 0 where a may.
    reach = special.stdtrit(n - 1, 1 - alpha / 2) ** 2 * np.cov(noise, signal) / n
    A, B, C = b * b - reach[1, 1], a * b - reach[0, 1], a * a - reach[0, 0]
    root = np.sqrt(max(B * B - A * C, 0.0))
    low = C / (B + root) if C > 0 else 0.0
    high = (B + root) / A if A > 0 else np.inf
    return NoiseScale(value=float(a / b), ci_low=float(low), ci_high=float(high))
