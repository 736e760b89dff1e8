"""The guard over batch and learning rate, and the batches of a run, in plain loops of PyTorch."""

import itertools

import pytest
import torch
from batchlaw.errors import ConfigError, ObjectiveError
from batchlaw.objectives.guard import n_examples
from batchlaw.recipe.schedule import schedule_of
from torch import nn

from tests.unit.objectives.conftest import config_of


def run(trial, *, sizes, rates=None, updates=None, evaluate=False):
    """A loop whose batches come in parts of these sizes, one tuple an update."""
    model = nn.Linear(2, 1)
    optimizer = trial.optimizer(model)
    schedule = trial.schedule(optimizer)
    guard = trial.guard(optimizer, model)
    for number, parts in enumerate(sizes if updates is None else itertools.islice(itertools.cycle(sizes), updates)):
        for part in parts:
            model(torch.ones(part, 2)).mean().backward()
        if evaluate:
            model.eval()
            model(torch.ones(99, 2))
            model.train()
            with torch.no_grad():
                model(torch.ones(77, 2))
        if rates is not None:
            for group in optimizer.param_groups:
                group["lr"] = rates[number]
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return guard


@pytest.mark.parametrize("decay", ["constant", "cosine", "linear", "step", "batch-growth", "wsd", "seesaw"])
def test_a_training_that_follows_its_trial_passes(trial_of, decay):
    config = config_of(decay=decay, warmup_fraction=0.2, batch_size=8)
    sizes = schedule_of(config).batch_sizes().tolist()
    guard = run(trial_of(config), sizes=[(size // 2, size - size // 2) for size in sizes], evaluate=True)
    assert guard.updates == config.steps


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((8,), "update 1: 8 examples; the trial's batch size is 16; an epoch's last batch is smaller unless it is"),
        ((16, 16), "update 1: 32 examples (16 + 16); the trial's batch size is 16"),
        ((4,) * 6, "update 1: 24 examples (4 + 4 + 4 + 4 + …); the trial's batch size is 16"),
        ((), "update 1: 0 examples; the trial's batch size is 16"),
    ],
)
def test_a_batch_of_another_size_fails(trial_of, parts, told):
    with pytest.raises(ObjectiveError) as error:
        run(trial_of(config_of()), sizes=[parts], updates=1)
    assert str(error.value).startswith(told)


def test_the_last_batch_of_an_epoch_fails_where_it_is_smaller(trial_of):
    loader = torch.utils.data.DataLoader(range(40), batch_size=16)
    with pytest.raises(ObjectiveError, match=r"update 3: 8 examples; .*\(drop_last\)"):
        run(trial_of(config_of()), sizes=[(len(batch),) for batch in loader])


def test_each_device_has_its_share(trial_of):
    assert run(trial_of(config_of(), devices=4), sizes=[(2, 2)], updates=3).updates == 3
    with pytest.raises(ObjectiveError, match=r"64 examples \(16 on each of 4 devices\); the trial's batch size is 16"):
        run(trial_of(config_of(), devices=4), sizes=[(16,)])


def test_another_learning_rate_fails(trial_of):
    config = config_of(decay="cosine", warmup_fraction=0.5)
    late = [0.0, *(config.peak_lr * schedule_of(config).lr_multipliers())]  # as a Trainer of Transformers starts
    with pytest.raises(ObjectiveError) as error:
        run(trial_of(config), sizes=[(16,)], updates=2, rates=late)
    first = config.peak_lr * schedule_of(config).lr_multipliers()[0]
    assert str(error.value) == f"update 1: the learning rate is 0; the trial's {first:.6g}"


def test_groups_of_other_rates_may_stand_beside_the_trials(trial_of):
    config = config_of()
    trial, model = trial_of(config), nn.Linear(2, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr": config.peak_lr / 10}]
    optimizer = torch.optim.SGD(groups, lr=config.peak_lr)
    trial.guard(optimizer).saw(16)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.5
    with pytest.raises(ObjectiveError, match="update 2: 0 examples"):
        optimizer.step()


def test_more_updates_than_the_budget_has_fail(trial_of):
    config = config_of()
    with pytest.raises(ObjectiveError, match=f"update {config.steps + 1}: the configuration has {config.steps}"):
        run(trial_of(config), sizes=[(16,)], updates=config.steps + 1)


def test_a_training_that_goes_on_counts_from_where_it_stood(trial_of):
    config = config_of(decay="linear")
    trial, model = trial_of(config), nn.Linear(2, 1)
    optimizer = trial.optimizer(model)
    optimizer.param_groups[0]["lr"] = config.peak_lr * schedule_of(config).lr_multipliers()[30]
    guard = trial.guard(optimizer, model, done=30)
    model(torch.ones(16, 2)).sum().backward()
    optimizer.step()
    assert guard.updates == 31


def test_updates_that_a_scaler_of_half_precision_leaves_out_are_no_larger_batches(trial_of):
    trial, model = trial_of(config_of()), nn.Linear(2, 1)
    optimizer = trial.optimizer(model)
    guard = trial.guard(optimizer)
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.float16)
    try:
        for examples in (16, 16, 16):  # two of them overflow
            guard.saw(examples)
        optimizer.step()
        guard.saw(16)
        optimizer.step()
        guard.saw(32)
        optimizer.step()
        guard.saw(32)
        with pytest.raises(ObjectiveError, match="update 4: 32 examples"):  # twice in a row
            optimizer.step()
    finally:
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])


def test_examples_are_counted_in_batches_of_any_form():
    batch = torch.ones(3, 5)
    for form in (batch, [batch, torch.ones(3)], {"x": batch}, ("name", {"deep": [torch.tensor(1.0), batch]})):
        assert n_examples(form) == 3
    with pytest.raises(ObjectiveError, match="cannot be counted"):
        n_examples({"text": "abc", "n": 3})


@pytest.mark.parametrize("decay", ["constant", "batch-growth"])
def test_batches_are_those_of_the_trial_from_passes_joined_end_to_end(trial_of, decay):
    config = config_of(decay=decay)
    trial = trial_of(config, micro_batch_size=8)
    batches = trial.batches(50)
    parts = list(batches)
    assert len(batches) == len(parts) == config.steps * 2 and parts == list(batches)
    sizes = [len(one) + len(other) for one, other in zip(parts[::2], parts[1::2], strict=True)]
    assert sizes == schedule_of(config).batch_sizes().tolist()
    drawn = list(itertools.chain(*parts))
    for start in range(0, len(drawn) - 50, 50):
        assert sorted(drawn[start : start + 50]) == list(range(50))
    other = trial_of(config.model_copy(update={"seeds": (8,)}), micro_batch_size=8)
    assert list(other.batches(50)) != parts


def test_batches_refuse_what_cannot_be(trial_of):
    with pytest.raises(ObjectiveError, match="n_examples: got 0"):
        trial_of(config_of()).batches(0)
    with pytest.raises(ConfigError, match="3 devices cannot share it equally"):
        trial_of(config_of(), devices=3).batches(50)


def test_uneven_shards_are_named(trial_of):
    with pytest.raises(ObjectiveError) as error:
        run(trial_of(config_of(), devices=2), sizes=[(7,)], updates=1)
    told = "update 1: 14 examples (7 on each of 2 devices); the trial's batch size is 16; an epoch's last batch"
    assert str(error.value).startswith(told) and str(error.value).endswith("or the devices have uneven shards")
