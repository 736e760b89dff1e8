"""The step and the run, against a loop written by hand."""

import math
import subprocess
import sys

import pytest
import torch
from batchlaw.errors import DeviceMemoryError, Diverged
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.seeds import derive_seed
from batchlaw.train import memory, networks
from batchlaw.train.data import load_parts
from batchlaw.train.parallel_runs import ParallelRuns
from batchlaw.train.stream import ExampleStream
from torch import optim
from torch.nn.functional import cross_entropy

from tests.unit.train.conftest import CNN, CPU, NOWHERE, config_of, run


def stack_of(config, seeds=None):
    parts = load_parts(config.task, CPU, NOWHERE)
    return ParallelRuns(config, config.task, seeds or config.seeds, schedule_of(config), parts.train)


def trained(config):
    stack = stack_of(config)
    stack.advance(0, config.steps)
    return [parameter.detach() for parameter in stack.model.parameters()], stack


@pytest.mark.parametrize("family", ["momentum", "adam"])
@pytest.mark.parametrize("batch_size", [1, 24, 64])
def test_training_is_the_loop_one_would_write_by_hand_to_the_last_bit(family, batch_size):
    config = config_of(task=CNN, optimizer=family, batch_size=batch_size, warmup_fraction=0.25, decay="cosine")
    parts = load_parts(config.task, CPU, NOWHERE)
    model = networks.build(config.task, derive_seed(1, "weights"))
    if family == "momentum":
        optimizer = optim.SGD(model.parameters(), lr=0.0, momentum=0.9, fused=True)
    else:
        optimizer = optim.Adam(model.parameters(), lr=0.0, fused=True)
    stream = ExampleStream(64, derive_seed(1, "stream"), CPU)
    for multiplier in schedule_of(config).lr_multipliers().tolist():
        optimizer.param_groups[0]["lr"] = config.peak_lr * multiplier
        batch = stream.take(batch_size)
        optimizer.zero_grad()
        cross_entropy(model(parts.train.inputs[batch]), parts.train.targets[batch]).backward()
        optimizer.step()
    ours, _ = trained(config)
    assert all(torch.equal(a, b) for a, b in zip(ours, model.parameters(), strict=True))
    assert not torch.equal(ours[0], next(networks.build(config.task, derive_seed(1, "weights")).parameters()))


@pytest.fixture
def small_device(monkeypatch):
    """A device that runs out of memory above `limit` examples: what a GPU would do."""
    memory._LARGEST.clear()
    calls = []

    def install(limit):
        build = networks.build

        def built(task, seed):
            model = build(task, seed)

            def check(module, inputs):
                calls.append(len(inputs[0]))
                if len(inputs[0]) > limit:
                    raise torch.OutOfMemoryError("out of memory")

            model.register_forward_pre_hook(check)
            return model

        monkeypatch.setattr(networks, "build", built)
        return calls

    yield install
    memory._LARGEST.clear()


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_the_size_is_remembered(small_device):
    config = config_of(task=CNN, batch_size=32)
    plain, _ = trained(config)
    calls = small_device(10)
    parameters, stack = trained(config)
    assert stack.micro_batch_size == 8 and calls[:3] == [32, 16, 8]
    for a, b in zip(plain, parameters, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    calls.clear()
    trained(config)
    assert max(calls) == 8  # the next trial does not try again
    result = run(config)
    assert (result.micro_batch_size, result.grad_accum_steps) == (8, 4)


def test_one_example_that_does_not_fit_is_an_outcome_of_its_own(small_device):
    small_device(0)
    with pytest.raises(DeviceMemoryError, match="does not fit cpu with one example at a time"):
        trained(config_of(task=CNN, batch_size=4))


def test_an_optimizer_that_does_not_fit_is_the_same_outcome(monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has")

    monkeypatch.setattr(optim.SGD, "step", full)
    with pytest.raises(DeviceMemoryError, match=r"optimizer .* not fit cpu: CUDA out of memory$"):
        run(config_of())


def test_batch_norm_over_micro_batches_is_flagged():
    one_step = {"batch_size": 8, "budget": {"steps": 1}, "reports": 1}
    resnet = {"model": "resnet18", "model_options": {}}
    config = config_of(task={**resnet, "micro_batch_size": 4}, **one_step)
    assert run(config).flags == ["batch norm over micro-batches: not the statistics of the whole batch"]
    assert run(config_of(task=resnet, **one_step)).flags == []


def test_autocast_to_bfloat16_trains_and_differs_a_little():
    full, half = run(config_of()), run(config_of(task={"precision": "bfloat16"}))
    a, b = full.metrics["train_loss"], half.metrics["train_loss"]
    assert a != b and a == pytest.approx(b, rel=0.1)


@pytest.mark.parametrize("batch_size", [1, 16, 64])
def test_reports_come_at_equal_shares_and_the_last_is_the_result(batch_size):
    config = config_of(batch_size=batch_size)
    heard = []
    result = run(config, lambda progress, metrics: heard.append((progress, dict(metrics))))
    assert [progress for progress, _ in heard] == [0.25, 0.5, 0.75, 1.0]
    assert heard[-1][1]["validation_accuracy"] == result.metrics["validation_accuracy"]


def test_divergence_is_noticed_at_the_next_report_and_carries_the_untrained_score():
    heard = []
    config = config_of(optimizer="sgd", base_lr=1e30, batch_size=4)
    with pytest.raises(Diverged) as diverged:
        run(config, lambda progress, metrics: heard.append(progress))
    assert heard == []
    stack = stack_of(config)
    validation = load_parts(config.task, CPU, NOWHERE).validation
    assert diverged.value.untrained["validation_loss"] == stack.evaluate(validation).loss[0]
    assert diverged.value.untrained["validation_accuracy"] == stack.evaluate(validation).accuracy[0]


@pytest.mark.parametrize("stacked", [True, False])
def test_one_diverged_replicate_carries_its_untrained_score_and_leaves_the_others_alone(monkeypatch, stacked):
    config = config_of(seeds=(1, 2, 3))
    healthy = run(config, stacked=stacked)
    advance = ParallelRuns.advance

    def poisoned(self, start, stop):
        if start == 0 and 2 in self.seeds:  # one weight of the second replicate
            weight = next(parameter for parameter in self.model.parameters() if parameter.ndim >= 2)
            with torch.no_grad():
                weight.view(len(self.seeds), -1)[self.seeds.index(2), 0] = math.nan
        advance(self, start, stop)

    monkeypatch.setattr(ParallelRuns, "advance", poisoned)
    result = run(config, stacked=stacked)
    assert result.diverged == [False, True, False]
    assert result.replicates[0] == healthy.replicates[0] and result.replicates[2] == healthy.replicates[2]
    untrained = stack_of(config, seeds=(2,)).evaluate(load_parts(config.task, CPU, NOWHERE).validation)
    assert result.replicates[1]["validation_loss"] == untrained.loss[0]
    assert math.isfinite(result.metrics["validation_loss"])


@pytest.mark.parametrize("family", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"])
def test_replicates_score_the_same_stacked_and_in_turn(family):
    config = config_of(seeds=(1, 2, 3), optimizer=family, weight_decay=0.01, decay="linear", warmup_fraction=0.1)
    stacked, in_turn = run(config, stacked=True), run(config, stacked=False)
    assert stacked.stacked and not in_turn.stacked
    for a, b in zip(stacked.replicates, in_turn.replicates, strict=True):
        assert a["validation_loss"] == pytest.approx(b["validation_loss"], rel=1e-4)
    assert stacked.tail_loss_variance == pytest.approx(in_turn.tail_loss_variance, rel=1e-2)
    losses = [replicate["validation_loss"] for replicate in stacked.replicates]
    assert max(losses) - min(losses) > 1e-3 * max(losses)  # so that a wrong seed would show
    alone = run(config_of(seeds=(2,), optimizer=family, weight_decay=0.01, decay="linear", warmup_fraction=0.1))
    assert in_turn.replicates[1] == alone.replicates[0]


def test_training_loads_neither_pytorchs_compiler_nor_scikit_learn():
    script = (
        "import sys; from tests.unit.train.conftest import config_of, run\n"
        "for names in ({}, {'optimizer': 'adamw', 'seeds': (1, 2)}):\n"
        "    run(config_of(**names))\n"
        "print({'torch._dynamo', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
