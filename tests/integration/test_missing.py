"""Cells without a score: out of memory, or failed for good. They are missing, which is not divergence."""

import math

import numpy as np
import pytest
import torch
from batchlaw.claims.designed import findings_of
from batchlaw.claims.notes import notes_of
from batchlaw.claims.runs import adaptive_runs_of, runs_of
from batchlaw.claims.study_claim import claim_of_study
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.errors import DeviceMemoryError, StudyError
from batchlaw.laws.studies import law_of_study
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.records import known_trials, records_of
from batchlaw.spec import parse_spec
from batchlaw.storage import register
from batchlaw.workers.worker import Worker

from tests.conftest import tiny_study

SIZES, RATES = [2**exponent for exponent in range(9)], [2.0**exponent for exponent in range(-6, 1)]
N_CELLS = len(SIZES) * len(RATES)


def spec_of(**claim):
    table = tiny_study(objective="mine:train", train_size=256)
    del table["search"], table["task"]
    table["space"] = {"batch_size": SIZES, "base_lr": RATES, "optimizer": "sgd"}
    table["claim"] = {
        "hypotheses": ["H9", "H6"], "metric": "loss", "direction": "minimize", "reports": 1, "max_retries": 0, **claim,
    }  # fmt: skip
    return parse_spec(table, "test")


def loss_of(trial):
    """Best at B = 64 ε."""
    off = math.log2(trial.batch_size) - math.log2(trial.config.peak_lr) - 6
    return {"loss": 1 + off**2 / 16 + math.sin(1e4 * trial.seed * trial.config.peak_lr * (trial.batch_size + 0.7)) / 50}


def lacking(error, cells):
    """A function that raises at some (batch_size, base_lr)."""

    def train(trial):
        if (trial.batch_size, trial.config.base_lr) in cells:
            raise error
        return loss_of(trial)

    return train


@pytest.fixture
def storage(sqlite_storage):
    return sqlite_storage


def work(storage, spec, objective):
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(torch.device("cpu"), None, objective), study_seed=0).work()
    return stored


TOO_LARGE, BUG = DeviceMemoryError("too large"), ValueError("a bug")


@pytest.mark.parametrize(
    ("error", "outcome", "named"), [(TOO_LARGE, "out-of-memory", "out of memory"), (BUG, "failed", "failed")]
)
def test_a_cell_without_a_score_is_missing_and_named(storage, error, outcome, named):
    stored = work(storage, spec_of(), lacking(error, {(256, 1.0), (8, 0.25)}))
    assert [record.outcome for record in records_of(stored)].count(outcome) == 2
    ((_, surface),) = surfaces_of(stored.spec, runs_of(stored.spec, records_of(stored), ended=True), "lr")
    missing = np.isnan(surface.scores)
    assert missing.sum() == 2 * 5 and missing[-1, -1].all() and missing[4, 3].all()
    assert not surface.unstable.any()
    found = claim_of_study(stored)
    assert found.notes == (
        f"2 of {N_CELLS} cells are missing (2 {named}): batch_size 8, base_lr 0.25; batch_size 256, base_lr 1.0",
    )
    law_of_study(stored)


def test_many_missing_cells_are_counted(storage):
    stored = work(storage, spec_of(), lacking(TOO_LARGE, {(256, rate) for rate in RATES}))
    assert claim_of_study(stored).notes[0].endswith("; and 4 more")


def test_a_cell_that_is_still_to_run_is_not_missing(storage):
    """The study goes on, so its runs do not decide yet."""
    stored = register(storage, spec_of(max_retries=2), trials=None, version="test")
    with pytest.raises(Exception, match="3 configurations failed here and none succeeded"):
        objective = lacking(BUG, {(SIZES[0], rate) for rate in RATES})
        Worker(stored, Runtime(torch.device("cpu"), None, objective), study_seed=0).work()
    with pytest.raises(StudyError, match=f"{N_CELLS} of {N_CELLS} cells have no result yet, such as batch"):
        findings_of(stored, None, seed=0)


def test_a_cell_that_failed_and_is_run_again_is_not_missing(storage):
    objective = lacking(BUG, {(8, 0.25)})
    failed = []

    def train(trial):
        try:
            return objective(trial)
        except ValueError:
            if failed:
                return loss_of(trial)
            failed.append(trial.batch_size)
            raise

    stored = work(storage, spec_of(max_retries=1), train)
    assert failed == [8] and claim_of_study(stored).notes == ()


def test_hypotheses_that_compare_every_cell_stay_open(storage):
    stored = work(storage, spec_of(hypotheses=["H17", "H3"]), lacking(BUG, {(256, 1.0)}))
    (((_, (stability, larger)),),) = findings_of(stored, None, seed=0)
    assert stability.hypothesis.name == "H17" and stability.reason == "no run was unstable"
    assert larger.verdict == "inconclusive"
    assert larger.reason == f"1 of {N_CELLS} combinations of the levels have no score"


def test_runs_of_an_adaptive_design_that_did_not_fit_are_left_out(storage):
    def train(trial):
        if trial.batch_size == 256:
            raise TOO_LARGE
        return loss_of(trial)

    stored = work(storage, spec_of(design="adaptive", runs=70, replicates=1, hypotheses=["H9"]), train)
    outcomes = [record.outcome for record in records_of(stored)]
    n_missing = outcomes.count("out-of-memory")
    assert n_missing > 0 and len(outcomes) == 70
    known = known_trials(stored)
    assert known.ended and len(adaptive_runs_of(stored.spec, known.records).scores) == 70 - n_missing
    findings_of(stored, None, seed=0)
    assert notes_of(stored.spec, known.records) == (
        f"{n_missing} of 70 runs are missing: they failed or did not fit into memory",
    )
