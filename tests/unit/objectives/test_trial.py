"""What a training function is given, held to the configuration and to PyTorch."""

import math
import subprocess
import sys
import textwrap

import batchlaw
import pytest
import torch
from batchlaw.errors import ConfigError
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.schedule import schedule_of

from tests.unit.objectives.conftest import config_of


def test_the_example_of_its_documentation_trains(trial_of):
    lines = Trial.__doc__.splitlines()
    first = next(number for number, line in enumerate(lines) if line.strip() == "import torch")
    last = max(number for number, line in enumerate(lines) if line.startswith(" " * 8))
    names = {}
    exec(textwrap.dedent("\n".join(lines[first : last + 1])), names)
    trial = trial_of(config_of(batch_size=16, base_lr=1.0, decay="cosine"))
    metrics = names["train"](trial)
    assert metrics["loss"] < 0.1 * trial.reports[0][1]["loss"]
    assert [progress for progress, _ in trial.reports] == [(step + 1) / 40 for step in range(9, 40, 10)]


@pytest.mark.parametrize("decay", ["constant", "cosine", "linear", "step"])
@pytest.mark.parametrize("warmup_fraction", [0.0, 0.2])
def test_every_update_has_the_learning_rate_of_the_configuration(trial_of, decay, warmup_fraction):
    config = config_of(decay=decay, warmup_fraction=warmup_fraction, batch_size=8)
    trial, model = trial_of(config), torch.nn.Linear(2, 2)
    optimizer = trial.optimizer(model)
    schedule = trial.schedule(optimizer)
    rates = []
    for _ in range(config.steps):
        model(torch.ones(1, 2)).sum().backward()
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(config.peak_lr * schedule_of(config).lr_multipliers())
    assert len(set(rates)) > 1 or (decay == "constant" and warmup_fraction == 0)


@pytest.mark.parametrize(
    ("family", "kind"), [("momentum", torch.optim.SGD), ("rmsprop", torch.optim.RMSprop), ("adamw", torch.optim.AdamW)]
)
def test_the_optimizer_is_pytorchs_with_the_hyperparameters_of_the_configuration(trial_of, family, kind):
    config = config_of(optimizer=family, weight_decay=0.01)
    optimizer = trial_of(config).optimizer(torch.nn.Linear(2, 2))
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (config.peak_lr, 0.01, 2)
    assert group.get("momentum", 0) == config.momentum
    assert group.get("betas", (config.beta1, config.beta2)) == (config.beta1, config.beta2)


def test_batch_sizes(trial_of):
    config = config_of(batch_size=32)
    for facts, parts in (
        ({}, (32, 1)), ({"micro_batch_size": 8}, (8, 4)), ({"devices": 2}, (16, 1)), ({"micro_batch_size": 12}, (8, 4)),
        ({"devices": 4, "micro_batch_size": 4}, (4, 2)), ({"micro_batch_size": 64}, (32, 1)),
    ):  # fmt: skip
        trial = trial_of(config, **facts)
        assert (trial.batch_size, trial.micro_batch_size, trial.accumulate) == (32, *parts)
    with pytest.raises(ConfigError, match="got 32; 3 devices cannot share it equally"):
        _ = trial_of(config, devices=3).micro_batch_size


def test_its_folder_is_its_own_made_when_asked_for_and_found_again(trial_of, tmp_path):
    config = config_of()
    trial = trial_of(config)
    assert trial.seed == 7 and not (tmp_path / "files").exists()
    (trial.run_dir / "state.pt").write_text("half way")
    assert (trial_of(config).run_dir / "state.pt").read_text() == "half way"
    others = [config.model_copy(update={"seeds": (8,)}), config_of(base_lr=0.2), config_of(batch_size=8)]
    assert len({trial.run_dir, *(trial_of(other).run_dir for other in others)}) == 4


def test_its_public_name_needs_no_torch():
    code = "import sys, batchlaw; print(batchlaw.Trial.__name__, 'torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "Trial False False\n", done.stderr
    assert batchlaw.Trial is Trial


def test_it_is_shown_by_what_tells_it_from_others(trial_of):
    config = config_of(base_lr=1.0)
    assert math.isclose(config.peak_lr, 0.1)
    assert repr(trial_of(config)) == "Trial(batch_size=16, peak_lr=0.1, seed=7)"
