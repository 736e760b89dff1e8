"""A stored study at its horizons, against studies that had only that budget."""

import json

import pytest
from batchlaw import Study
from batchlaw.errors import BatchlawError, SpecError
from batchlaw.results.horizons import at_horizon
from batchlaw.results.records import known_trials
from batchlaw.spec import parse_spec

TABLE = {
    "task": {"dataset": "digits", "model": "mlp", "train_size": 64, "model_options": {"widths": [8]}},
    "budget": {"epochs": 8},
    "space": {"batch_size": [4, 64], "base_lr": [0.1, 0.3, 1.0, 1e30], "decay": "wsd"},
    "schedule": {"cooldown_fraction": 0.5, "horizons": [0.5, 1.0]},
    "claim": {"hypotheses": ["H3"], "metric": "validation_loss", "replicates": 5, "reports": 4},
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    storage = f"sqlite:///{tmp_path_factory.mktemp('horizons') / 'studies.db'}"
    short = TABLE | {"budget": {"epochs": 4}, "schedule": {"cooldown_fraction": 0.5}}
    trunk = Study.create(name="trunk", storage=storage, **TABLE).run(workers=0)
    return trunk, Study.create(name="short", storage=storage, **short).run(workers=0)


def by_params(records):
    return {json.dumps(record.params, sort_keys=True): record for record in records}


@pytest.mark.slow
def test_a_horizon_reads_like_a_study_of_that_budget(studies):
    trunk, short = studies
    stored, known = at_horizon(trunk.stored, known_trials(trunk.stored), 0.5)
    assert stored.spec.budget == short.spec.budget and stored.spec.schedule == short.spec.schedule
    found, expected = by_params(known.records), by_params(known_trials(short.stored).records)
    assert found.keys() == expected.keys() and len(found) == 8
    for params, record in found.items():
        other = expected[params]
        assert record.outcome == other.outcome and record.value == pytest.approx(other.value, rel=1e-4)
        assert record.result.replicate_values == pytest.approx(other.result.replicate_values, rel=1e-4)
        assert record.config.model_dump(exclude={"budget_examples"}) == other.config.model_dump(
            exclude={"budget_examples"}
        )
    assert {record.outcome for record in found.values()} == {"complete", "diverged"}


@pytest.mark.slow
def test_a_claim_takes_a_horizon_and_refuses_others(studies):
    trunk, short = studies
    assert trunk.claim(horizon=0.5).verdict == short.claim().verdict
    with pytest.raises(BatchlawError, match=r"horizon: got 0.3; must be one of 0.5, 1, the horizons of trunk"):
        trunk.claim(horizon=0.3)
    with pytest.raises(BatchlawError, match=r"horizon: got 0.5; must be one of 1, "):
        short.claim(horizon=0.5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schedule": {"horizons": [0.5, 0.25, 1.0]}}, "schedule.horizons: must increase"),
        ({"schedule": {"horizons": [0.25, 0.5]}}, "schedule.horizons: must end with 1"),
        ({"space": {"decay": ["wsd", "cosine"]}}, 'schedule.horizons: need space.decay = "wsd"'),
        ({"space": {"optimizer": "schedule-free-sgd"}}, "schedule.horizons: need a cooldown"),
        ({"space": {"optimizer": "adamw", "weight_decay_tau": 0.1}}, "schedule.horizons: have budgets of their own"),
        (
            {"budget": {"lr_time": 10.0, "min_steps": 10, "max_steps": 90}},
            "schedule.horizons: are shares of one budget",
        ),
    ],
)
def test_horizons_that_cannot_be_are_refused(changes, told):
    table = {"name": "other", **TABLE}
    for key, value in changes.items():
        table[key] = value if key == "budget" else {**table[key], **value}
    with pytest.raises(SpecError, match=told):
        parse_spec(table, "test")
