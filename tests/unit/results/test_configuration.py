"""What exports say of a configuration."""

import dataclasses
import json

from batchlaw.results.configuration import Predicted
from batchlaw.results.standings import Standings

from tests.conftest import tiny_spec
from tests.unit.results.conftest import record

PREDICTED = Predicted(
    batch_size=48, peak_lr=0.05, ci_low=0.04, ci_high=0.06, carried_by="law", from_trial=3, from_batch_size=32,
    seen=(8.0, 64.0), warnings=("searched trials are a guide",),
)  # fmt: skip


def test_a_prediction_says_what_moved_the_learning_rate_and_what_it_rests_on():
    assert PREDICTED.line() == (
        "Predicted by the law for batch size 48: peak learning rate 0.05; the law's interval is [0.04, 0.06]; "
        "all else is trial 3's, at batch size 32; seen from batch size 8 to 64."
    )
    by_rule = dataclasses.replace(PREDICTED, carried_by="sqrt", ci_low=None, ci_high=None)
    assert by_rule.line().startswith("Predicted by the sqrt rule for batch size 48: peak learning rate 0.05; all else")


def test_a_trained_configuration_has_a_score_and_a_predicted_one_has_none():
    trained = Standings(tiny_spec(), [record(3, [0.9, 0.8])]).configuration(record(3, [0.9, 0.8]))
    predicted = dataclasses.replace(trained, predicted=PREDICTED)
    assert trained.as_dict()["value"] == trained.value and "predicted" not in trained.as_dict()
    found = json.loads(json.dumps(predicted.as_dict(), allow_nan=False))
    assert found["value"] is None
    assert found["predicted"] == {
        "batch_size": 48, "peak_lr": 0.05, "ci_low": 0.04, "ci_high": 0.06, "carried_by": "law", "from_trial": 3,
        "from_batch_size": 32, "seen": {"low": 8.0, "high": 64.0}, "warnings": ["searched trials are a guide"],
    }  # fmt: skip
