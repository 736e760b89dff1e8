"""An adaptive claim from its file to its verdict: real database, real workers, a training function of one's own."""

import math
from collections import Counter
from dataclasses import replace

import batchlaw as bl
import numpy as np
import pytest
import torch
from batchlaw.claims.designed import findings_of
from batchlaw.claims.hypotheses import preregistration
from batchlaw.claims.runs import adaptive_runs_of
from batchlaw.errors import SpecError, StudyError
from batchlaw.figures.gallery import gallery
from batchlaw.laws import known_laws, laws_of
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import run_seeds
from batchlaw.results.records import records_of
from batchlaw.results.result import TrialResult
from batchlaw.sampling.adaptive import Cell, look_slots, seeds_of_their_own
from batchlaw.spec import parse_spec, toml_of
from batchlaw.storage import register
from batchlaw.workers.slot_trial import SlotTrial
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
    stored = work(storage, adaptive_spec(runs=128))
    (((stratum, [finding]),),) = findings_of(stored, None, seed=0)
    assert stratum == {} and (finding.hypothesis.name, finding.verdict) == ("H9", "supported")
    assert finding.slope.ci_low < 1 < finding.slope.ci_high
    assert finding.reason.endswith("adaptive design, 128 runs")
    found = finding.evidence.as_dict()
    assert len(found["per_lr"]) == 8 and found["cliff_ratio"] is None and "reverse" not in found


def test_no_run_repeats_another_and_turns_share_their_seeds(storage):
    records = records_of(work(storage, adaptive_spec(replicates=2, runs=64)))
    assert len({(*cell_of(record), record.config.seeds) for record in records}) == 64
    turns = sorted({record.config.seeds for record in records}, key=[run_seeds(0, 2, turn) for turn in range(64)].index)
    assert turns == [run_seeds(0, 2, turn) for turn in range(len(turns))] and 2 <= len(turns) < 12
    assert len([record for record in records if record.config.seeds == turns[0]]) > 3 * len(RATES)


def cell_of(record):
    return record.params["base_lr"], record.params["log2_batch_size"]


@pytest.fixture
def five_at_once(monkeypatch):
    """As if a measurement had said so, at every batch size."""
    monkeypatch.setattr("batchlaw.objectives.builtin.configs_together", lambda configs, train: min(5, len(configs)))


def stackable_spec(**claim):
    table = tiny_study(task={"train_size": 128, "validation_fraction": 0.1, "model_options": {"widths": [16]}})
    del table["search"]
    table["space"] = {"batch_size": {"low": 1, "high": 128, "log2": True}, "base_lr": RATES, "optimizer": "momentum"}
    table["claim"] = {
        "hypotheses": ["H9"], "design": "adaptive", "runs": 64, "replicates": 1, "reports": 1, "noise_scale": False,
        **claim,
    }  # fmt: skip
    return parse_spec(table, "test")


def test_rates_that_are_to_be_run_at_one_batch_size_train_as_one_network(storage, five_at_once):
    spec = stackable_spec()
    records = records_of(work(storage, spec))
    assert [record.result.stack_size for record in records[:16]] == [5] * 5 + [3] * 3 + [5] * 5 + [3] * 3
    assert [record.params["log2_batch_size"] for record in records[:16]] == [3] * 8 + [7] * 8
    assert len(records) == len({(*cell_of(record), record.config.seeds) for record in records}) == 64
    assert np.mean([len(record.result.stacked_base_lrs) for record in records[16:]]) > 2
    for record in records:
        mates = [other for other in records if other.result.stacked_base_lrs == record.result.stacked_base_lrs]
        assert record.params["base_lr"] in record.result.stacked_base_lrs
        assert any(mate.config.batch_size == record.config.batch_size for mate in mates)
    assert replay(records[-1], spec, Runtime(torch.device("cpu"), None)).largest_difference == 0.0


def test_a_stack_whose_worker_died_is_lost_and_the_budget_is_exact(storage, five_at_once):
    spec = stackable_spec()
    stored = register(storage, spec, trials=None, version="test")
    first = stored.slots.lease()
    for lease in (first, *stored.slots.lease_more(first, look_slots(spec, first.slot), 4)):
        SlotTrial.ask(stored, spec.arm.seed, lease)
        stored.slots.lease_seconds = -1.0  # it died long ago
        stored.slots.renew(lease)
        stored.slots.lease_seconds = 120.0
    records = records_of(work(storage, spec))
    complete = [record for record in records if record.outcome == "complete"]
    assert [record.outcome for record in records].count("lost") == 5 and len(complete) == 64
    assert len({(*cell_of(record), record.config.seeds) for record in complete}) == 64
    assert stored.slots.counts().done == 64
    # The first look is whole, since its cells belong to their slots.
    assert {cell_of(record) for record in complete} >= {(rate, size) for rate in RATES for size in (3, 7)}


def test_an_interrupted_stack_is_handed_back_whole_and_run_again(storage, five_at_once, work_until):
    spec = stackable_spec()
    stored = register(storage, spec, trials=None, version="test")
    work_until(Worker(stored, Runtime(torch.device("cpu"), None), study_seed=spec.arm.seed), 30)
    counts = stored.slots.counts()
    assert counts.held == 0 and 0 < counts.done < 64
    records = records_of(work(storage, spec))
    complete = [record for record in records if record.outcome == "complete"]
    assert len(complete) == len({(*cell_of(record), record.config.seeds) for record in complete}) == 64
    findings_of(stored, None, seed=0)


@pytest.mark.parametrize("order", ["at once", "one after the other"])
def test_workers_that_chose_the_same_run_it_on_different_seeds(storage, order):
    spec = stackable_spec()
    stored = register(storage, spec, trials=None, version="test")
    stacks = []
    for _ in range(3):
        chosen = [Cell({"base_lr": rate, "log2_batch_size": 3}, 0) for rate in RATES[2:5]]
        asked = [SlotTrial.ask(stored, spec.arm.seed, stored.slots.lease(), cell=cell) for cell in chosen]
        stacks.append([each.trial for each in asked])
        if order == "one after the other":
            seeds_of_their_own(stacks[-1], stored.study)
    for _ in range(2):  # what is settled stays
        for stack in stacks:
            seeds_of_their_own(stack, stored.study)
    turns = [{trial.user_attrs["turn"] for trial in stack} for stack in stacks]
    assert all(len(turn) == 1 for turn in turns) and len(set.union(*turns)) == 3


@pytest.mark.slow
def test_two_workers_run_no_cell_twice_on_the_same_seeds(tmp_path):
    (tmp_path / "study.toml").write_text(toml_of(stackable_spec(runs=96)))
    study = bl.Study.create(tmp_path / "study.toml", f"sqlite:///{tmp_path / 'two.db'}")
    study.run(workers=2, device="cpu")
    records = records_of(study.stored)
    assert len(records) == len({(*cell_of(record), record.config.seeds) for record in records}) == 96


def test_a_cell_that_always_fails_does_not_use_up_the_budget(storage):
    def failing(trial):
        if (trial.batch_size, trial.config.base_lr) == (32, 0.5):
            raise RuntimeError("a fault")
        return bowl(trial)

    spec = adaptive_spec(runs=64)
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(torch.device("cpu"), None, failing), study_seed=spec.arm.seed).work()
    outcomes = Counter(record.outcome for record in records_of(stored))
    assert outcomes["complete"] >= 60 and 0 < outcomes["failed"] < 16


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
