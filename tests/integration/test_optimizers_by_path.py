"""Optimizers of the user's own by import path, against the library or a loop used directly."""

import sys
from pathlib import Path

import batchlaw as bl
import pytest
import torch
from batchlaw.errors import ObjectiveError, SpecError
from batchlaw.objectives.own_optimizers import load_optimizers
from batchlaw.recipe.derive import derive
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import parse_spec, toml_of
from batchlaw.spec.knobs import Point
from batchlaw.study.costing import cost_of_file
from batchlaw.train.data import load_parts
from batchlaw.train.parallel_runs import ParallelRuns
from torch.nn.functional import cross_entropy

from tests.conftest import tiny_spec, tiny_study

MODULE = """
import torch

class SignedDescent(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.9), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(parameter.grad.sign(), alpha=group["lr"])

class NoDecay(SignedDescent):
    def __init__(self, params, lr):
        super().__init__(params, lr)

def none(params, lr):
    return params
"""
SIGNED, LION = "own_steps:SignedDescent as adamw", "timm.optim:Lion as adamw"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own_steps.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("own_steps", None)


def spec_of(*optimizers, **space):
    return tiny_spec(space={"optimizer": list(optimizers), "momentum": 0.9} | space)


def trained(spec, name, **point):
    """A configuration, and its run before the first step."""
    config = derive(spec, Point(**{"batch_size": 16, "base_lr": 0.05, "optimizer": name} | point), (3,))
    parts = load_parts(spec.task, torch.device("cpu"), Path("unused"))
    return config, ParallelRuns(config, spec.task, (3,), schedule_of(config), parts.train)


@pytest.mark.parametrize("name", [SIGNED, LION])
def test_it_makes_the_steps_of_the_class_used_directly(folder, name):
    spec = spec_of(name, weight_decay=0.1)
    load_optimizers(spec, folder)
    config, ours = trained(spec, name, weight_decay=0.1, decay="cosine", warmup_fraction=0.25)
    assert config.peak_lr == pytest.approx(0.05 * 0.01)  # the factor of its family
    _, theirs = trained(spec, name, weight_decay=0.1, decay="cosine", warmup_fraction=0.25)
    ours.advance(0, config.steps)
    module, _, kind = name.partition(" as ")[0].partition(":")
    model, constructor = theirs.model, getattr(sys.modules[module], kind)
    options = {"lr": 1.0, "betas": (config.beta1, config.beta2), "weight_decay": 0.1}
    optimizer = constructor(model.parameters(), **options)
    rates = config.peak_lr * schedule_of(config).lr_multipliers()
    for rate in rates.tolist():
        optimizer.param_groups[0]["lr"] = rate
        inputs, targets = theirs._take(16)
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets.long()).backward()
        optimizer.step()
    for mine, other in zip(ours.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_a_study_searches_it_beside_others_and_notes_its_code(folder):
    file, url = folder / "tiny.toml", f"sqlite:///{folder / 'own.db'}"
    file.write_text(toml_of(spec_of(SIGNED, "adamw", scaling_rule="sde")))
    study = bl.Study.create(file, storage=url, trials=8).run(workers=0, progress=False)
    trials = study.trials()
    assert set(trials["optimizer"]) <= {SIGNED, "adamw"} and (trials["outcome"] == "complete").any()
    complete = [record for record in study._records() if record.outcome == "complete"]
    first = next(record for record in complete if record.config.optimizer == SIGNED)
    assert study.replay(first.number).largest_difference == 0
    with pytest.raises(bl.BatchlawError, match="its class is your own"):
        study.export("python", trial=first.number)
    assert SIGNED in study.export("json", trial=first.number)
    # From the database alone its code is not run.
    with pytest.raises(ObjectiveError, match="run only from a study file"):
        bl.Study.open("tiny", url).run(workers=0, progress=False)


@pytest.mark.parametrize(
    ("name", "space", "line"),
    [
        ("no_such_module:Lion as adamw", {}, r"optimizer: 'no_such_module:Lion' cannot be imported from"),
        ("own_steps:Missing as adamw", {}, r"optimizer: 'own_steps:Missing' names nothing, not a function"),
        ("own_steps:SignedDescent as momentum", {}, r"SignedDescent as momentum' takes no momentum"),
        ("own_steps:NoDecay as sgd", {"weight_decay": 0.1}, r"NoDecay as sgd' takes no weight_decay"),
        ("own_steps:none as sgd", {}, r"gives a list, no torch\.optim\.Optimizer"),
        ("json:dumps as sgd", {}, r"space\.optimizer: 'json:dumps as sgd' cannot be built: TypeError"),
    ],
)
def test_one_that_cannot_be_used_is_refused_before_anything_is_written(folder, name, space, line):
    file = folder / "tiny.toml"
    file.write_text(toml_of(spec_of(name, **space)))
    with pytest.raises(ObjectiveError, match=line):
        bl.Study.create(file, storage=f"sqlite:///{folder / 'own.db'}")
    assert not (folder / "own.db").exists()


def test_its_cost_is_told_though_its_module_lies_beside_the_file(folder):
    file = folder / "tiny.toml"
    file.write_text(toml_of(spec_of(SIGNED)))
    assert cost_of_file(file, workers=1).seconds > 0  # measured in a process of its own


def test_its_form_is_checked_with_the_file():
    for name in ("timm.optim:Lion as lion", "timm.optim:Lion", "timm:optim.Lion as adam", "a:B as muon"):
        with pytest.raises(SpecError, match=r'space\.optimizer\.0: must be "package\.module:Class as FAMILY", with a'):
            spec_of(name)
    with pytest.raises(SpecError, match=r"space\.optimizer\.0: must be one of sgd, .* \(did you mean 'adamw'\?\)"):
        spec_of("adamww")
    with pytest.raises(SpecError, match=r"space\.bias_correction: is of adam and adamw, and 'timm\.optim:Lion as adam"):
        spec_of(LION, bias_correction=[True, False])
    study = tiny_study(train_size=64, search={"metric": "validation_loss"}, space={"optimizer": LION})
    del study["task"]
    with pytest.raises(SpecError, match=r"space\.optimizer: of your own goes with a \[task\]"):
        parse_spec(study | {"objective": "mine:train"}, "test")
