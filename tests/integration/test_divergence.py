"""Divergence in a designed study of a function or a program of one's own is an outcome, however it is told."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from batchlaw.claims.designed import findings_of
from batchlaw.claims.notes import notes_of
from batchlaw.claims.runs import adaptive_runs_of, runs_of
from batchlaw.claims.study_claim import claim_of_study
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.errors import Diverged, StudyError
from batchlaw.laws.studies import law_of_study
from batchlaw.objectives.function import load_function
from batchlaw.objectives.program import Command
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.records import records_of
from batchlaw.spec import parse_spec, read_spec
from batchlaw.storage import register
from batchlaw.workers.asking import Asking
from batchlaw.workers.worker import Worker

from tests.conftest import tiny_study

SIZES, RATES = [1, 2, 4, 8, 16, 32, 128], [2.0**exponent for exponent in range(-6, 0)]
LAST = (SIZES[0], RATES[-1])  # the cell that diverges


def spec_of(objective=("objective", "mine:train"), **claim):
    table = tiny_study(task=None, train_size=128)
    del table["search"], table["task"]
    name, value = objective
    table[name] = value
    table["space"] = {"batch_size": SIZES, "base_lr": RATES, "optimizer": "sgd"}
    table["claim"] = {
        "hypotheses": ["H9"], "metric": "loss", "direction": "minimize", "reports": 2, "max_retries": 0, **claim,
    }  # fmt: skip
    return parse_spec(table, "test")


def loss_of(trial):
    """Best at log₂ B = log₂ ε + 6, and worst in the corner opposite to the cell that diverges."""
    off = math.log2(trial.batch_size) - math.log2(trial.config.peak_lr) - 6
    return off**2 / 16 + (trial.seed % 100) / 1000


def is_last(trial):
    return (trial.batch_size, trial.config.base_lr) == LAST


@pytest.fixture
def storage(sqlite_storage):
    return sqlite_storage


def work(storage, spec, objective):
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(torch.device("cpu"), None, objective), study_seed=0).work()
    return stored


def last_of(stored):
    """The record of the cell that diverges."""
    [record] = [r for r in records_of(stored) if (r.params["batch_size"], r.params["base_lr"]) == LAST]
    return record


def corner_of(stored):
    """The scores of that cell, higher is better, and which runs of the study were unstable."""
    ((_, surface),) = surfaces_of(stored.spec, runs_of(stored.spec, records_of(stored)), "lr")
    return surface.scores[-1, 0], surface.unstable


def returns(value):
    return lambda trial: {"loss": value}


def reports(value):
    def told(trial):
        trial.report(0.5, {"loss": value})
        raise AssertionError("it ends at the report")

    return told


def raises(trial):
    raise Diverged


@pytest.mark.parametrize(
    "told", [returns(math.nan), returns(math.inf), returns(-math.inf), reports(math.nan), reports(math.inf), raises],
    ids=["returns nan", "returns inf", "returns -inf", "reports nan", "reports inf", "raises"],
)  # fmt: skip
def test_a_diverged_cell_is_judged_with_the_worst_score_of_the_study(storage, told):
    stored = work(storage, spec_of(), lambda trial: told(trial) if is_last(trial) else {"loss": loss_of(trial)})
    assert Counter(record.outcome for record in records_of(stored)) == {"complete": 41, "diverged": 1}
    scores, unstable = corner_of(stored)
    worst = max(value for record in records_of(stored) for value in record.result.replicate_values if value == value)
    assert (scores == -worst).all()
    assert unstable.sum() == 5 and unstable[-1, 0].all()
    findings_of(stored, None, seed=0)
    assert "5 runs were counted with the worst loss of the study: they diverged" in " ".join(
        notes_of(stored.spec, records_of(stored))
    )


def test_a_seed_that_diverges_leaves_the_others_their_scores(storage):
    calls = []

    def objective(trial):
        calls.append(is_last(trial))
        # The second and the fourth seed of the cell; the reports of all but the first are not recorded.
        if is_last(trial) and sum(calls) in (2, 4):
            trial.report(0.5, {"loss": math.nan})
            return {"loss": 0.0}
        return {"loss": loss_of(trial)}

    stored = work(storage, spec_of(), objective)
    record = last_of(stored)
    assert record.outcome == "diverged" and record.value is None and sum(calls) == 5
    assert record.result.diverged == [False, True, False, True, False]
    values = record.result.replicate_values
    assert [math.isnan(value) for value in values] == record.result.diverged
    scores, unstable = corner_of(stored)
    assert (scores[[0, 2, 4]] == -np.array(values)[[0, 2, 4]]).all()
    assert scores[1] == scores[3] < scores[[0, 2, 4]].min()
    assert unstable.sum() == 2


def test_an_untrained_score_that_is_given_counts(storage):
    def objective(trial):
        if is_last(trial):
            raise Diverged({"loss": 7.0, "accuracy": math.nan})
        return {"loss": loss_of(trial)}

    stored = work(storage, spec_of(), objective)
    scores, unstable = corner_of(stored)
    assert (scores == -7.0).all() and unstable.sum() == 5
    assert last_of(stored).value == 7.0
    assert not any("worst" in note for note in notes_of(stored.spec, records_of(stored)))


def test_a_metric_that_is_missing_is_an_error(storage):
    stored = work(storage, spec_of(), lambda trial: {"loss" if not is_last(trial) else "los": loss_of(trial)})
    record = last_of(stored)
    assert record.outcome == "failed" and "metric: 'loss' is not among the metrics: los" in record.reason


def test_the_other_seeds_of_a_cell_are_not_trained_once_two_have_diverged(storage):
    calls = Counter()

    def objective(trial):
        calls[trial.batch_size, trial.config.base_lr] += 1
        return {"loss": math.nan if is_last(trial) else loss_of(trial)}

    stored = work(storage, spec_of(), objective)
    assert calls.pop(LAST) == 2 and set(calls.values()) == {5}
    record = last_of(stored)
    assert record.result.not_trained == 3 and record.result.diverged == [True] * 5
    assert record.reason == "the first 2 seeds diverged; the other 3 were not trained"
    assert notes_of(stored.spec, records_of(stored))[0] == (
        "3 runs were not trained and count as diverged: the first two seeds of their cells diverged"
    )
    assert corner_of(stored)[1][-1, 0].all()


def test_one_diverged_seed_does_not_spare_the_others(storage):
    calls = []

    def objective(trial):
        calls.append(is_last(trial))
        return {"loss": math.nan if is_last(trial) and sum(calls) != 2 else loss_of(trial)}

    stored = work(storage, spec_of(), objective)
    assert sum(calls) == 5
    assert last_of(stored).result.diverged == [True, False, True, True, True]
    assert last_of(stored).result.not_trained == 0 and last_of(stored).reason is None


def test_a_search_ends_a_trial_at_the_first_seed_that_diverges(storage):
    calls = []

    def objective(trial):
        calls.append(trial.seed)
        return {"validation_loss": math.nan}

    search = {"trials": 3, "replicates": 4, "metric": "validation_loss"}
    table = tiny_study(search=search, objective="mine:train", train_size=64)
    del table["task"]
    stored = work(storage, parse_spec(table, "test"), objective)
    assert [record.outcome for record in records_of(stored)] == ["diverged"] * 3 and len(calls) == 3


def test_a_study_without_any_score_says_so(storage):
    stored = work(storage, spec_of(), returns(math.nan))
    with pytest.raises(StudyError, match="no run of study 'tiny' has a score: all diverged"):
        findings_of(stored, None, seed=0)


def test_the_runs_of_an_adaptive_design_diverge(storage):
    spec = spec_of(design="adaptive", runs=60, replicates=1)
    stored = work(storage, spec, lambda trial: {"loss": math.nan if trial.batch_size < 4 else loss_of(trial)})
    runs = adaptive_runs_of(spec, records_of(stored))
    assert runs.unstable.any() and (runs.unstable == (runs.tuned < 4)).all()
    assert (runs.scores[runs.unstable] == runs.scores.min()).all()
    findings_of(stored, None, seed=0)


def test_a_loop_of_ones_own_tells_which_seeds_diverged(storage):
    stored = register(storage, spec_of(), trials=None, version="test")
    asking = Asking(stored, Runtime(torch.device("cpu"), None, None))
    while (trial := asking.ask()) is not None:
        losses = [{"loss": loss_of(trial)} for _ in trial.config.seeds]
        if is_last(trial):
            losses[3] = {"loss": math.nan}
        asking.tell(trial, Diverged() if trial.batch_size == 2 else losses)
    asking.close()
    assert last_of(stored).result.diverged == [False, False, False, True, False]
    scores, unstable = corner_of(stored)
    assert unstable.sum() == 1 + 5 * len(RATES) and unstable[:, 1].all()
    assert scores[3] < scores[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ['{"loss": NaN}', '{"loss": -Infinity}', '{"loss": 1e999}', '{"loss": NaN, "progress": 0.5}']
)
def test_the_output_of_a_program_diverges(storage, tmp_path, line):
    (tmp_path / "script.py").write_text(
        "import json, random, sys\n"
        "batch_size, lr, seed = sys.argv[1:]\n"
        "loss = float(lr) - 1e-9 * random.Random(seed).random()\n"
        f"print({line!r} if (batch_size, lr) == ('1', '0.5') else json.dumps({{'loss': loss}}))\n"
    )
    words = ["python", "-I", "-S", "script.py", "{batch_size}", "{base_lr}", "{seed}"]
    spec = spec_of(("command", words))
    stored = work(storage, spec, Command(spec, tmp_path))
    assert Counter(record.outcome for record in records_of(stored)) == {"complete": 41, "diverged": 1}
    assert corner_of(stored)[0] == pytest.approx(-RATES[-1])
    findings_of(stored, None, seed=0)


CLIFF = Path(__file__).parents[1] / "data" / "cliff"


def of_the_cliff(storage, name):
    """The study of the planted cliff, with one of its functions: the last rate that trains is 0.0025 × B."""
    spec = read_spec(CLIFF / "cliff.toml")
    return work(storage, spec, load_function(f"cliff:{name}", CLIFF))


@pytest.mark.parametrize("name", ["train", "train_raising"])
class TestACliff:
    def test_every_cell_is_an_outcome(self, storage, name):
        stored = of_the_cliff(storage, name)
        assert Counter(record.outcome for record in records_of(stored)) == {"complete": 60, "diverged": 36}
        findings_of(stored, None, seed=0)
        law_of_study(stored)

    def test_the_best_rate_is_one_that_trains(self, storage, name):
        levels = claim_of_study(of_the_cliff(storage, name)).levels
        of_batch_sizes = levels[(levels["given"] == "batch_size") & (levels["status"] == "identified")]
        assert {8, 64} <= set(of_batch_sizes["value"])
        for level in of_batch_sizes.itertuples():
            last = 0.0025 * level.value
            assert 0.7 * last < level.best < 1.01 * last and level.low < last < level.high

    def test_the_best_batch_size_is_one_that_trains(self, storage, name):
        levels = claim_of_study(of_the_cliff(storage, name)).levels
        of_rates = levels[(levels["given"] == "lr") & (levels["status"] == "identified")]
        assert {0.08, 0.16} <= set(of_rates["value"])
        for level in of_rates.itertuples():
            first = level.value / 0.0025
            assert 0.99 * first < level.best < 1.42 * first and level.low < first < level.high

    def test_the_law_predicts_none_that_diverges(self, storage, name):
        assert law_of_study(of_the_cliff(storage, name)).predict(96).value <= 0.24


@pytest.mark.release
def test_the_best_rate_of_real_training_is_one_that_trains(storage):
    stored = work(storage, read_spec(CLIFF / "real.toml"), None)
    levels = claim_of_study(stored).levels
    [level] = levels[(levels["given"] == "batch_size") & (levels["value"] == 32)].itertuples()
    assert 0.56 < level.best < 1.14 and level.low < 0.8 < level.high < 3.2
