"""The training step: micro-batches after memory runs out, evaluation, and the seeds of each random stream."""

import pytest
import torch
from batchlaw.errors import DeviceMemoryError
from batchlaw.recipe.schedule import Phase, Schedule, schedule_of
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import Task
from batchlaw.train import memory, networks, parallel_runs, perceptron
from batchlaw.train.data import crop_and_flip, load_parts
from batchlaw.train.examples import Examples
from batchlaw.train.parallel_runs import ParallelRuns
from batchlaw.train.stream import ExampleStream
from torch.nn.functional import cross_entropy

from tests.unit.train.conftest import CNN, CPU, NOWHERE, config_of


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(memory, "_LARGEST", {})


def stack_of(config, seeds=None):
    parts = load_parts(config.task, CPU, NOWHERE)
    return ParallelRuns(config, config.task, seeds or config.seeds, schedule_of(config), parts.train)


def parameters_of(stack):
    return [parameter.detach().clone() for parameter in stack.model.parameters()]


def gradient_of(config):
    """The gradient of the first step: with plain SGD at rate 1 it is the change of the parameters."""
    stack = stack_of(config)
    before = parameters_of(stack)
    stack.advance(0, 1)
    return [a - b for a, b in zip(before, parameters_of(stack), strict=True)]


GRADIENT = {"optimizer": "sgd", "base_lr": 1.0, "batch_size": 16}


@pytest.mark.parametrize("micro", [3, 5, 16])
def test_the_gradient_is_that_of_the_mean_loss_over_the_batch(micro):
    config = config_of(**GRADIENT, task={"micro_batch_size": micro})
    model = networks.build(config.task, derive_seed(1, "weights"))
    parts = load_parts(config.task, CPU, NOWHERE)
    batch = ExampleStream(64, derive_seed(1, "stream"), CPU).take(16)
    expected = torch.autograd.grad(
        cross_entropy(model(parts.train.inputs[batch]), parts.train.targets[batch]), list(model.parameters())
    )
    for found, gradient in zip(gradient_of(config), expected, strict=True):
        torch.testing.assert_close(found, gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("n_failures", [1, 2])  # of the whole batch, then of its first half
@pytest.mark.parametrize(("seeds", "task"), [((1,), CNN), ((1,), {}), ((1, 2), {})])
def test_memory_that_runs_out_in_the_backward_pass_leaves_nothing_behind(monkeypatch, seeds, task, n_failures):
    config = config_of(**GRADIENT, task=task, seeds=seeds)
    expected = gradient_of(config)
    failures = []

    def run_out(*gradient):
        if len(failures) < n_failures:
            failures.append(True)
            raise torch.OutOfMemoryError("out of memory")

    stack = stack_of(config)
    # The first layer's gradient is computed last, after the later layers have theirs.
    first = next(stack.model.parameters())
    first.register_hook(run_out)
    add = perceptron._add
    monkeypatch.setattr(perceptron, "_add", lambda p, gradient: (run_out() if p is first else None, add(p, gradient)))
    before = parameters_of(stack)
    stack.advance(0, 1)
    assert len(failures) == n_failures and stack.micro_batch_size == 16 // 2**n_failures
    for a, b, gradient in zip(before, parameters_of(stack), expected, strict=True):
        torch.testing.assert_close(a - b, gradient, atol=1e-6, rtol=1e-4)


def test_an_odd_batch_is_halved_upwards_down_to_one_example():
    seen = []

    def check(module, inputs):
        seen.append(len(inputs[0]))
        if len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("out of memory")

    stack = stack_of(config_of(task=CNN, batch_size=11))
    stack.model.register_forward_pre_hook(check)
    stack.advance(0, 1)
    assert seen == [11, 6, 3, 2] + [1] * 11


def test_the_remembered_size_belongs_to_the_network_and_its_precision():
    def check(module, inputs):
        if len(inputs[0]) > 8:
            raise torch.OutOfMemoryError("out of memory")

    stack = stack_of(config_of(task=CNN))
    stack.model.register_forward_pre_hook(check)
    stack.advance(0, 1)
    assert stack_of(config_of(task=CNN, base_lr=0.3, optimizer="adam")).micro_batch_size == 8
    assert stack_of(config_of(task=CNN, batch_size=4)).micro_batch_size == 4
    assert stack_of(config_of(task={**CNN, "precision": "bfloat16"})).micro_batch_size == 16
    assert stack_of(config_of(task={**CNN, "model_options": {"channels": 5}})).micro_batch_size == 16
    assert stack_of(config_of(task=CNN, seeds=(1, 2))).micro_batch_size == 16


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_evaluation_in_smaller_parts_is_the_same_evaluation(seeds):
    stack = stack_of(config_of(seeds=seeds))
    validation = load_parts(config_of().task, CPU, NOWHERE).validation
    whole = stack.evaluate(validation)
    sizes = []

    def check(module, inputs):
        sizes.append(inputs[0].shape[-4])
        if sizes[-1] > 40:
            raise torch.OutOfMemoryError("out of memory")

    stack.model.register_forward_pre_hook(check)
    parts = stack.evaluate(validation)
    assert max(sizes[-5:]) <= 40 < max(sizes)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)
    assert parts.accuracy == whole.accuracy
    assert parts.loss_standard_error == pytest.approx(whole.loss_standard_error, rel=1e-6)
    assert len(whole.loss) == len(seeds)


def test_evaluation_that_does_not_fit_with_one_example_is_a_memory_error():
    def never(module, inputs):
        raise torch.OutOfMemoryError("out of memory")

    stack = stack_of(config_of())
    stack.model.register_forward_pre_hook(never)
    with pytest.raises(DeviceMemoryError, match="evaluation"):
        stack.evaluate(load_parts(config_of().task, CPU, NOWHERE).validation)


def test_evaluation_uses_the_running_statistics_of_batch_norm():
    config = config_of(task={"model": "resnet18", "model_options": {}}, batch_size=8, budget={"steps": 1}, reports=1)
    stack = stack_of(config)
    validation = load_parts(config.task, CPU, NOWHERE).validation
    first = Examples(validation.inputs[:1], validation.targets[:1])
    second = Examples(validation.inputs[1:9], validation.targets[1:9])
    together = Examples(validation.inputs[:9], validation.targets[:9])
    mean = (stack.evaluate(first).loss[0] + 8 * stack.evaluate(second).loss[0]) / 9
    assert stack.evaluate(together).loss[0] == pytest.approx(mean, rel=1e-4)
    stack.advance(0, 1)
    assert stack.model.training


@pytest.mark.parametrize("name", ["weights", "stream"])
def test_every_stream_of_randomness_follows_the_seed(monkeypatch, name):
    """With all other streams fixed, another seed changes the training through this stream."""

    def held(seed, stream):
        return derive_seed(seed if stream == name else 0, stream)

    config = config_of(budget={"steps": 3})
    stacks = {}
    for seed in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(parallel_runs, "derive_seed", held)
            stacks[seed] = stack_of(config, (seed,))
        stacks[seed].advance(0, 3)
    assert not torch.equal(parameters_of(stacks[1])[0], parameters_of(stacks[2])[0])
    again = stack_of(config, (1,))
    monkeypatch.setattr(parallel_runs, "derive_seed", held)
    again = stack_of(config, (1,))
    again.advance(0, 3)
    assert torch.equal(parameters_of(stacks[1])[0], parameters_of(again)[0])


@pytest.fixture
def colours():
    """Sixteen images in the form of CIFAR's."""
    generator = torch.Generator().manual_seed(0)
    return Examples(torch.randn(16, 3, 32, 32, generator=generator), torch.arange(16) % 10)


@pytest.mark.parametrize("seed", [1, 2])
def test_augmentation_is_crop_and_flip_with_a_stream_of_its_own(colours, seed):
    task = Task(dataset="cifar10", model="mlp", augment=True)
    config = config_of(**GRADIENT).model_copy(update={"task": task})
    stack = ParallelRuns(config, task, (seed,), Schedule((Phase(4, 6, 1.0),), 0, "constant"), colours)
    stack.advance(0, 6)
    model = networks.build(task, derive_seed(seed, "weights"))
    optimizer = torch.optim.SGD(model.parameters(), lr=config.peak_lr, fused=True)
    stream = ExampleStream(16, derive_seed(seed, "stream"), CPU)
    generator = torch.Generator().manual_seed(derive_seed(seed, "augment"))
    for _ in range(6):
        batch = stream.take(4)
        optimizer.zero_grad()
        images = crop_and_flip(colours.inputs[batch], generator)
        cross_entropy(model(images), colours.targets[batch]).backward()
        optimizer.step()
    for ours, theirs in zip(parameters_of(stack), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-4, rtol=1e-4)


def test_a_norm_free_stack_exempts_its_biases():
    config = config_of(seeds=(1, 2), weight_decay=0.1, space={"exempt_norms_and_biases": True})
    stack = stack_of(config)
    decayed, exempt = stack.optimizer.param_groups
    assert isinstance(stack.model, networks.StackedMLP)
    assert [id(p) for p in decayed["params"]] == [id(p) for p in stack.model.weight]
    assert [id(p) for p in exempt["params"]] == [id(p) for p in stack.model.bias]
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("family", "read"),
    [
        ("adam", lambda group: group["betas"][1]),
        ("adamw", lambda group: group["betas"][1]),
        ("rmsprop", lambda group: group["alpha"]),
    ],
)
def test_the_half_life_of_the_second_moment_holds_in_every_phase(family, read):
    config = config_of(
        optimizer=family,
        decay="batch-growth",
        batch_size=4,
        space={"beta2_half_life_examples": 100.0},
        schedule={"milestones": [0.3, 0.6], "decay_factor": 2},
    )
    stack, done = stack_of(config), 0
    phases = schedule_of(config).phases
    assert [phase.batch_size for phase in phases] == [4, 8, 16]
    for phase in phases:
        stack.advance(done, done + phase.steps)
        done += phase.steps
        (group,) = stack.optimizer.param_groups
        assert read(group) ** (100 / phase.batch_size) == pytest.approx(0.5)
        assert group["lr"] == pytest.approx(config.peak_lr * phase.lr_factor)


def test_beta2_stays_without_a_half_life():
    config = config_of(optimizer="adam", decay="batch-growth", batch_size=4, schedule={"milestones": [0.5]})
    stack = stack_of(config)
    stack.advance(0, config.steps)
    assert stack.optimizer.param_groups[0]["betas"] == (0.9, 0.999)
