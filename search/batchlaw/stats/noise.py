"""The gradient noise scale of a study (McCandlish et al. 2018, arXiv:1812.06162, appendix A.1)."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.surface import Floats


@dataclass(frozen=True, kw_only=True)
class NoiseScale:
    """B_simple = tr Σ/|G|², in examples, with its confidence interval; the upper end may be infinite."""

    value: float
    ci_low: float
    ci_high: float


def simple_noise_scale(norm2: Floats, variance: Floats, *, alpha: float = 0.05) -> NoiseScale | None:
    """The ratio of the mean of tr Σ to the mean of |G|², with Fieller's interval (1954).

    The interval assumes independent runs with the same expectation. The reports of one run are not independent, so they
    are added up first. The interval is open above if |G|² does not differ from 0 significantly, and goes from 0 to
    infinity if there is a single run.

    Args:
        norm2: estimates of |G|², (n_runs,) or (n_runs, n_reports); NaN where a run lacks a report.
        variance: estimates of tr Σ, with the same shape.
        alpha: 1 minus the confidence of the interval.

    Returns:
        None if the mean of |G|² is not above 0.
    """
    noise, signal = (np.nansum(part.reshape(len(part), -1), axis=1) for part in (variance, norm2))
    a, b, n = noise.mean(), signal.mean(), len(noise)
    if not b > 0:
        return None
    if n == 1:
        return NoiseScale(value=float(a / b), ci_low=0.0, ci_high=np.inf)
    # The interval holds the ratios r with (a - rb)² <= t² var(a - rb), which is Ar² - 2Br + C <= 0. A <= 0 if b may be
    # 0, C <= 0 if a may be 0.
    reach = special.stdtrit(n - 1, 1 - alpha / 2) ** 2 * np.cov(noise, signal) / n
    A, B, C = b * b - reach[1, 1], a * b - reach[0, 1], a * a - reach[0, 0]
    root = np.sqrt(max(B * B - A * C, 0.0))
    low = C / (B + root) if C > 0 else 0.0
    high = (B + root) / A if A > 0 else np.inf
    return NoiseScale(value=float(a / b), ci_low=float(low), ci_high=float(high))
