"""Exports: ties and errors against SciPy, the Python form against the schedule and the optimizer it stands for."""

import dataclasses

import numpy as np
import pytest
import scipy
import torch

from search.export import best_per, select, with_ties
from search.export.snippet import python_snippet
from search.records import TrialRecord
from search.schedule import schedule_of
from search.stats.comparison import mean_and_error, welch_p_value
from search.train import optimizers
from tests.conftest import tiny_spec
from tests.unit.train.conftest import config_of

FAMILIES = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
DECAYS = ["constant", "cosine", "linear", "step", "batch-growth"]


def record(number, values, **config):
    errors = {"validation_accuracy": 0.02}
    return TrialRecord(
        number=number, outcome="complete", value=float(np.mean(values)), params={},
        config={**config_of().model_dump(mode="json"), **config},
        result={"replicate_values": list(values), "validation_standard_errors": errors},
        reason=None, intermediate_values={}, started=None, ended=None,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_the_test_of_ties_is_scipys_welch(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0.9, 0.01, 4), rng.normal(0.91, 0.03, 6)
    ours = welch_p_value(*mean_and_error(list(a)), 4, *mean_and_error(list(b)), 6)
    assert ours == pytest.approx(scipy.stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert mean_and_error(list(a))[1] == pytest.approx(scipy.stats.sem(a))


def test_known_errors_are_compared_by_the_normal():
    assert welch_p_value(0.95, 0.01, 1, 0.95 - 1.959964 * 0.01 * 2**0.5, 0.01, 1) == pytest.approx(0.05, abs=1e-6)
    assert welch_p_value(0.9, 0.0, 1, 0.9, 0.0, 1) == 1.0
    assert welch_p_value(0.9, 0.0, 1, 0.8, 0.0, 1) == 0.0


def test_replicates_give_the_error_and_one_replicate_falls_back_on_the_validation_sample():
    spec = tiny_spec()
    best, close, far = record(1, [0.95, 0.97, 0.96]), record(2, [0.93, 0.97, 0.95]), record(3, [0.5, 0.51, 0.52])
    one, two, three = with_ties([best, close, far], best, spec)
    assert (one.standard_error_of, one.n_replicates) == ("seeds", 3)
    assert one.standard_error == pytest.approx(scipy.stats.sem([0.95, 0.97, 0.96]))
    assert [c.tied_with_best for c in (one, two, three)] == [True, True, False]
    (single,) = with_ties([record(4, [0.9])], record(4, [0.9]), spec)
    assert (single.standard_error, single.standard_error_of) == (0.02, "validation sample")
    unknown = dataclasses.replace(record(5, [0.9]), result={})
    assert with_ties([unknown], best, spec)[0].tied_with_best is None


def test_the_best_come_first_in_the_direction_of_the_metric():
    records = [record(0, [0.5]), record(1, [0.9]), record(2, [0.7]), record(3, [0.9])]
    assert [r.number for r in select(records, tiny_spec(), top=3, per=None)] == [1, 3, 2]
    loss = tiny_spec(search={"metric": "validation_loss"})
    assert [r.number for r in select(records, loss, top=1, per=None)] == [0]


def test_per_takes_the_best_of_each_value_and_groups_rates_by_half_decades():
    records = [record(0, [0.9], batch_size=8, base_lr=0.02), record(1, [0.8], batch_size=4, base_lr=0.03),
               record(2, [0.7], batch_size=8, base_lr=0.2)]  # fmt: skip
    assert [r.number for r in best_per(records, "batch_size")] == [1, 0]
    assert [r.number for r in best_per(records, "base_lr")] == [0, 2]


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_python_form_builds_the_same_optimizer_and_schedule(family, decay):
    config = config_of(
        optimizer=family, decay=decay, warmup_fraction=0.25, weight_decay=0.01, batch_size=2, budget={"epochs": 6}
    )
    module: dict = {"__name__": "exported"}
    exec(python_snippet(config, "A title"), module)
    model = torch.nn.Linear(4, 3)
    optimizer = module["build_optimizer"](model)
    ours = optimizers.build(config, model)
    assert type(optimizer) is type(ours)
    shared = {"lr", "momentum", "nesterov", "weight_decay", "betas", "alpha", "eps", "dampening", "amsgrad"}
    for group, own in zip(optimizer.param_groups, ours.param_groups, strict=True):
        assert {key: group[key] for key in shared & set(group)} == {key: own[key] for key in shared & set(own)}
    schedule, lrs = module["build_schedule"](optimizer), []
    for _ in range(config.steps):
        lrs.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert lrs == pytest.approx((config.peak_lr * schedule_of(config).lr_multipliers()).tolist())
    assert [module["phase"](step)[0] for step in range(config.steps)] == schedule_of(config).batch_sizes().tolist()


def test_the_python_form_exempts_norms_and_biases():
    config = config_of(weight_decay=0.1, space={"exempt_norms_and_biases": True})
    module: dict = {"__name__": "exported"}
    exec(python_snippet(config, "A title"), module)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
    groups = module["build_optimizer"](model).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 1), (0.0, 3)]
