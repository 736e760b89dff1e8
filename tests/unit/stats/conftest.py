"""Surfaces with a planted ridge."""

import numpy as np
from batchlaw.stats.surface import Surface


def planted(slope, noise=0.1, seeds=5, n_given=8, n_tuned=9, seed=0, curve=lambda off: -((off / 2) ** 2), middle=None):
    """A surface and its optima, log₂: middle + slope × (log₂ given - its mean). Levels are an octave apart."""
    generator = np.random.default_rng(seed)
    x, y = np.arange(n_given) - 8.0, np.arange(n_tuned) + 1.0
    best = (y.mean() if middle is None else middle) + slope * (x - x.mean())
    scores = curve(y[None] - best[:, None])[:, :, None] + noise * (
        generator.normal(size=(n_given, n_tuned, seeds)) + generator.normal(size=seeds)
    )
    return Surface(2.0**x, 2.0**y, scores, np.zeros(scores.shape, dtype=bool)), best


def wall(off):
    """A score that falls by eight within a third of an octave below the best, and slowly above it."""
    return -np.where(off < 0, 8 * -np.expm1(-((off / 0.2) ** 2)), (np.abs(off) / 2) ** 0.9)
