"""The surfaces of a designed study: its scores over a given and a tuned factor."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.hypotheses import Given, tuned_at
from batchlaw.claims.planned import varied_factors
from batchlaw.spec import StudySpec
from batchlaw.stats.surface import Surface

_AXES: dict[Given, tuple[str, str]] = {  # the factor, and the column on the axis
    "lr": ("base_lr", "peak_lr"),  # what the optimizer got
    "train_size": ("train_size", "train_size"),
    "inverse_damping": ("momentum", "inverse_damping"),
    "batch_size": ("batch_size", "batch_size"),
}


def surfaces_of(spec: StudySpec, runs: pd.DataFrame, given: Given) -> Iterator[tuple[dict[str, Any], Surface]]:
    """The surface of the tuned factor over the given one, at each combination of the further factors.

    It has a column for every tuned level of any level of the given factor, and no score (NaN) where none was planned.
    """
    (factor, axis), tuned_factor = _AXES[given], tuned_at(given)
    others = [name for name in varied_factors(spec) if name not in (tuned_factor, factor)]
    parts = runs.groupby(others, sort=True) if others else [((), runs)]
    for levels, part in parts:
        given_levels, row = np.unique(part[axis].to_numpy(float), return_inverse=True)
        tuned, column = np.unique(part[tuned_factor].to_numpy(float), return_inverse=True)
        shape, place = (len(given_levels), len(tuned), spec.arm.replicates), (row, column, part["replicate"].to_numpy())
        scores, unstable = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        scores[place], unstable[place] = part["score"], part["unstable"]
        planned = np.zeros(shape[:2], dtype=bool)
        planned[row, column] = True
        lost = planned & np.isnan(scores).all(axis=2)
        yield dict(zip(others, levels, strict=True)), Surface(given_levels, tuned, scores, unstable, lost=lost)
