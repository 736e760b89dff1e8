"""Every export that names a library, loaded and run by that library, in a process of its own.

The libraries take seconds to import and warn on their own account, so each has one process for all its cases.
"""

import dataclasses
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
import yaml
from batchlaw.export import provenances_of, render
from batchlaw.recipe.derive import derive
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.space import suggest
from batchlaw.results.records import records_of
from batchlaw.results.standings import Standings
from batchlaw.spec import TrainConfig
from batchlaw.storage import load, open_storage
from batchlaw.train import optimizers

from tests.acceptance.conftest import environment
from tests.unit.train.conftest import config_of
from tests.waiting import DEADLINE

SHARED = {"momentum", "nesterov", "betas", "alpha", "eps", "dampening"}  # of parameter groups, across families


def in_library(name: str, cases: list, folder: Path) -> list:
    """Run its script in a process without our warning filters: cases on stdin as JSON, what it observed on stdout."""
    script = Path(__file__).parent / "libraries" / f"run_{name}.py"
    done = subprocess.run(
        [sys.executable, script], input=json.dumps(cases), cwd=folder, env=environment(folder),
        capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def exported(batchlaw_here, finished, tmp_path):
    """Export the finished study by the command: the text, and the configuration that it is of."""
    storage = open_storage(f"sqlite:///{finished / 'batchlaw.db'}")
    stored = load(storage, "tiny")
    best = Standings(stored.spec, records_of(stored)).best

    def export(form: str, *options: object) -> str:
        file = tmp_path / form
        batchlaw_here("export", "tiny", "--format", form, "-o", file, *options, folder=finished)
        return file.read_text()

    yield export, best.config, stored
    storage.engine.dispose()


def text_of(form: str, config: TrainConfig, stored) -> str:
    """The export of another configuration, as if the best trial of the study had had it."""
    records = records_of(stored)
    best = Standings(stored.spec, records).best
    other = dataclasses.replace(best, config=config)
    configurations = Standings(stored.spec, [other]).configurations([other])
    now = "2026-01-01T00:00:00+00:00"
    provenances = provenances_of(configurations, [*records, other], stored.spec, exported=now, verified=None)
    return render(form, stored.spec, configurations, provenances, None)


def rates(config: TrainConfig) -> list[float]:
    return (config.peak_lr * schedule_of(config).lr_multipliers()).tolist()


@pytest.mark.slow
def test_lightning_trains_every_step_with_our_batch_and_rate(exported, tmp_path):
    export, best, stored = exported
    configs = [
        best,
        config_of(decay="cosine", warmup_fraction=0.25, optimizer="adamw", task={"micro_batch_size": 5}),
        config_of(decay="batch-growth", batch_size=4, task={"micro_batch_size": 16}),
    ]
    texts = [export("lightning"), *(text_of("lightning", config, stored) for config in configs[1:])]
    told, *trained = in_library("lightning", texts, tmp_path)
    assert f"step 0: {best.batch_size} examples, learning rate {rates(best)[0]:.6g}" in told
    for config, observed in zip(configs, trained, strict=True):
        sizes, seen = np.zeros(config.steps), {}
        for step, examples, rate in observed:
            sizes[step] += examples
            seen[step] = rate
        assert sizes.tolist() == schedule_of(config).batch_sizes().tolist()
        assert list(seen.values()) == pytest.approx(rates(config))


@pytest.mark.slow
def test_transformers_trains_with_our_optimizer_and_rates_but_for_a_warmup_one_step_late(exported, tmp_path):
    export, best, stored = exported
    exempt = {"space": {"exempt_norms_and_biases": True}, "weight_decay": 0.1}
    configs = [
        best,
        config_of(optimizer="sgd", decay="cosine", warmup_fraction=0.25),
        config_of(optimizer="momentum", warmup_fraction=0.25, **exempt),
        config_of(optimizer="nesterov", decay="linear"),
        config_of(optimizer="adagrad", decay="cosine", task={"micro_batch_size": 8}),
        config_of(optimizer="rmsprop", decay="linear", warmup_fraction=0.25),
        config_of(optimizer="adamw", decay="linear", warmup_fraction=0.25, **exempt),
        config_of(optimizer="sgd", decay="wsd", warmup_fraction=0.25, schedule={"cooldown_fraction": 0.5}),
    ]
    texts = [export("transformers"), *(text_of("transformers", config, stored) for config in configs[1:])]
    for config, seen in zip(configs, in_library("transformers", texts, tmp_path), strict=True):
        ours, warmup = rates(config), config.warmup_steps
        late = [config.peak_lr * step / warmup for step in range(warmup)]
        assert seen["rates"] == pytest.approx([*late, *ours[warmup:]])
        assert sum(seen["sizes"]) == config.steps * config.batch_size
        assert seen["clip"] == 0
        adam = config.optimizer == "adam"  # without weight decay the same as adamw
        check_optimizer(config, seen["optimizer"].removesuffix("W" * adam), seen["groups"])


def check_optimizer(config: TrainConfig, name: str, groups: list[dict]) -> None:
    """The optimizer of a library against ours, on a linear layer and a norm."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
    ours = optimizers.build(config, model)
    assert name == type(ours).__name__
    decays = {group["weight_decay"]: len(group["params"]) for group in ours.param_groups}
    theirs = {}
    for group in groups:
        theirs[group["weight_decay"]] = theirs.get(group["weight_decay"], 0) + group["n"]
        for key in SHARED & set(group):
            own = ours.param_groups[0][key]
            assert group[key] == (list(own) if isinstance(own, tuple) else own), key
    assert {decay: n for decay, n in theirs.items() if n} == decays


@pytest.mark.slow
def test_timm_builds_our_optimizer_and_rates_but_for_its_conventions(exported, tmp_path):
    export, best, stored = exported
    exempt = {"space": {"exempt_norms_and_biases": True}, "weight_decay": 0.1}
    configs = [  # epochs of 4 updates; milestones of whole epochs
        best,
        config_of(optimizer="sgd", decay="cosine", warmup_fraction=0.25),
        config_of(optimizer="momentum", warmup_fraction=0.5, **exempt),
        config_of(optimizer="nesterov", decay="linear", warmup_fraction=0.25),
        config_of(optimizer="adagrad", decay="step", schedule={"milestones": [0.25, 0.75]}),
        config_of(optimizer="rmsprop", decay="linear", task={"micro_batch_size": 8}),
        config_of(optimizer="adam", decay="cosine", weight_decay=0.1),
        config_of(optimizer="adamw", **exempt),
    ]
    texts = [export("timm"), *(text_of("timm", config, stored) for config in configs[1:])]
    assert not any("whole epoch" in text for text in texts)
    rounded = config_of(batch_size=12, decay="cosine", warmup_fraction=0.2)
    assert (rounded.steps, rounded.warmup_steps) == (21, 4)  # of 5 updates an epoch, when the last batch is dropped
    texts.append(text_of("timm", rounded, stored))
    assert "# budget: 21 updates of the study are 20 here, 4 whole epochs\n" in texts[-1]
    assert "# warmup: 4 updates of the study are 5 here, 1 whole epoch\n" in texts[-1]
    cases = [(shlex.split(text, comments=True), 64) for text in texts]
    *exact, last = in_library("timm", cases, tmp_path)
    for config, seen in zip(configs, exact, strict=True):
        ours, theirs, warmup = np.array(rates(config)), np.array(seen["rates"]), config.warmup_steps
        assert theirs[warmup:] == pytest.approx(milestones_early(ours, config)[warmup:])
        behind = ours[:warmup] - theirs[:warmup]
        assert np.all(behind >= -1e-12) and np.all(behind < config.peak_lr / max(warmup, 1))
        assert seen["examples"] == config.batch_size and seen["seed"] == config.seeds[0]
        check_optimizer(config, seen["optimizer"], seen["groups"])
    assert len(last["rates"]) == 20 and max(last["rates"]) == last["rates"][5] == rounded.peak_lr


def milestones_early(ours: np.ndarray, config: TrainConfig) -> np.ndarray:
    """timm's milestones act one update before ours."""
    return np.append(ours[1:], ours[-1]) if config.decay == "step" else ours


def test_the_sweep_passes_the_schema_and_is_searched_by_its_own_engine(exported, tmp_path):
    export, best, _ = exported
    sweep = yaml.safe_load(export("wandb", "--top", 3))
    assert sweep["metric"] == {"name": "validation_accuracy", "goal": "maximize"}
    begun = {name: getattr(best, name, parameter.get("value")) for name, parameter in sweep["parameters"].items()}
    (proposals,) = in_library("sweeps", [(sweep, begun, 0.9)], tmp_path)
    rate = sweep["parameters"]["peak_lr"]
    assert rate["min"] < rate["max"] and rate["min"] <= best.peak_lr <= rate["max"]
    for proposal in proposals:
        assert rate["min"] <= proposal["peak_lr"] <= rate["max"]
        assert proposal["batch_size"] in sweep["parameters"]["batch_size"]["values"]


def test_optuna_runs_the_queued_trials_with_the_same_configurations(exported, tmp_path):
    export, best, stored = exported
    queue = json.loads(export("optuna", "--top", 3))
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'other.db'}", direction="maximize")
    for _ in range(2):  # the second time there is nothing to add
        for entry in queue:
            study.enqueue_trial(**entry)
    assert len(study.trials) == 3
    seen = []

    def objective(trial):
        seen.append(derive(stored.spec, suggest(trial, stored.spec), best.seeds))
        return 0.0

    study.optimize(objective, n_trials=3)
    records = Standings(stored.spec, records_of(stored)).order[:3]
    assert seen == [record.config for record in records]
    assert [trial.params for trial in study.trials] == [record.params for record in records]
    assert study.trials[0].user_attrs["provenance"]["study"] == "tiny"
