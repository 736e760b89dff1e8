"""Configurations for batch sizes that were never tried."""

import pytest
from batchlaw.errors import BatchlawError
from batchlaw.laws import laws_of
from batchlaw.laws.prediction import predict

from tests.unit.laws.conftest import designed, planted


def test_the_rate_moves_and_all_else_follows_from_the_best_trial(sqrt_study):
    spec, records = sqrt_study
    found = predict(spec, laws_of(spec, records), 24)
    assert found.predicted.ci_low < found.config.peak_lr < found.predicted.ci_high
    assert found.config.peak_lr == pytest.approx(2 ** (0.5 * (4.584963 - 4.5) - 5), rel=0.1)
    best = records[found.predicted.from_trial].config
    assert records[found.trial].value == min(record.value for record in records)
    assert found.config.batch_size == 24 and found.config.steps == spec.budget.epochs * 4096 // 24
    assert found.config.momentum == best.momentum and found.predicted.warnings == ()


@pytest.mark.parametrize(("rule", "power"), [("constant", 0.0), ("sqrt", 0.5), ("linear", 1.0)])
def test_a_rule_carries_the_best_trials_rate(sqrt_study, rule, power):
    spec, records = sqrt_study
    found = predict(spec, laws_of(spec, records), 48, rule=rule)
    best = records[found.trial].config
    assert found.config.peak_lr == pytest.approx(best.peak_lr * (48 / best.batch_size) ** power)
    refuted = any("speaks against the" in warning for warning in found.predicted.warnings)
    assert refuted is (rule != "sqrt")


def test_outside_of_what_was_seen_it_is_refused_unless_told(sqrt_study):
    spec, records = sqrt_study
    laws = laws_of(spec, records)
    with pytest.raises(BatchlawError, match=r"for_batch_size: got 1024; must be from 2 to 256") as refusal:
        predict(spec, laws, 1024)
    assert (refusal.value.argument, refusal.value.got, refusal.value.remedy) == ("for_batch_size", 1024, "extrapolate")
    found = predict(spec, laws, 1024, extrapolate=True)
    assert "lies outside" in found.predicted.warnings[0] and found.config.batch_size == 1024
    with pytest.raises(BatchlawError, match="must be at most 4096"):
        predict(spec, laws, 5000, extrapolate=True)


def test_the_sde_rule_moves_the_averages_too():
    spec = designed(optimizer="adam")
    records = planted(spec)
    found = predict(spec, laws_of(spec, records), 48, rule="sde")
    best = records[found.trial].config
    kappa = 48 / best.batch_size
    assert found.config.beta2 == pytest.approx(1 - kappa * (1 - 0.999))
    assert found.config.peak_lr == pytest.approx(best.peak_lr * kappa**0.5)


def test_the_sde_rule_is_refused_where_it_was_not_derived(sqrt_study):
    spec, records = sqrt_study
    with pytest.raises(BatchlawError, match="the sde rule is derived for rmsprop, adam, adamw, muon"):
        predict(spec, laws_of(spec, records), 48, rule="sde")
