"""The ridge by a Gaussian process over the whole surface: a check on the local parabolas."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from batchlaw.stats.surface import Floats, Surface

_STEPS_AN_OCTAVE = 10


def smooth_ridge(surface: Surface) -> Floats:
    """The tuned level, log₂, at which the smoothed surface is highest, at each given level (n_given,)."""
    x, y = np.log2(surface.given), np.log2(surface.tuned)
    cells = np.stack([axis.ravel() for axis in np.meshgrid(x, y, indexing="ij")], axis=1)
    means = surface.means.ravel()
    # Ranks keep a cliff from deciding the length scale; the optimum is where it was.
    scores = np.argsort(np.argsort(means)) / (len(means) - 1) - 0.5
    noise = surface.scores.var(axis=2, ddof=1).mean() / surface.n_replicates / max(means.var(), 1e-300)
    kernel = ConstantKernel(0.1, (1e-3, 1e2)) * RBF((2.0, 2.0), (0.5, 20.0))
    process = GaussianProcessRegressor(kernel, alpha=max(noise * scores.var(), 1e-4), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound is an answer here
        process.fit(cells, scores)
    fine = np.linspace(y[0], y[-1], round(np.ptp(y) * _STEPS_AN_OCTAVE) + 1)
    best = [fine[process.predict(np.stack([np.full_like(fine, level), fine], axis=1)).argmax()] for level in x]
    return np.array(best)
