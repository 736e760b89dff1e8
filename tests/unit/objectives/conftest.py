"""Configurations and trials of training functions."""

import pytest
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.derive import derive
from batchlaw.spec.knobs import Point

from tests.conftest import tiny_spec


def config_of(*, task=None, budget=None, **point):
    changes = {"task": task} if task is not None else {"task": None, "objective": "mine:train", "train_size": 320}
    search = {"metric": "loss", "direction": "minimize", "pruner": "none"} if task is None else {}
    spec = tiny_spec(budget=budget or {"epochs": 2}, search=search, **changes)
    defaults = {
        "batch_size": 16, "base_lr": 0.1, "scaling_rule": "constant", "warmup_fraction": 0.0, "optimizer": "momentum",
        "decay": "constant", "momentum": 0.9, "weight_decay": 0.0,
    }  # fmt: skip
    return derive(spec, Point(**defaults | point), (7,))


@pytest.fixture
def trial_of(tmp_path):
    """A function that makes a trial of a configuration, whose reports are in its `reports`."""

    def make(config, **facts):
        reports = []
        trial = Trial(
            config, lambda progress, metrics: reports.append((progress, dict(metrics))), tmp_path / "files", **facts
        )
        trial.reports = reports
        return trial

    return make
