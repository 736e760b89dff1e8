"""What databases hold of a trial, by the names of its fields and outcomes."""

import json
from dataclasses import fields

from batchlaw.recipe.result import Outcome, TrainResult
from batchlaw.results.result import TrialResult


def test_a_result_holds_all_that_training_returns():
    assert {field.name for field in fields(TrainResult)} <= {field.name for field in fields(TrialResult)}


def test_outcomes_have_the_names_that_databases_hold():
    assert [str(outcome) for outcome in Outcome] == [
        "complete", "pruned", "diverged", "out-of-memory", "failed", "lost", "running", "waiting"
    ]  # fmt: skip
    assert json.dumps({Outcome.OUT_OF_MEMORY: Outcome.LOST}) == '{"out-of-memory": "lost"}'
