"""A training function with a planted cliff: the error falls with the learning rate, which diverges above 0.0025 × B.

The best learning rate of a batch size is the last that trains. `train` returns NaN beyond it; `train_raising` raises
`Diverged` with the error of an untrained network.
"""

import math
import random

from batchlaw.errors import Diverged


def train(trial):
    error = error_of(trial)
    trial.report(0.5, {"validation_error": error})
    trial.report(1.0, {"validation_error": error})
    return {"validation_error": error}


def train_raising(trial):
    error = error_of(trial)
    if math.isnan(error):
        raise Diverged({"validation_error": 0.9})
    trial.report(1.0, {"validation_error": error})
    return {"validation_error": error}


def error_of(trial):
    lr, top = trial.config.peak_lr, 0.0025 * trial.batch_size
    if lr > 1.01 * top:
        return math.nan
    return 0.10 + 0.02 * math.log2(top / lr) + random.Random(f"{trial.seed} {lr} {trial.batch_size}").gauss(0, 0.001)
