"""Exports against the schedule and the optimizer that they stand for, and their provenance."""

import dataclasses
import re

import numpy as np
import pytest
import scipy
import torch
import yaml
from batchlaw.cli import exporting
from batchlaw.errors import BatchlawError
from batchlaw.export import FORMATS, provenances_of, render
from batchlaw.export.accumulation import micro_batches
from batchlaw.export.lightning_module import lightning_module
from batchlaw.export.snippet import python_snippet
from batchlaw.export.timm_flags import timm_flags
from batchlaw.export.training_arguments import training_arguments
from batchlaw.export.wandb_sweep import wandb_sweep
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.schedule import schedule_of
from batchlaw.results.result import TrialResult
from batchlaw.results.standings import Standings
from batchlaw.results.verification import Estimate, Verification
from batchlaw.spec import families as spec_families
from batchlaw.train import optimizers

from tests.conftest import tiny_spec
from tests.unit.results.conftest import record
from tests.unit.train.conftest import config_of

FAMILIES = [family for family in spec_families.FAMILIES if family != spec_families.OWN]
DECAYS = ["constant", "cosine", "linear", "step", "batch-growth", "wsd", "seesaw"]


def provenance_of(config, **changes):
    """The provenance of a study's only trial, with this configuration."""
    (provenance,) = provenances([record_of(config)])
    return dataclasses.replace(provenance, **changes)


def record_of(config, number=0, values=(0.95,)):
    return dataclasses.replace(record(number, values), config=config)


def provenances(records, spec=None, verified=None):
    spec = spec or tiny_spec()
    standings = Standings(spec, records)
    configurations = standings.configurations(standings.order)
    return provenances_of(configurations, records, spec, exported="2026-01-01T00:00:00+00:00", verified=verified)


def test_the_help_names_every_format():
    assert set(re.findall(r"\w+", exporting._FORMATS)) - {"or"} == set(FORMATS)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_python_form_builds_the_same_optimizer_and_schedule(family, decay):
    if decay == "seesaw" and family == "adagrad":
        return  # refused
    config = config_of(
        optimizer=family, decay=decay, warmup_fraction=0.25, weight_decay=0.01, batch_size=2, budget={"epochs": 6}
    )
    module: dict = {"__name__": "exported"}
    exec(python_snippet(config, provenance_of(config)), module)
    model = torch.nn.Linear(4, 3)
    optimizer = module["build_optimizer"](model)
    ours = optimizers.build(config, model)
    assert type(optimizer).__name__ == type(ours).__name__
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


@pytest.mark.parametrize(
    "point",
    [
        {"optimizer": "muon", "weight_decay": 0.1},
        {"optimizer": "muon", "weight_decay": 0.1, "space": {"exempt_norms_and_biases": True}},
        {"optimizer": "adamw", "weight_decay": 0.1, "bias_correction": False},
        {"optimizer": "adam", "bias_correction": False},
        {"optimizer": "schedule-free-sgd"},
    ],
)
def test_the_python_form_takes_the_same_steps(point):
    config = config_of(**point)
    module: dict = {"__name__": "exported"}
    exec(python_snippet(config, provenance_of(config)), module)
    weights = []
    for build in (module["build_optimizer"], lambda model: optimizers.build(config, model)):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 3))
        optimizer = build(model)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
        weights.append(list(model.parameters()))
    assert all(torch.allclose(ours, theirs, atol=1e-7) for ours, theirs in zip(*weights, strict=True))


def test_the_python_form_exempts_norms_and_biases():
    config = config_of(weight_decay=0.1, space={"exempt_norms_and_biases": True})
    module: dict = {"__name__": "exported"}
    exec(python_snippet(config, provenance_of(config)), module)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
    groups = module["build_optimizer"](model).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 1), (0.0, 3)]


def test_the_interval_is_students_over_seeds_and_the_normal_of_a_validation_sample():
    values = [0.95, 0.97, 0.96]
    of_seeds, of_sample = provenances([record(1, values), record(2, [0.9])])
    low, high = scipy.stats.t.interval(0.95, 2, np.mean(values), scipy.stats.sem(values))
    assert (of_seeds.ci_low, of_seeds.ci_high) == pytest.approx((low, high))
    assert (of_sample.ci_low, of_sample.ci_high) == pytest.approx(scipy.stats.norm.interval(0.95, 0.9, 0.02))
    (unknown,) = provenances([dataclasses.replace(record(5, [0.9]), result=TrialResult())])
    assert (unknown.ci_low, unknown.ci_high, unknown.standard_error) == (None, None, None)


def test_provenance_says_what_the_study_tried_with_the_same_optimizer():
    tried = [record(0, [0.9], batch_size=8, peak_lr=0.1), record(1, [0.8], batch_size=64, peak_lr=0.4),
             record(2, [0.7], optimizer="adam", batch_size=4, peak_lr=0.001)]  # fmt: skip
    diverged = dataclasses.replace(record(3, [0.1], batch_size=32, peak_lr=9.0), outcome=Outcome.DIVERGED)
    waiting = dataclasses.replace(record(4, [0.1], batch_size=1), outcome=Outcome.RUNNING)
    first, _, adam = provenances([*tried, diverged, waiting])
    assert (first.batch_sizes, first.peak_lrs) == ((8, 64), (0.1, 9.0))
    assert (adam.batch_sizes, adam.peak_lrs) == ((4, 4), (0.001, 0.001))
    assert first.n_complete == 3 and first.budget == {"epochs": 2} and first.train_size == 64


def test_a_verification_belongs_to_its_trial_alone():
    fresh, optimism = Estimate(0.9, 0.01), Estimate(0.05, 0.01)
    verified = Verification(
        trial=2, metric="m", n_seeds=6, seeds=(1, 2, 3, 4, 5, 6), search_value=0.95, fresh=fresh, optimism=optimism
    )
    other, tested = provenances([record(1, [0.97]), record(2, [0.95])], verified=verified)
    assert "verified" not in other.as_dict() and "fresh" not in other.comment()
    assert tested.as_dict()["verified"] == {
        "trial": 2, "metric": "m", "n_seeds": 6, "search_value": 0.95,
        "fresh": {"value": 0.9, "standard_error": 0.01}, "optimism": {"value": 0.05, "standard_error": 0.01},
        "seeds": [1, 2, 3, 4, 5, 6], "same": False,
    }  # fmt: skip
    line = "6 fresh seeds (1, 2, 3, 4, 5, …): m 0.9000 ± 0.0100; the search reported 0.9500, an optimism of 0.0500 ±"
    assert line in tested.comment()
    with_test = dataclasses.replace(verified, test=("test_accuracy", Estimate(0.8, 0.02)))
    assert with_test.as_dict()["test"] == {"metric": "test_accuracy", "value": 0.8, "standard_error": 0.02}
    assert with_test.line().endswith("; test_accuracy 0.8000 ± 0.0200.")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "Verified on 2 fresh seeds (7, 8): m 0.9000 ± 0.0100; the search reported 0.9500, an optimism of 0.0500"),
        ({"scored_by": "program"}, "0.0100. Both scores are the program's own, on the data that it scores; no test"),
        ({"seeds": None}, "Verified by 2 further runs (the command takes no {seed}): m 0.9000"),
        ({"same": True}, "All runs gave the same score to the last bit, so that they tell nothing of its spread."),
    ],
)  # fmt: skip
def test_a_verification_says_on_what_it_rests(facts, words):
    fresh, optimism = Estimate(0.9, 0.01), Estimate(0.05, 0.01)
    known = {"trial": 2, "metric": "m", "n_seeds": 2, "search_value": 0.95, "seeds": (7, 8)}
    assert words in Verification(fresh=fresh, optimism=optimism, **known | facts).line()


def test_yaml_repeats_what_configurations_share_instead_of_naming_it():
    records, spec = [record(1, [0.97]), record(2, [0.95])], tiny_spec()
    verified = Verification(
        trial=1, metric="m", n_seeds=5, search_value=0.97, fresh=Estimate(0.9, 0.01), optimism=Estimate(0.07, 0.01)
    )
    text = render(
        "yaml",
        spec,
        Standings(spec, records).configurations(records),
        provenances(records, verified=verified),
        verified,
    )
    assert text.count("batch_sizes:") == 2 and "&" not in text and "*" not in text


def test_a_metric_of_any_text_stays_within_the_comment():
    told = python_snippet(config_of(), provenance_of(config_of(), metric='a\n"""\u2028import nothing\rb'))
    assert all(line.startswith("# ") for line in told.split("\n\n")[1].split("\n"))
    exec(told, {"__name__": "exported"})


@pytest.mark.parametrize(
    ("writer", "point", "line"),
    [
        (training_arguments, {"decay": "step"}, "'transformers'; decay is 'step'"),
        (training_arguments, {"decay": "batch-growth"}, "'transformers'; decay is 'batch-growth'"),
        (training_arguments, {"decay": "seesaw"}, "'transformers'; decay is 'seesaw'"),
        (timm_flags, {"optimizer": "muon"}, "'timm'; optimizer is 'muon', and timm has no optimizer that"),
        (timm_flags, {"optimizer": "adam", "bias_correction": False}, "'timm'; bias_correction is False"),
        (training_arguments, {"optimizer": "adamw", "bias_correction": False}, "'transformers'; bias_correction is F"),
        (training_arguments, {"optimizer": "muon"}, "'transformers'; optimizer is 'muon', and the Trainer has no"),
        (lightning_module, {"optimizer": "schedule-free-sgd"}, "'lightning'; optimizer is 'schedule-free-sgd'"),
        (timm_flags, {"decay": "wsd"}, "'timm'; decay is 'wsd', and timm has no schedule that stays"),
        (timm_flags, {"decay": "seesaw"}, "'timm'; decay is 'seesaw', and timm keeps its batch size"),
        (training_arguments, {"weight_decay": 0.1}, "'transformers'; weight_decay is 0.1, and the Trainer exempts"),
        (training_arguments, {"optimizer": "adam", "weight_decay": 0.1, "space": {"exempt_norms_and_biases": True}},
         "'transformers'; weight_decay is 0.1, and adam's is an L2 term"),
        (timm_flags, {"decay": "batch-growth"}, "'timm'; decay is 'batch-growth'"),
        (timm_flags, {"warmup_fraction": 0.1}, "'timm'; warmup is 1, and it is less than half an epoch of 4 updates"),
        (timm_flags, {"warmup_fraction": 0.9, "decay": "cosine"}, "'timm'; warmup is 14, and it leaves no epoch"),
    ],
)  # fmt: skip
def test_what_a_format_cannot_express_is_refused_in_one_line(writer, point, line):
    config = config_of(**point)
    with pytest.raises(BatchlawError) as refusal:
        writer(config, provenance_of(config))
    assert str(refusal.value).startswith(f"format: got {line}") and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("limit", "point", "parts"),
    [
        (None, {}, 1),
        (16, {}, 1),
        (15, {}, 2),
        (5, {}, 4),
        (1, {}, 16),
        (16, {"decay": "batch-growth", "batch_size": 8}, 4),  # 8, then 40 and 64 examples
    ],
)
def test_a_step_splits_into_equal_micro_batches(limit, point, parts):
    assert micro_batches(config_of(task={"micro_batch_size": limit}, **point), "lightning") == parts


def test_a_growing_batch_that_does_not_split_is_refused():
    config = config_of(task={"micro_batch_size": 4}, decay="batch-growth", batch_size=3)
    with pytest.raises(
        BatchlawError, match=r"^format: got 'lightning'; task\.micro_batch_size is 4, and batches of 3, 15, 64 do"
    ):
        micro_batches(config, "lightning")


def test_the_sweep_is_the_box_of_its_configurations_an_octave_wider():
    one, two = config_of(batch_size=16, base_lr=0.1), config_of(batch_size=8, base_lr=0.4, weight_decay=0.1)
    wide = [config_of(batch_size=4, base_lr=0.01), config_of(batch_size=64, base_lr=0.5)]
    records = [record_of(one, 0, [0.9]), record_of(two, 1, [0.8]),
               *(record_of(config, 2 + n, [0.5]) for n, config in enumerate(wide))]  # fmt: skip
    sweep = yaml.safe_load(wandb_sweep([one, two], provenances(records)[:2]))
    parameters = sweep["parameters"]
    assert parameters["batch_size"] == {"values": [4, 8, 16, 32]}
    # An octave below the slower; above the faster the study tried no more than 0.05.
    assert parameters["peak_lr"] == {
        "distribution": "log_uniform_values",
        "min": one.peak_lr / 2,
        "max": wide[1].peak_lr,
    }
    assert parameters["weight_decay"] == {"distribution": "uniform", "min": 0.0, "max": 0.1}
    assert parameters["momentum"] == {"value": 0.9} and parameters["epochs"] == {"value": 4.0}
    assert "beta2" not in parameters and "best so far: batch_size = 16" in sweep["description"]
