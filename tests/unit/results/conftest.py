"""Records of trials."""

import numpy as np
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import TrialRecord
from batchlaw.results.result import TrialResult

from tests.unit.train.conftest import config_of


def record(number, values, **config):
    """A completed trial; `values` are those of its seeds."""
    errors = {"validation_accuracy": 0.02}
    return TrialRecord(
        number=number, outcome=Outcome.COMPLETE, value=float(np.mean(values)), params={},
        config=config_of().model_copy(update=config),
        result=TrialResult(replicate_values=values, validation_standard_errors=errors),
        reason=None, intermediate_values={}, started=None, ended=None,
    )  # fmt: skip
