"""Studies whose scores are planted: records as a worker would have left them."""

import math

import numpy as np
import pandas as pd
import pytest
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import cells, point_of
from batchlaw.results.records import TrialRecord
from batchlaw.results.result import CurvePoint, TrialResult
from batchlaw.spec import parse_spec

from tests.conftest import tiny_study

SEEDS = (1, 2, 3, 4, 5)
COLUMNS = {"score": "loss", "direction": "minimize", "seed": "seed"}  # of `sqrt_table`


def designed(**space):
    """A claim study over eight batch sizes and eleven rates, with code of one's own, so that scores may be anything."""
    table = tiny_study(task=None, objective="mine:train", train_size=4096)
    del table["search"]
    table["space"] = {
        "batch_size": {"low": 2, "high": 256, "log2": True}, "base_lr": [2.0**k for k in range(-10, 1)],
        "family_factors": False, **space,
    }  # fmt: skip
    table["claim"] = {"hypotheses": ["H6"], "metric": "validation_loss"}
    return parse_spec(table, "test")


def record(spec, number, params, values, **result):
    """A completed trial; `values` are those of its seeds."""
    config = derive(spec, point_of(params, spec), SEEDS[: len(values)])
    curve = [CurvePoint(k / 4, {spec.arm.metric: float(np.mean(values)) + 1 - k / 4}) for k in range(1, 5)]
    found = {"replicate_values": values, "curve": curve, "train_seconds": config.steps * 1e-3 * len(values)} | result
    return TrialRecord(
        number=number, outcome=Outcome.COMPLETE, value=float(np.mean(values)), params=params,
        config=config, result=TrialResult(**found), reason=None, intermediate_values={},
        started=None, ended=None,
    )  # fmt: skip


def parabola(config, *, slope, noise=0.05):
    """Losses of all seeds, least at log₂ ε = slope × (log₂ B - 4.5) - 5."""
    off = math.log2(config.peak_lr) + 5 - slope * (math.log2(config.batch_size) - 4.5)
    shake = np.random.default_rng([config.batch_size, round(1e6 * config.peak_lr)]).normal(size=len(SEEDS))
    return (off / 2) ** 2 + 1 + noise * shake


def planted(spec, slope_of=lambda config: 0.5):
    """Every cell of a designed study."""
    records = []
    for number, params in enumerate(cells(spec)):
        config = derive(spec, point_of(params, spec), SEEDS)
        records.append(record(spec, number, params, parabola(config, slope=slope_of(config)).tolist()))
    return records


@pytest.fixture(scope="session")
def sqrt_study():
    """A designed study in which the square root rule holds."""
    spec = designed(optimizer="momentum")
    return spec, planted(spec)


@pytest.fixture(scope="session")
def sqrt_table(sqrt_study):
    """The scores of the same study, a row a run."""
    return pd.DataFrame(
        {"lr": record.config.peak_lr, "batch_size": record.config.batch_size, "seed": seed, "loss": value}
        for record in sqrt_study[1]
        for seed, value in enumerate(record.result.replicate_values)
    )
