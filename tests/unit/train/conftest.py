"""One thread, and configurations that train in milliseconds."""

from pathlib import Path

import pytest
import torch
from batchlaw.recipe.derive import derive
from batchlaw.spec import TrainConfig
from batchlaw.spec.knobs import Point
from batchlaw.train import train

from tests.conftest import tiny_spec

CPU = torch.device("cpu")
NOWHERE = Path("unused")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


CNN = {"model": "cnn", "model_options": {"channels": 4}}  # what goes through autograd; the mlp has its own gradient

TEXT = {
    "dataset": "python-source", "model": "gpt", "train_size": 64, "evaluation_tokens": 512,
    "model_options": {"width": 8, "depth": 2, "heads": 2, "context": 16},
}  # fmt: skip


def config_of(*, seeds=(1,), budget=None, task=None, schedule=None, space=None, reports=4, **point) -> TrainConfig:
    """A configuration of the tiny study; `point` moves it within the space."""
    changes = {
        "budget": budget or {"epochs": 4},
        "task": task or {},
        "space": space or {},
        "search": {"reports": reports},
    }
    spec = tiny_spec(**changes, **({"schedule": schedule} if schedule else {}))
    defaults = {
        "batch_size": 16, "base_lr": 0.1, "scaling_rule": "constant", "warmup_fraction": 0.0, "optimizer": "momentum",
        "decay": "constant", "momentum": 0.9, "weight_decay": 0.0,
    }  # fmt: skip
    return derive(spec, Point(**{**defaults, **point}), seeds)


def run(config, report=lambda progress, metrics: None, **options):
    return train(config, report, device=CPU, data_dir=NOWHERE, **options)
