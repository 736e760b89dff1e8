"""Trials whose configuration differs from what was suggested, stored and read again."""

import pytest
from batchlaw import Study
from batchlaw.results.records import known_trials


def test_what_follows_from_other_values_is_read_as_it_was_stored(tmp_path):
    study = Study.create(
        name="recipes",
        storage=f"sqlite:///{tmp_path / 'recipes.db'}",
        task={"dataset": "digits", "model": "mlp", "train_size": 64, "model_options": {"widths": [8]}},
        budget={"epochs": 4},
        space={
            "batch_size": 8, "base_lr": 0.3, "optimizer": ["muon", "schedule-free-adamw"], "decay": ["wsd", "cosine"],
            "weight_decay_tau": {"low": 0.05, "high": 1.0, "log": True},
        },
        search={"trials": 5, "sampler": "random", "pruner": "none", "metric": "validation_loss"},
    ).run(workers=0)  # fmt: skip
    records = known_trials(study.stored).records
    assert {record.outcome for record in records} == {"complete"}
    assert "schedule-free-adamw" in {record.config.optimizer for record in records}
    for record in records:
        config = record.config
        timescale = 1 / (config.weight_decay * config.peak_lr * config.steps)
        assert timescale == pytest.approx(config.weight_decay_tau)
        assert config.decay == ("constant" if config.optimizer == "schedule-free-adamw" else record.params["decay"])
