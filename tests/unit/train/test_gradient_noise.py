"""Gradient noise against per-example gradients by torch.func; measuring it does not change the training."""

import json
import math

import optuna
import pytest
import torch
from batchlaw.errors import DeviceMemoryError, Interrupted, SpecError
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.space import cells, point_of
from batchlaw.spec import Task, parse_spec
from batchlaw.train import Checkpoint, networks
from batchlaw.train import gradient_noise as noise
from batchlaw.train.data import load_parts
from batchlaw.train.examples import Examples
from batchlaw.train.loop import Run
from batchlaw.train.parallel_runs import ParallelRuns
from batchlaw.workers.trial import run_trials
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from tests.conftest import tiny_spec, tiny_study
from tests.unit.train.conftest import CNN, CPU, NOWHERE, config_of, run
from tests.unit.train.test_checkpoint import CONFIGS, InterruptingReport, timeless

MEASURED = {"measures": ("noise-scale",)}
RESNET = {"model": "resnet18", "model_options": {}}
PARTS = ("gradient_norm2", "gradient_variance")


def stack_of(config, seeds=None, train=None):
    train = train or load_parts(config.task, CPU, NOWHERE).train
    return ParallelRuns(config, config.task, seeds or config.seeds, schedule_of(config), train)


def trained_stack(steps=4, seeds=None, **changes):
    stack = stack_of(config_of(**changes), seeds)
    stack.advance(0, steps)
    return stack


def exact(stack):
    """|G|² and tr Σ, divided by N, over the 64 examples that a stack of one network trains on."""
    weights = {name: weight.detach() for name, weight in stack.model.named_parameters()}

    def loss(weights, image, label):
        return cross_entropy(functional_call(stack.model, weights, (image[None],)), label[None])

    found = vmap(grad(loss), in_dims=(None, 0, 0))(weights, stack.examples.inputs, stack.examples.targets)
    gradients = torch.cat([gradient.flatten(1) for gradient in found.values()], dim=1).double()
    mean = gradients.mean(0)
    return mean.square().sum().item(), (gradients - mean).square().sum(1).mean().item()


@pytest.mark.parametrize("task", [{}, CNN], ids=["mlp", "cnn"])
def test_the_estimates_are_unbiased(monkeypatch, task):
    """Half of the examples each time, without replacement: the mean of many estimates is within its standard error."""
    monkeypatch.setattr(noise, "EXAMPLES", 32)
    stack = trained_stack(task=task)
    found = [stack.gradient_noise(step)[0] for step in range(300)]
    norm2, variance = exact(stack)
    for estimates, truth in (([e.norm2 for e in found], norm2), ([e.variance for e in found], variance)):
        values = torch.tensor(estimates, dtype=torch.float64)
        error = values.std().item() / math.sqrt(len(values))
        assert abs(values.mean().item() - truth) < 3 * error
        assert error < 0.08 * truth
    # Without the correction they would be biased, by more than the test allows.
    uncorrected = torch.tensor([e.norm2 - e.variance / 63 for e in found], dtype=torch.float64)
    assert abs(uncorrected.mean().item() - norm2) > 5 * uncorrected.std().item() / math.sqrt(len(found))


@pytest.mark.parametrize("task", [{}, CNN], ids=["mlp", "cnn"])
def test_a_whole_pass_gives_the_squared_norm_and_one_by_one_the_variance(task):
    stack = trained_stack(task=task)
    norm2, variance = exact(stack)
    (found,) = stack.gradient_noise(4)
    assert found.norm2 == pytest.approx(norm2, rel=1e-4) and found.variance != pytest.approx(variance, rel=1e-4)
    single = trained_stack(task={**task, "micro_batch_size": 1})
    norm2, variance = exact(single)
    (found,) = single.gradient_noise(4)
    assert (found.norm2, found.variance) == pytest.approx((norm2, variance), rel=1e-4)


def test_the_formula_is_mccandlishs_for_two_batch_sizes():
    """With so many training examples that distinct ones are independent: 4 batches of 3 against one of 12."""
    table = torch.randn((4, 2, 7), generator=torch.Generator().manual_seed(0))  # (batches, members, numbers)
    batches = iter(table)

    def gradient(index):
        numbers = next(batches)
        return numbers[:, :6].view(2, 3, 2), numbers[:, 6:]  # a weight and a bias

    found = noise.gradient_noise(gradient, torch.zeros((2, 12)), 3, 10**15)
    for member, estimate in enumerate(found):
        gradients = table[:, member].double()
        small, big = gradients.square().sum(1).mean().item(), gradients.mean(0).square().sum().item()
        assert estimate.norm2 == pytest.approx((12 * big - 3 * small) / (12 - 3), rel=1e-5)
        assert estimate.variance == pytest.approx((small - big) / (1 / 3 - 1 / 12), rel=1e-5)


def test_each_member_of_a_stack_is_its_single_network():
    found = trained_stack(seeds=(1, 2, 3)).gradient_noise(4)
    for member, seed in zip(found, (1, 2, 3), strict=True):
        (alone,) = trained_stack(seeds=(seed,)).gradient_noise(4)
        assert (member.norm2, member.variance) == pytest.approx((alone.norm2, alone.variance), rel=1e-4)


def test_draws_are_distinct_examples_new_at_every_report_and_for_every_seed():
    first, again, later = (noise.draw(2000, (1, 2), step, CPU) for step in (4, 4, 8))
    assert first.shape == (2, noise.EXAMPLES) and all(len(set(row.tolist())) == len(row) for row in first)
    assert torch.equal(first, again) and not torch.equal(first, later) and not torch.equal(first[0], first[1])
    assert noise.draw(64, (1,), 4, CPU).shape == (1, 64)


def test_a_single_example_gives_no_finite_estimate():
    told = InterruptingReport()
    config = config_of(task={"train_size": 1}, space={"batch_size": 1}, batch_size=1)
    assert math.isnan(stack_of(config).gradient_noise(0)[0].variance)
    run(config.model_copy(update=MEASURED), told)
    assert not any(name in metrics for _, metrics in told.reports for name in PARTS)


def same(a, b):
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def colourful():
    """As many examples of CIFAR's form as a stack needs, for what is augmented."""
    generator = torch.Generator().manual_seed(0)
    return Examples(torch.randn((64, 3, 32, 32), generator=generator), torch.randint(0, 10, (64,), generator=generator))


AUGMENTED = Task(dataset="cifar10", model="cnn", model_options={"channels": 4}, train_size=64, augment=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seeds": (1, 2)},
        {"task": CNN, "optimizer": "adam"},
        {"task": {"precision": "bfloat16"}},
        {"task": RESNET},
        {"task": AUGMENTED},
    ],
    ids=["mlp", "stack", "cnn", "bfloat16", "batch norm", "augmented"],
)
def test_measuring_does_not_change_the_training(changes):
    """Weights, optimizer, streams, generators and the running statistics of batch norm, to the last bit."""
    augmented = changes.get("task") is AUGMENTED
    config = config_of(**({} if augmented else changes))
    config = config.model_copy(update={"task": AUGMENTED}) if augmented else config
    plain, measured = (stack_of(config, train=colourful() if augmented else None) for _ in range(2))
    torch.manual_seed(0)
    for start in (0, 1):
        for stack in (plain, measured):
            stack.advance(start, start + 1)
        before = torch.get_rng_state()
        assert all(estimate.variance > 0 for estimate in measured.gradient_noise(start + 1))
        assert torch.equal(torch.get_rng_state(), before)
        assert same(measured.state(), plain.state())
    assert networks.has_batch_norm(measured.model) == (changes.get("task") is RESNET)  # its statistics are in the state


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_reports_both_parts_beside_the_same_results(name):
    plain, measured = InterruptingReport(), InterruptingReport()
    config = config_of(**CONFIGS[name])
    stacked = name == "seeds"
    without = run(config, plain, stacked=stacked)
    result = run(config.model_copy(update=MEASURED), measured, stacked=stacked)
    assert timeless(result) == timeless(without)
    for (progress, metrics), (expected_progress, expected) in zip(measured.reports, plain.reports, strict=True):
        assert metrics["gradient_norm2"] > 0 and metrics["gradient_variance"] > 0  # of a whole pass
        assert progress == expected_progress
        assert {key: value for key, value in metrics.items() if key not in PARTS} == expected


@pytest.mark.parametrize("name", ["momentum", "seeds", "cnn"])
def test_a_resumed_run_reports_the_same_estimates(tmp_path, name):
    config = config_of(**CONFIGS[name]).model_copy(update=MEASURED)
    whole, resumed = InterruptingReport(), InterruptingReport()
    uninterrupted = run(config, whole, stacked=name == "seeds")
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(2), stacked=name == "seeds", checkpoint=Checkpoint(tmp_path, [config], 0.0))
    result = run(config, resumed, checkpoint=Checkpoint(tmp_path, [config], 0.0))
    assert resumed.reports == whole.reports and timeless(result) == timeless(uninterrupted)


def test_a_diverged_replicate_has_no_gradient_noise():
    config = config_of(seeds=(1, 2, 3))
    training = Run([config], CPU, NOWHERE, size=1)
    found = [stack.gradient_noise(4)[0] for stack in training.stacks]
    training.finite[0] = False
    assert training.gradient_noise(4) == [
        {},
        *({"gradient_norm2": each.norm2, "gradient_variance": each.variance} for each in found[1:]),
    ]
    for stack in training.stacks[1:]:
        next(stack.model.parameters()).data.fill_(1e30)  # losses may still be finite where the gradients are not
    assert training.gradient_noise(4) == [{}, {}, {}]


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_less_memory_means_smaller_micro_batches_of_the_measurement_only(monkeypatch, seeds):
    stack = trained_stack(seeds=seeds)
    expected = stack.gradient_noise(4)
    sizes = []
    backward = stack._backward

    def with_room_for(room):
        def run_out(batch, share):
            losses = backward(batch, share)
            sizes.append(batch[1].shape[-1])
            if sizes[-1] > room:
                raise torch.OutOfMemoryError("out of memory")
            return losses

        monkeypatch.setattr(stack, "_backward", run_out)

    with_room_for(3)
    found = stack.gradient_noise(4)
    assert sizes == [8, 4] + [2] * 32
    assert stack.micro_batch_size == 16
    for a, b in zip(found, expected, strict=True):
        assert a.norm2 == pytest.approx(b.norm2, rel=1e-4)  # a whole pass either way
    with_room_for(0)
    with pytest.raises(DeviceMemoryError, match="a gradient does not fit"):
        stack.gradient_noise(4)
    assert all(parameter.grad is None for parameter in stack.model.parameters())


@pytest.mark.parametrize("on", [True, False])
def test_a_trial_records_the_estimates_in_its_curve_only(on):
    spec = tiny_spec(search={"noise_scale": on, "replicates": 2})
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    study.enqueue_trial({"log2_batch_size": 3, "base_lr": 0.1, "optimizer": "momentum", "one_minus_momentum": 0.1})
    [outcome] = run_trials([study.ask()], spec, run_seeds(0, 2), Runtime(CPU, NOWHERE))
    assert len(outcome.record["curve"]) == 4
    for entry in outcome.record["curve"]:
        assert all((name in entry) == on for name in PARTS)
    assert not any(name in metrics for metrics in outcome.record["replicates"] for name in PARTS)
    json.dumps(outcome.record, allow_nan=False)


def test_the_key_adds_to_the_measures_of_the_hypotheses():
    table = tiny_study(claim={"hypotheses": ["H18"], "noise_scale": True})
    del table["search"]
    table["space"] = {"batch_size": [2, 8, 16, 32, 64], "base_lr": [0.1]}
    table["task"]["model_options"]["init_scale"] = 0.01
    spec = parse_spec(table, "test")
    assert derive(spec, point_of(cells(spec)[0], spec), (1,)).measures == ("plateau", "noise-scale")
    assert config_of().measures == ()


def test_noise_scale_is_refused_without_a_task():
    table = tiny_study(objective="mine:train", train_size=64, search={"noise_scale": True})
    del table["task"]
    with pytest.raises(SpecError, match=r"search\.noise_scale: is measured in a \[task\] only; got true"):
        parse_spec(table, "test")
