"""The designed arm: every cell once, never pruned, through interrupts and lost workers; and its judgement."""

import math
import signal

import pytest
import torch
from batchlaw.claims.designed import findings_of
from batchlaw.claims.hypotheses import preregistration
from batchlaw.claims.runs import runs_of
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.errors import Diverged, SpecError, StudyError
from batchlaw.measure.cost import cost_of
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.space import cells
from batchlaw.results.records import records_of
from batchlaw.spec import parse_spec
from batchlaw.storage import register
from batchlaw.workers.worker import Worker
from optuna.trial import TrialState

from tests.conftest import tiny_study

CPU = torch.device("cpu")


def claim_spec(space=None, claim=None, **changes):
    table = tiny_study(**changes)
    del table["search"]
    table["space"] = {
        "batch_size": {"low": 1, "high": 128, "log2": True},
        "base_lr": [2.0**exponent for exponent in range(-6, 2)],
        **(space or {}),
    }
    table["claim"] = {"hypotheses": ["H9", "H8"], "reports": 1, **(claim or {})}
    return parse_spec(table, "test")


def own_spec(**claim):
    """Cells of a training function of one's own, which cost nothing."""
    return claim_spec(claim={"metric": "validation_loss", **claim}, task=None, objective="mine:train", train_size=128)


def bowl(trial):
    """Best at log₂ B = log₂ ε + 9, with a seed's own noise: ε is a tenth of base_lr."""
    off = math.log2(trial.batch_size) - math.log2(trial.config.peak_lr) - 9
    loss = off**2 / 4 + (trial.seed % 1000) / 4000 + hash_noise(trial.config) / 10
    trial.report(1.0, {"validation_loss": loss})
    return {"validation_loss": loss}


def hash_noise(config):
    return math.sin(1e4 * config.seeds[0] * config.peak_lr * math.sqrt(config.batch_size + 1.7))


@pytest.fixture
def storage(sqlite_storage):
    return sqlite_storage


def work(storage, spec, objective=None):
    stored = register(storage, spec, trials=None, version="test", preregistration=preregistration(spec.claim))
    worker = Worker(stored, Runtime(CPU, None, objective), study_seed=spec.arm.seed)
    worker.work()
    return stored


def params_of(stored):
    return [record.params for record in records_of(stored) if record.outcome == "complete"]


def key(params):
    return tuple(sorted(params.items()))


def test_every_cell_is_one_trial_of_all_seeds(storage):
    spec = own_spec()
    stored = work(storage, spec, bowl)
    assert sorted(map(key, params_of(stored))) == sorted(map(key, cells(spec)))
    assert len(cells(spec)) == 64
    seeds = {record.config.seeds for record in records_of(stored)}
    assert len(seeds) == 1 and len(seeds.pop()) == 5
    assert all(len(record.result.replicate_values) == 5 for record in records_of(stored))


def test_the_planted_verdict_comes_out(storage):
    (((stratum, findings),),) = findings_of(work(storage, own_spec(), bowl), None, seed=0)
    assert stratum == {}
    assert (findings[0].hypothesis.name, findings[0].verdict) == ("H9", "supported")
    assert findings[0].slope.slope == pytest.approx(1, abs=0.1)


def test_naming_a_hypothesis_does_not_undo_the_correction_for_the_studys_own(storage):
    stored = work(storage, own_spec(hypotheses=["H9"]), bowl)
    (((_, (named,)),),) = findings_of(stored, ["H6"], seed=0)
    assert named.hypothesis.name == "H6"
    # H9 was asked of the same runs, shown or not, and its p-value is the larger one.
    assert named.p_adjusted > 1.5 * named.p_value
    assert not named.preregistered
    (((_, (own,)),),) = findings_of(stored, ["H9"], seed=0)
    assert own.preregistered and named.preregistered is False


def test_further_factors_are_judged_level_by_level(storage):
    spec = claim_spec(
        space={"momentum": [0.0, 0.9]}, claim={"metric": "validation_loss"}, task=None, objective="mine:train",
        train_size=128,
    )  # fmt: skip
    (judged,) = findings_of(work(storage, spec, bowl), None, seed=0)
    assert [name for name, _ in judged] == [{"momentum": 0.0}, {"momentum": 0.9}]
    # The rate on the axis is the one the optimizer got: base_lr × (1 - m).
    rates = [findings[0].side.ridge.given[0] for _, findings in judged]
    assert rates == pytest.approx([2.0**-6, 2.0**-6 / 10])


def test_cells_are_told_by_what_was_suggested_not_by_what_was_derived(storage):
    """Adam has no momentum and an untuned warmup of its own: every cell of the product has its trial all the same."""
    spec = claim_spec(
        space={"optimizer": ["momentum", "adam"], "momentum": [0.0, 0.9], "warmup": "untuned", "base_lr": [
            2.0**exponent for exponent in range(-6, 0)
        ], "batch_size": [1, 2, 4, 8, 16, 64, 128]},
        budget={"steps": 4000}, claim={"metric": "validation_loss"}, task=None, objective="mine:train", train_size=128,
    )  # fmt: skip
    (judged,) = findings_of(work(storage, spec, bowl), ["H8"], seed=0)
    assert len(judged) == 4


def test_a_named_hypothesis_must_fit_the_design(storage):
    stored = work(storage, own_spec(), bowl)
    with pytest.raises(SpecError, match=r"space\.decay: H11 needs step, batch-growth as well"):
        findings_of(stored, ["H11"], seed=0)


def test_what_would_decide_is_stored_with_the_study_before_the_first_run(storage):
    spec = own_spec(margin=0.2)
    stored = register(storage, spec, trials=None, version="test", preregistration=preregistration(spec.claim))
    entries = stored.study.user_attrs["batchlaw:claims"]
    assert [entry["hypothesis"] for entry in entries] == ["H9", "H8"]
    assert entries[0]["supported_if"] == "the slope's interval lies within [0.8, 1.2]"


def test_an_interrupted_cell_is_run_again_and_none_is_run_twice(storage):
    calls = []
    spec = own_spec()
    stored = register(storage, spec, trials=None, version="test")

    def objective(trial):
        calls.append(trial.config)
        if len(calls) == 23:
            signal.raise_signal(signal.SIGTERM)
        return bowl(trial)

    runtime = Runtime(CPU, None, objective)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    runtime.interrupts.install()
    try:
        Worker(stored, runtime, study_seed=0).work()
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert stored.slots.counts().done < 64
    stored = work(storage, spec, bowl)
    assert sorted(map(key, params_of(stored))) == sorted(map(key, cells(spec)))
    outcomes = [record.outcome for record in records_of(stored)]
    assert outcomes.count("lost") == 1 and outcomes.count("complete") == 64
    assert not stored.study.get_trials(states=(TrialState.WAITING,))
    findings_of(stored, None, seed=0)


def test_a_failing_cell_is_tried_again_in_its_own_slot(storage):
    failed = set()

    def objective(trial):
        if (trial.batch_size, trial.config.base_lr) in {(1, 2.0**-6), (8, 0.5)} and trial.batch_size not in failed:
            failed.add(trial.batch_size)
            raise RuntimeError("a fault")
        return bowl(trial)

    stored = work(storage, own_spec(), objective)
    assert len(failed) == 2
    assert sorted(map(key, params_of(stored))) == sorted(map(key, cells(stored.spec)))


def test_a_cell_that_runs_again_finds_its_folder(storage, tmp_path):
    folders = []

    def objective(trial):
        folders.append(trial.run_dir)
        if len(folders) == 1:
            raise RuntimeError("a fault")
        return bowl(trial)

    spec = own_spec(replicates=5)
    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(CPU, None, objective, runs_dir=tmp_path / "runs"), study_seed=0).work()
    assert folders.count(folders[0]) == 2
    assert len(set(folders)) == len(folders) - 1 == 64 * 5  # one a seed


def test_a_cell_whose_worker_died_is_run_again(storage):
    spec = own_spec()
    stored = register(storage, spec, trials=None, version="test")
    claim = stored.slots.lease()
    trial = stored.study.ask()
    stored.slots.started(claim, trial._trial_id)
    stored.slots.lease_seconds = -1.0  # it died long ago
    stored.slots.renew(claim)
    stored = work(storage, spec, bowl)
    assert sorted(map(key, params_of(stored))) == sorted(map(key, cells(spec)))


def test_a_searched_study_decides_no_claim(storage):
    spec = parse_spec(tiny_study(), "test")
    stored = register(storage, spec, trials=None, version="test")
    with pytest.raises(StudyError, match="decide no claim"):
        findings_of(stored, None, seed=0)


def test_a_diverged_cell_is_an_outcome(storage):
    def objective(trial):
        if trial.config.base_lr > 1 and trial.batch_size < 4:
            raise Diverged({"validation_loss": 7.0})
        return bowl(trial)

    stored = work(storage, own_spec(), objective)
    ((_, surface),) = surfaces_of(stored.spec, runs_of(stored.spec, records_of(stored)), "lr")
    assert surface.unstable.sum() == 2 * 5 and surface.unstable[-1, :2].all()
    assert (surface.scores[-1, :2] == -7.0).all()


def test_runs_no_better_than_guessing_count_as_guessing(storage):
    """Real training: at a rate of 51 the network dies, whatever its loss then is."""
    spec = claim_spec(
        space={"batch_size": [1, 2, 4, 8, 16, 32, 64, 128], "base_lr": [0.25, 0.5, 8.0, 64.0, 256.0, 512.0]},
        task={"train_size": 128, "model_options": {"widths": [32]}},
        budget={"epochs": 4},
    )
    stored = work(storage, spec)
    records = records_of(stored)
    ((_, surface),) = surfaces_of(spec, runs_of(spec, records), "lr")
    assert surface.unstable[-1, 0].all() and not surface.unstable[0, 2].any()
    assert surface.scores[-1, 0] == pytest.approx(-math.log(10))
    assert all(record.outcome in ("complete", "diverged") for record in records)
    runtime = Runtime(CPU, None)
    assert replay(next(r for r in records if r.outcome == "complete"), spec, runtime).largest_difference == 0.0


STACKING = {
    "space": {
        "batch_size": {"low": 1, "high": 128, "log2": True},
        "base_lr": [2.0**exponent for exponent in range(-6, 2)],
    },
    "task": {"train_size": 128, "validation_fraction": 0.1, "model_options": {"widths": [16]}},
    "budget": {"epochs": 2},
}  # fmt: skip


@pytest.fixture
def three_at_once(monkeypatch):
    """As if a measurement had said so, at every batch size."""
    monkeypatch.setattr("batchlaw.objectives.builtin.configs_together", lambda configs, train: min(3, len(configs)))


def test_learning_rates_of_a_batch_size_share_a_network_and_each_is_a_trial(storage, three_at_once):
    spec = claim_spec(**STACKING)
    stored = work(storage, spec)
    assert sorted(map(key, params_of(stored))) == sorted(map(key, cells(spec)))
    records = records_of(stored)
    # The eight rates of a batch size as networks of three, three and two.
    assert [record.result.stack_size for record in records[:8]] == [15] * 6 + [10] * 2
    assert stored.slots.counts().done == 64
    for record in records[1::12]:
        assert record.params["base_lr"] in record.result.stacked_base_lrs
        assert replay(record, spec, Runtime(CPU, None)).largest_difference == 0.0
    alone = work_alone(storage, spec)
    for ours, theirs in zip(records, alone, strict=True):
        assert ours.params == theirs.params and theirs.result.stack_size in (1, 5)
        assert ours.result.replicate_values == pytest.approx(theirs.result.replicate_values, rel=0.02)


def work_alone(storage, spec):
    """The trials of the same study, each in a network of its own, in the order of its cells."""
    timed = spec.model_copy(
        update={"name": "alone", "claim": spec.claim.model_copy(update={"hypotheses": ("H9", "H8", "H2")})}
    )
    return records_of(work(storage, timed))


def test_runs_are_timed_by_themselves_where_their_time_is_the_question(storage, three_at_once):
    stored = work(storage, claim_spec(claim={"hypotheses": ["H2"]}, **STACKING))
    assert all(record.result.stacked_base_lrs == [record.params["base_lr"]] for record in records_of(stored))


def test_a_network_that_is_interrupted_hands_all_its_cells_back(storage, three_at_once, tmp_path, work_until):
    spec = claim_spec(**STACKING)
    stored = register(storage, spec, trials=None, version="test")
    runtime = Runtime(CPU, None, checkpoint_dir=tmp_path, checkpoint_seconds=0.0)
    work_until(Worker(stored, runtime, study_seed=0), 20)
    counts = stored.slots.counts()
    assert counts.held == 0 and 0 < counts.done < 64
    Worker(stored, Runtime(CPU, None), study_seed=0).work()
    assert sorted(map(key, params_of(stored))) == sorted(map(key, cells(spec)))
    outcomes = [record.outcome for record in records_of(stored)]
    assert outcomes.count("lost") == 3 and outcomes.count("complete") == 64


def test_the_cells_of_a_network_whose_worker_died_are_run_again(storage, three_at_once):
    spec = claim_spec(**STACKING)
    stored = register(storage, spec, trials=None, version="test")
    claim = stored.slots.lease()
    for each in (claim, *stored.slots.lease_more(claim, range(64), 2)):
        stored.slots.started(each, stored.study.ask()._trial_id)
        stored.slots.lease_seconds = -1.0  # it died long ago
        stored.slots.renew(each)
        stored.slots.lease_seconds = 120.0
    stored = work(storage, spec)
    assert sorted(map(key, params_of(stored))) == sorted(map(key, cells(spec)))
    assert [record.outcome for record in records_of(stored)].count("lost") == 3


def test_every_given_factor_has_its_surface(storage):
    """Batch sizes over training sizes and over momentum, in one study of both, and each with its hypothesis."""

    def objective(trial):
        best = math.log2(trial.config.train_size) - 4 - math.log2(1 - trial.config.momentum)
        loss = (math.log2(trial.batch_size) - best) ** 2 / 4 + hash_noise(trial.config) / 10
        return {"validation_loss": loss}

    spec = claim_spec(
        space={
            "base_lr": 0.1, "family_factors": False, "train_size": [128, 256, 512, 1024],
            "momentum": [0.0, 0.5, 0.75, 0.875],
            "batch_size": {"low": 1, "high": 128, "log2": True},
        },
        claim={"hypotheses": ["H10"], "metric": "validation_loss"}, task=None, objective="mine:train", train_size=1024,
    )  # fmt: skip
    (((stratum, (finding,)), *_),) = findings_of(work(storage, spec, objective), None, seed=0)
    assert stratum == {"momentum": 0.0}
    assert finding.verdict == "supported" and finding.slope.slope == pytest.approx(1, abs=0.1)
    assert finding.evidence.as_dict()["per_train_size"][0]["train_size"] == 128
    assert "reverse" not in finding.evidence.as_dict()


def test_momentum_is_read_as_damping(storage):
    def objective(trial):
        best = 2 - math.log2(1 - trial.config.momentum)
        return {"validation_loss": (math.log2(trial.batch_size) - best) ** 2 / 4 + hash_noise(trial.config) / 10}

    spec = claim_spec(
        space={
            "base_lr": 0.1, "family_factors": False, "momentum": [0.0, 0.5, 0.75, 0.875, 0.9375],
            "batch_size": {"low": 1, "high": 128, "log2": True},
        },
        claim={"hypotheses": ["H9m"], "metric": "validation_loss"}, task=None, objective="mine:train", train_size=128,
    )  # fmt: skip
    stored = work(storage, spec, objective)
    assert {record.config.peak_lr for record in records_of(stored)} == {0.1}
    (((_, (finding,)),),) = findings_of(stored, None, seed=0)
    assert finding.slope.slope == pytest.approx(1, abs=0.1), finding.reason
    assert 0.5 < finding.slope.ci_low < finding.slope.ci_high < 1.5  # five levels over four octaves tell no more


def test_training_sizes_are_trained_with(storage):
    """Real training: a smaller size sees fewer examples an epoch, and replays to the same numbers."""
    spec = claim_spec(
        space={"base_lr": 0.1, "train_size": [128, 256, 512, 1024], "batch_size": [1, 2, 4, 8, 16, 64, 128]},
        task={"train_size": None}, budget={"steps": 2}, claim={"hypotheses": ["H10"]},
    )  # fmt: skip
    stored = work(storage, spec)
    records = records_of(stored)
    assert {record.config.train_size for record in records} == {128, 256, 512, 1024}
    assert {record.config.task.train_size for record in records} == {128, 256, 512, 1024}
    findings_of(stored, None, seed=0)
    for record in records[::9]:
        assert replay(record, spec, Runtime(CPU, None)).largest_difference == 0.0


@pytest.mark.release
def test_the_cost_counts_cells_and_measures(storage):
    plan = cost_of(claim_spec(task={"train_size": 128}, claim={"replicates": 6}), Runtime(CPU, None), workers=2)
    assert (plan.cells, plan.runs) == (64, 384) and plan.seconds > 0
    more = cost_of(own_spec(replicates=20), Runtime(CPU, None, bowl), workers=2)
    assert more.seconds is None and more.slope_half_widths < plan.slope_half_widths
    search = cost_of(parse_spec(tiny_study(), "test"), Runtime(CPU, None), workers=2)
    assert search.trials == 6 and search.seconds > 0
    twice = cost_of(parse_spec(tiny_study(search={"trials": 4000}), "test"), Runtime(CPU, None), workers=2)
    assert twice.seconds > search.seconds  # most of six tiny trials is the start of the processes


def test_batch_sharpness_is_recorded_and_judged(storage):
    spec = claim_spec(
        space={"batch_size": [8, 16, 64], "base_lr": 0.3, "optimizer": "sgd", "decay": "constant"},
        claim={"hypotheses": ["H27"], "reports": 8},
        budget={"epochs": 20},
    )
    stored = work(storage, spec)
    (((_, (finding,)),),) = findings_of(stored, None, seed=0)
    results = {record.config.batch_size: record.result for record in records_of(stored)}
    assert [cell["batch_size"] for cell in finding.details["cells"]] == [8, 16, 64]
    for cell in finding.details["cells"]:
        points = [point.metrics["batch_sharpness"] for point in results[cell["batch_size"]].curves]
        assert len(points) == 8 and {len(seeds) for seeds in points} == {5}
        last = [sum(seeds) / 5 for seeds in points[-2:]]
        assert cell["ratio"]["difference"] == pytest.approx(sum(last) / 2 * 0.3 / 2)
