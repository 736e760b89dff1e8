"""A staggered grid, on which each learning rate has batch sizes of its own, from its study file to its verdict."""

import json
import math
import random

import numpy as np
import pytest
import torch
from batchlaw.claims.hypotheses import preregistration
from batchlaw.claims.runs import runs_of
from batchlaw.claims.study_claim import claim_of_study
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.errors import SpecError, StudyError
from batchlaw.figures.labels import labels_of
from batchlaw.figures.report import claim_report
from batchlaw.figures.ridges import score_map
from batchlaw.laws.studies import law_of_study
from batchlaw.measure.cost import cost_of
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.space import cells
from batchlaw.results.frame import frame_of
from batchlaw.results.records import records_of
from batchlaw.spec import parse_spec
from batchlaw.storage import register
from batchlaw.workers.worker import Worker

from tests.conftest import tiny_study

CPU = torch.device("cpu")
RATES = [0.01 * 2**place for place in range(7)]


def spec_of(space=None, **changes):
    table = tiny_study(**({"objective": "mine:train", "train_size": 1024} | changes))
    del table["search"]
    if "task" not in changes:
        del table["task"]
    table["space"] = {"batch_size": {"low": 4, "high": 512, "log2": True}, "base_lr": RATES, "optimizer": "sgd"}
    table["space"] |= space or {}
    table["claim"] = {"hypotheses": ["H9"], "metric": "validation_loss", "grid": "staggered", "reports": 1}
    return parse_spec({name: value for name, value in table.items() if value is not None}, "test")


def bowl(trial):
    """Best at B = 600 ε."""
    off = math.log2(trial.batch_size / (600 * trial.config.peak_lr))
    noise = random.Random(f"{trial.seed} {trial.batch_size} {trial.config.peak_lr}").gauss(0, 0.01)
    return {"validation_loss": 1 + off**2 / 10 + noise}


@pytest.fixture
def storage(sqlite_storage):
    return sqlite_storage


def work(storage, spec, objective=None):
    stored = register(storage, spec, trials=None, version="test", preregistration=preregistration(spec.claim))
    Worker(stored, Runtime(CPU, None, objective), study_seed=0).work()
    return stored


def test_every_cell_is_run_once_at_its_own_batch_size(storage):
    spec = spec_of()
    stored = work(storage, spec, bowl)
    records = records_of(stored)
    assert [record.params for record in records] == cells(spec) and len(records) == 8 * 7
    assert all(record.params["batch_size"] == record.config.batch_size for record in records)
    assert set(frame_of(records)["batch_size"]) == {record.config.batch_size for record in records}
    assert "shifted by 0, 1/3 or 2/3" in stored.study.user_attrs["batchlaw:claims"][0]["grid"]


def test_the_surface_has_no_score_where_nothing_was_planned(storage):
    stored = work(storage, spec_of(), bowl)
    ((_, surface),) = surfaces_of(stored.spec, runs_of(stored.spec, records_of(stored)), "lr")
    assert surface.scores.shape == (7, 1 + 3 * 7, 5)
    there = ~np.isnan(surface.scores)
    assert there.all(axis=2).sum() == there.any(axis=2).sum() == 8 * 7
    assert (there.any(axis=2).sum(axis=1) == 8).all() and there[:, 0].all()
    assert not surface.unstable.any()


def test_it_is_judged_in_one_direction(storage):
    stored = work(storage, spec_of(), bowl)
    found = claim_of_study(stored)
    assert set(found.levels["given"]) == {"lr"}  # nothing is said of the best rate at a batch size
    json.dumps(found.as_dict(), allow_nan=False)
    assert "H9 " in claim_report(list(found.blocks), labels_of(stored.spec), found.notes)


def test_the_map_shows_each_cell_at_its_own_batch_size(storage):
    stored = work(storage, spec_of(), bowl)
    evidence = claim_of_study(stored).blocks[0][0][1][0].evidence
    heat = score_map(evidence, labels_of(stored.spec)).data[0]
    shown, sizes = np.moveaxis(np.array(heat.customdata, float), 2, 0)
    at = dict(zip(heat.y, evidence.forward.surface.tuned, strict=True))
    assert [at[place] for place in heat.y[:5]] == [4, 8, 10, 13, 16]
    assert sizes[:5, 1].tolist() == [4, 10, 10, 10, 20]  # at a rate that has 4, 10, 20, …
    assert shown[1, 1] == shown[2, 1] == shown[3, 1] == evidence.forward.surface.means[1, 2] * -1
    assert np.isnan(shown[-1, 0]) and not np.isnan(shown[-2, 0])  # 813 lies beyond half of the spacing above 512


def test_the_planted_ridge_is_found(storage):
    found = claim_of_study(work(storage, spec_of(), bowl))
    assert found.verdict == "supported" and found.low < 1 < found.high
    known = found.levels[found.levels["status"] == "identified"]
    assert len(known) >= 4
    for level in known.itertuples():
        assert level.low < 600 * level.value < level.high


def test_what_needs_a_crossed_grid_is_refused(storage):
    stored = work(storage, spec_of(), bowl)
    with pytest.raises(SpecError, match="H6 compares learning rates at one batch size"):
        claim_of_study(stored, "H6")
    with pytest.raises(StudyError, match="study 'tiny' has a staggered grid; a law compares learning rates"):
        law_of_study(stored)


def test_further_factors_have_a_grid_each(storage):
    spec = spec_of(space={"momentum": [0.0, 0.9], "optimizer": "momentum"})
    stored = work(storage, spec, lambda trial: {"validation_loss": 1.0})
    strata = list(surfaces_of(spec, runs_of(spec, records_of(stored)), "lr"))
    assert [stratum for stratum, _ in strata] == [{"momentum": 0.0}, {"momentum": 0.9}]
    for _, surface in strata:
        assert (~np.isnan(surface.scores)).all(axis=2).sum() == 8 * 7


@pytest.mark.slow
def test_real_training_at_any_batch_size(storage, monkeypatch):
    """Learning rates that share a batch size train as one network, as on a crossed grid."""
    monkeypatch.setattr("batchlaw.objectives.builtin.configs_together", lambda configs, train: len(configs))
    spec = spec_of(
        task={"train_size": 1024, "model_options": {"widths": [8]}}, objective=None, train_size=None,
        budget={"steps": 2},
    )  # fmt: skip
    stored = work(storage, spec)
    records = records_of(stored)
    assert {record.outcome for record in records} == {"complete"}
    at = {(r.config.batch_size, r.config.base_lr): r.result.stacked_base_lrs for r in records}
    assert at[161, RATES[1]] == [RATES[1], RATES[4]] and at[4, RATES[0]] == RATES


def test_the_cost_names_the_batch_sizes():
    found = cost_of(spec_of(), Runtime(CPU, None, bowl), workers=2)
    assert found.cells == 56
    lines = found.lines()
    assert "batch sizes 4, 10, 20, 40, 81, 161, 323, 645 at base_lr 0.02, 0.16" in lines
    assert sum(line.startswith("batch sizes ") for line in lines) == 3
