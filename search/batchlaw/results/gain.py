"""What a search may still gain by going on: further trials against the best that it has, by a model of its space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchlaw.results.posterior import FLOOR, Model
from batchlaw.results.search_run import SearchRun
from batchlaw.spec import StudySpec
from batchlaw.stats.surface import Floats

CONFIDENCE = 0.95
_PATHS, _ROUNDS = 50, 10  # draws of the surface for each draw of further configurations, and draws of these
_PARENTS, _SPREAD = 10, 0.15  # best trials that have further ones beside them, and how far; as in `sampling.per_second`
_MOST_AHEAD = 200  # further trials that are looked ahead
_JITTER = 1e-6  # of the mean variance, so that neighbours keep a factor


@dataclass(frozen=True)
class Gain:
    """How much better the best of a search gets by going on, in its metric.

    Attributes:
        expected: the mean. On recorded searches it was five times the real gain (gain.py), so sentences leave it out.
        high: what it stays below with the confidence.
        confidence: a probability.
        trials: how many further trials are meant.
        after: how many trials had ended when this was told.
    """

    expected: float
    high: float
    confidence: float
    trials: int
    after: int | None = None

    def __str__(self) -> str:
        n = self.trials
        return (
            f"{n} more trial{'s' * (n != 1)} would gain less than {self.high:.2g} with {self.confidence:g} confidence"
        )


def gain_of(runs: Sequence[SearchRun], spec: StudySpec, trials: int, confidence: float = CONFIDENCE) -> Gain | None:
    """What further trials may gain; None with too few complete trials to tell.

    Half of them are taken to be beside the best trials and half anywhere. The surface is drawn from the model at these
    places; the gain is the excess of the best there over the trial that is expected to be the best. The scores enter as
    they are, but for those of bad trials, which all get the same.

    Args:
        runs: the trials of the search, without further seeds.
        spec: their study.
        trials: how many more of them.
        confidence: a probability.
    """
    model = Model.of(runs, spec, _floored) if trials > 0 else None
    if model is None:
        return None
    generator = np.random.default_rng(len(model.runs))
    parents = model.points[np.argsort(-model.expected, kind="stable")[:_PARENTS]]
    draws = [_excesses(model, parents, min(trials, _MOST_AHEAD), generator) for _ in range(_ROUNDS)]
    gains = np.concatenate(draws) * float(_floored(model.scores).std())
    return Gain(float(gains.mean()), float(np.quantile(gains, confidence)), confidence, trials)


def _excesses(model: Model, parents: Floats, n: int, generator: np.random.Generator) -> Floats:
    """By how much the best of n further trials exceeds the first of the parents, levelled, (n_paths,)."""
    beside = model.cube.neighbours(parents[generator.integers(len(parents), size=n - n // 2)], _SPREAD, generator)
    places = np.concatenate([parents[:1], beside, model.cube.at_random(n // 2, generator)])
    mean, covariance = model.process.posterior(places)
    # Not by eigenvectors, whose signs are a matter of rounding: the draws would be others on another machine.
    jitter = _JITTER * float(covariance.diagonal().mean()) * np.eye(len(mean))
    paths = mean + generator.normal(size=(_PATHS, len(mean))) @ np.linalg.cholesky(covariance + jitter).T
    return np.asarray(np.maximum(paths[:, 1:].max(axis=1) - paths[:, 0], 0))


def _floored(scores: Floats) -> Floats:
    """Scores (n,) of which the same share is levelled as in the model of ranks, (n,)."""
    from scipy.special import ndtr

    return np.asarray(np.maximum(scores, np.quantile(scores, ndtr(FLOOR))))
