"""An adaptive claim from its file to its verdict: real database, real workers, a training function of one's own."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from batchlaw.claims.designed import findings_of
from batchlaw.claims.hypotheses import preregistration
from batchlaw.claims.runs import adaptive_runs_of
from batchlaw.errors import SpecError, StudyError
from batchlaw.figures.gallery import gallery
from batchlaw.laws import known_laws, laws_of
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.records import records_of
from batchlaw.results.result import TrialResult
from batchlaw.spec import parse_spec
from batchlaw.storage import register
from batchlaw.workers.worker import Worker

from tests.conftest import tiny_study

RATES = [2.0**exponent for exponent in range(-6, 2)]


def adaptive_spec(space=None, **claim):
    table = tiny_study(task=None, objective="mine:train", train_size=128)
    del table["search"]
    table["space"] = {"batch_size": {"low": 1, "high": 128, "log2": True}, "base_lr": RATES, **(space or {})}
    table["claim"] = {
        "hypotheses": ["H9"], "design": "adaptive", "runs": 96, "replicates": 1, "metric": "validation_loss",
        "reports": 1, **claim,
    }  # fmt: skip
    return parse_spec(table, "test")


def bowl(trial):
    """Best at log₂ B = log₂ ε + 9, with noise of the run and of the seed: ε is a tenth of base_lr."""
    off = math.log2(trial.batch_size) - math.log2(trial.config.peak_lr) - 9
    generator = np.random.default_rng([trial.seed, trial.batch_size, round(1e6 * trial.config.peak_lr)])
    common = np.random.default_rng(trial.seed).normal()
    loss = off**2 / 4 + 0.1 * (common + generator.normal())
    trial.report(1.0, {"validation_loss": loss})
    return {"validation_loss": loss}


@pytest.fixture
def storage(sqlite_storage):
    return sqlite_storage


def work(storage, spec, trials=None):
    stored = register(storage, spec, trials=trials, version="test", preregistration=preregistration(spec.claim))
    Worker(stored, Runtime(torch.device("cpu"), None, bowl), study_seed=spec.arm.seed).work()
    return stored


def test_the_planted_verdict_comes_out_of_a_fraction_of_the_runs(storage):
    stored = work(storage, adaptive_spec())
    (((stratum, [finding]),),) = findings_of(stored, None, seed=0)
    assert stratum == {} and (finding.hypothesis.name, finding.verdict) == ("H9", "supported")
    assert finding.slope.ci_low < 1 < finding.slope.ci_high
    assert finding.reason.endswith("adaptive design, 96 runs")
    found = finding.evidence.as_dict()
    assert len(found["per_lr"]) == 8 and found["cliff_ratio"] is None and "reverse" not in found


def test_a_round_is_every_rate_once_on_the_same_seeds_and_no_run_repeats_another(storage):
    records = records_of(work(storage, adaptive_spec(replicates=2, runs=64)))
    assert Counter(record.params["base_lr"] for record in records) == dict.fromkeys(RATES, 8)
    rounds = {}
    for record in records:
        rounds.setdefault(record.config.seeds, []).append(record.params["base_lr"])
    assert len(rounds) == 8 and all(sorted(rates) == RATES for rates in rounds.values())
    assert len({seed for seeds in rounds for seed in seeds}) == 16


def test_its_figures_are_those_of_its_ridge_and_it_gives_no_law(storage):
    stored = work(storage, adaptive_spec())
    records = records_of(stored)
    assert known_laws(stored.spec, records) == []
    with pytest.raises(StudyError, match="has an adaptive design, which does not fill the grid"):
        laws_of(stored.spec, records)
    drawn = gallery(stored.spec, records, findings_of(stored, None, seed=0))
    assert "lr-ridge" in drawn and "lr-map" not in drawn


def test_a_loss_is_read_on_a_log_scale_and_a_score_as_it_is(storage):
    stored = work(storage, adaptive_spec(runs=64))
    records = records_of(stored)
    losses = np.array([record.value for record in records])
    scores = adaptive_runs_of(stored.spec, records).scores
    assert (losses <= 0).any()
    np.testing.assert_allclose(scores, -losses)  # a loss below 0 has no logarithm
    lifted = [replace(record, result=TrialResult(replicate_values=[record.value + 1])) for record in records]
    np.testing.assert_allclose(adaptive_runs_of(stored.spec, lifted).scores, -np.log(losses + 1))


def test_a_verdict_waits_for_its_runs(storage):
    stored = register(storage, adaptive_spec(), trials=None, version="test")
    with pytest.raises(StudyError, match=r"96 of 96 runs have no result yet; see Study\.run"):
        findings_of(stored, None, seed=0)


@pytest.mark.parametrize(
    ("space", "claim", "message"),
    [
        ({}, {"hypotheses": ["H9", "H8"]}, 'claim.hypotheses: an adaptive design can judge H9 only; got "H8"'),
        ({}, {"runs": None}, 'claim.runs: is required with design = "adaptive"; got null'),
        ({}, {"runs": 63}, "claim.runs: must be at least 64, 8 for each learning rate; got 63"),
        ({}, {"design": "factorial", "replicates": 5}, 'claim.runs: belongs to design = "adaptive"'),
        ({"momentum": [0.0, 0.9]}, {}, "space.momentum: an adaptive design varies batch_size and base_lr only"),
        ({"base_lr": RATES[:5]}, {}, "space.base_lr: H9 needs 6 levels or more over 5 octaves"),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_line(space, claim, message):
    with pytest.raises(SpecError) as caught:
        adaptive_spec(space, **claim)
    assert message in str(caught.value)
