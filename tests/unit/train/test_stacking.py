"""The measurement that decides how many runs train as one network."""

import pytest
from batchlaw.errors import DeviceMemoryError
from batchlaw.recipe.schedule import schedule_of
from batchlaw.train import configs_together, stacking
from batchlaw.train.data import load_parts
from batchlaw.train.stacking import can_stack, stack_size

from tests.unit.train.conftest import CPU, NOWHERE, config_of, run

LRS = (0.01, 0.02, 0.05, 0.1)


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch):
    monkeypatch.setattr(stacking, "_FASTEST", {})


@pytest.fixture
def clock(monkeypatch):
    """Real measurements, whose result is replaced by given seconds for each number of members; records the sizes."""
    measure, measured = stacking.seconds_a_step, []

    def install(seconds):
        def timed(stack, steps):
            assert measure(stack, steps) > 0
            measured.append(stack.members)
            return seconds(stack.members)

        monkeypatch.setattr(stacking, "seconds_a_step", timed)
        return measured

    return install


def training_part(config):
    return load_parts(config.task, CPU, NOWHERE).train


def size(*configs):
    return stack_size(configs, training_part(configs[0]), schedule_of(configs[0]))


@pytest.mark.parametrize(("stack", "expected"), [(2.9, 3), (3.0, 1), (3.1, 1)])
def test_a_stack_is_used_if_it_is_faster_than_its_members_one_after_another(clock, stack, expected):
    measured = clock(lambda members: stack if members == 3 else 1.0)
    assert size(config_of(seeds=(1, 2, 3), batch_size=2)) == expected
    assert measured == [1, 3]


@pytest.mark.parametrize(
    ("seconds", "expected", "measured_sizes"),
    [
        (lambda members: 1.0, 8, [1, 2, 4, 8]),  # a step costs the same for any number
        (lambda members: 1.0 if members < 5 else members, 4, [1, 2, 4, 8]),  # until a cache is full
        (lambda members: members, 1, [1, 2]),
    ],
)
def test_larger_stacks_are_tried_as_long_as_they_are_faster(clock, seconds, expected, measured_sizes):
    measured = clock(seconds)
    configs = [config_of(seeds=(1, 2), batch_size=2, base_lr=lr) for lr in LRS]
    assert size(*configs) == expected
    assert measured == measured_sizes
    assert configs_together(configs, training_part(configs[0])) == max(expected // 2, 1)


def test_each_kind_of_run_is_measured_once(clock):
    measured = clock(lambda members: members)
    base = {"seeds": (1, 2), "batch_size": 2}
    size(config_of(**base))
    size(config_of(**base | {"base_lr": 0.3, "seeds": (5, 6)}))
    assert len(measured) == 2
    for other in (
        {"batch_size": 1},
        {"optimizer": "adam"},
        {"seeds": (1, 2, 3)},
        {"task": {"model_options": {"widths": [9]}}},
    ):
        before = len(measured)
        size(config_of(**base | other))
        assert len(measured) == before + 2


def test_a_run_too_short_to_time_is_not_stacked(clock):
    measured = clock(lambda members: 1.0)
    assert size(config_of(seeds=(1, 2), budget={"steps": 7}, batch_size=2)) == 1
    assert measured == []
    assert size(config_of(seeds=(1, 2), budget={"steps": 8}, batch_size=2)) == 2


@pytest.mark.parametrize(("fits", "expected"), [(2, 2), (0, 1)])
def test_a_stack_that_does_not_fit_is_not_chosen(monkeypatch, fits, expected):
    def too_large(stack, steps):
        if stack.members > fits:
            raise DeviceMemoryError("full")
        return 1.0

    monkeypatch.setattr(stacking, "seconds_a_step", too_large)
    assert size(*[config_of(seeds=(1, 2), batch_size=2, base_lr=lr) for lr in LRS]) == expected


def test_configurations_are_stacked_only_if_they_differ_in_nothing_but_the_learning_rate():
    config = config_of(seeds=(1, 2))
    assert can_stack([config, config_of(seeds=(1, 2), base_lr=0.3)])
    for other in (
        {"batch_size": 8},
        {"seeds": (1, 3)},
        {"optimizer": "sgd"},
        {"warmup_fraction": 0.1},
        {"weight_decay": 0.01},
        {"decay": "cosine"},
    ):
        assert not can_stack([config, config_of(**{"seeds": (1, 2), "base_lr": 0.3} | other)])
    # With steps ∝ 1/ε every learning rate has another number of steps.
    lengths = [config_of(budget={"lr_time": 1.0, "min_steps": 4, "max_steps": 1000}, base_lr=lr) for lr in (0.1, 0.3)]
    assert not can_stack(lengths)
    assert configs_together(lengths, training_part(config)) == 1


@pytest.mark.parametrize("choice", [True, False])
@pytest.mark.parametrize("family", ["momentum", "adam"])
def test_measuring_does_not_change_the_scores(clock, choice, family):
    config = config_of(seeds=(1, 2), batch_size=2, optimizer=family)
    told = run(config, stacked=choice)
    measured = clock(lambda members: 1.0 if choice else members)
    found = run(config)
    assert measured == [1, 2]
    assert (found.stacked, found.replicates) == (choice, told.replicates)
    assert (found.stack_size, found.stacked_base_lrs) == (2 if choice else 1, [config.base_lr])


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (1,)},
        {"seeds": (1, 2), "task": {"model": "resnet18", "model_options": {}}},
        {"seeds": (1, 2), "task": {"model": "vit-tiny", "model_options": {}}},
    ],
)
def test_nothing_is_measured_if_nothing_can_be_stacked(clock, changes):
    measured = clock(lambda members: 1.0)
    config = config_of(budget={"steps": 1}, batch_size=2, reports=1, **changes)
    assert not run(config).stacked
    assert not run(config, stacked=True).stacked
    assert measured == []
