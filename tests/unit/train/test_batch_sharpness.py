"""Batch sharpness against quadratics, finite differences, and networks one by one."""

import math

import numpy as np
import pytest
import torch
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.seeds import derive_seed
from batchlaw.train import networks
from batchlaw.train.batch_sharpness import BATCHES, batch_sharpness
from batchlaw.train.data import load_parts
from batchlaw.train.parallel_runs import ParallelRuns
from torch.nn.functional import cross_entropy

from tests.unit.train.conftest import CPU, NOWHERE, config_of, run


@pytest.mark.parametrize("batch_size", [1, 3, 12])
def test_it_is_the_curvature_along_the_gradient_of_each_batch(batch_size):
    """Examples are quadratics ½ (w-c)ᵀ A (w-c), so a batch has the mean of their Hessians."""
    generator = np.random.default_rng(0)
    roots, centres, weights = generator.normal(size=(12, 4, 4)), generator.normal(size=(12, 4)), np.ones((2, 4))
    weights[1] *= -2
    hessians = roots @ roots.transpose(0, 2, 1)
    parameter = torch.nn.Parameter(torch.tensor(weights))

    def losses(index):
        gap = parameter[:, None] - torch.tensor(centres)[index]
        return (torch.einsum("mbi,mbij,mbj->mb", gap, torch.tensor(hessians)[index], gap) / 2).mean(1)

    index = torch.stack([torch.arange(12), torch.arange(12).flip(0)])
    found = batch_sharpness(losses, [parameter], index, batch_size)
    for member, order in enumerate(index.numpy()):
        expected = []
        for batch in order.reshape(-1, batch_size):
            hessian = hessians[batch].mean(axis=0)
            gradient = np.mean([hessians[k] @ (weights[member] - centres[k]) for k in batch], axis=0)
            expected.append(gradient @ hessian @ gradient / (gradient @ gradient))
        assert found[member].item() == pytest.approx(np.mean(expected), rel=1e-6)
    assert parameter.grad is None


def test_it_is_that_of_finite_differences_on_a_perceptron():
    torch.manual_seed(0)
    inputs, labels = torch.randn(6, 5, dtype=torch.float64), torch.randint(0, 3, (6,))
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
    parameters = list(model.parameters())

    def losses(index):
        return cross_entropy(model(inputs[index[0]]), labels[index[0]]).view(1)

    def gradient(batch, step=0.0, direction=None):
        with torch.no_grad():
            before = [p.clone() for p in parameters]
            for p, d in zip(parameters, direction or [], strict=False):
                p += step * d
        found = torch.autograd.grad(cross_entropy(model(inputs[batch]), labels[batch]), parameters)
        with torch.no_grad():
            for p, old in zip(parameters, before, strict=True):
                p.copy_(old)
        return found

    def inner(first, second):
        return sum((a * b).sum().item() for a, b in zip(first, second, strict=True))

    expected = []
    for batch in (torch.arange(3), torch.arange(3, 6)):
        g = gradient(batch)
        ahead, behind = gradient(batch, 1e-5, g), gradient(batch, -1e-5, g)
        expected.append((inner(ahead, g) - inner(behind, g)) / 2e-5 / inner(g, g))
    found = batch_sharpness(losses, parameters, torch.arange(6)[None], 3)
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_stack_measures_what_its_members_do_and_trains_on_as_if_nothing_was_measured():
    config = config_of(seeds=(1, 2), batch_size=8)
    train = load_parts(config.task, CPU, NOWHERE).train
    schedule = schedule_of(config)
    stacks = [ParallelRuns(config, config.task, seeds, schedule, train) for seeds in ((1, 2), (1,), (2,), (1, 2))]
    for stack in stacks:
        stack.advance(0, 2)
    found, *alone = (stack.batch_sharpness(2) for stack in stacks[:3])
    assert found == pytest.approx([value for values in alone for value in values], rel=1e-4)
    assert found[0] != pytest.approx(found[1], rel=0.01)
    for stack in (stacks[0], stacks[3]):
        stack.advance(2, 4)
    assert all(torch.equal(a, b) for a, b in zip(*(s.model.parameters() for s in (stacks[0], stacks[3])), strict=True))


def test_a_batch_of_all_examples_is_measured_on_the_whole_loss():
    config = config_of(seeds=(1,), batch_size=64)
    train = load_parts(config.task, CPU, NOWHERE).train
    assert len(train) == 64 < BATCHES * 64
    found = ParallelRuns(config, config.task, (1,), schedule_of(config), train).batch_sharpness(1)
    model = networks.build(config.task, derive_seed(1, "weights"))
    g = torch.autograd.grad(
        cross_entropy(model(train.inputs), train.targets), list(model.parameters()), create_graph=True
    )
    flat = torch.cat([part.flatten() for part in g])
    product = torch.autograd.grad(flat @ flat.detach(), list(model.parameters()))
    expected = torch.cat([part.flatten() for part in product]) @ flat.detach() / (flat @ flat)
    assert found == [pytest.approx(expected.item(), rel=1e-4)]


def test_a_run_measures_it_at_its_reports_and_only_where_it_is_asked_for():
    config = config_of(seeds=(1, 2), batch_size=8)
    measured = config.model_copy(update={"measures": ("curves", "batch-sharpness")})
    result = run(measured)
    assert len(result.curves) == config.reports
    for entry in result.curves:
        assert len(entry["batch_sharpness"]) == 2 and all(map(math.isfinite, entry["batch_sharpness"]))
    assert result.metrics == run(config).metrics
