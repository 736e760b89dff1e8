"""Sharpness against closed forms and autograd."""

import math

import pytest
import torch
from batchlaw.recipe.seeds import derive_seed
from batchlaw.train import networks
from batchlaw.train.data import load_parts
from batchlaw.train.sharpness import sharpness
from torch import nn
from torch.nn.functional import cross_entropy

from tests.unit.train.conftest import CPU, NOWHERE, config_of, run

MEASURES = ("worst_sharpness", "average_sharpness", "hessian_eigenvalue")


def test_sharpness_is_the_same_for_a_stack_and_its_members_and_leaves_the_weights():
    config = config_of(seeds=(1, 2))
    parts = load_parts(config.task, CPU, NOWHERE)
    members = [networks.build(config.task, derive_seed(seed, "weights")) for seed in config.seeds]
    stack = networks.StackedMLP(members)
    before = [parameter.clone() for parameter in stack.parameters()]
    found = sharpness(stack, parts.train.inputs, parts.train.targets, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, stack.parameters(), strict=True))
    for position, member in enumerate(members):
        alone = sharpness(member, parts.train.inputs, parts.train.targets)
        for name in MEASURES:
            assert found[name][position] == pytest.approx(alone[name][0], rel=1e-3)


def linear(scale=1.0):
    """A linear classifier on eight points, small enough for its whole Hessian."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        model[1].weight.mul_(scale)
    return model, torch.randn(8, 1, 2, 2), torch.randint(0, 3, (8,))


def test_the_eigenvalue_is_that_of_the_hessian():
    model, images, labels = linear()
    weight, bias = model[1].weight, model[1].bias

    def loss(flat):
        return cross_entropy(images.flatten(1) @ flat[:12].view(3, 4).T + flat[12:], labels)

    hessian = torch.autograd.functional.hessian(loss, torch.cat([weight.flatten(), bias]).detach())
    largest = torch.linalg.eigvalsh(hessian).max().item()
    assert sharpness(model, images, labels)["hessian_eigenvalue"][0] == pytest.approx(largest, rel=0.02)


def test_the_worst_case_is_the_loss_at_the_adaptive_step_of_steepest_ascent():
    model, images, labels = linear()
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(cross_entropy(model(images), labels), parameters)
    length = sum(((p * g) ** 2).sum() for p, g in zip(parameters, gradients, strict=True)).sqrt()
    with torch.no_grad():
        before = cross_entropy(model(images), labels)
        moved, _, _ = linear()
        for p, q, g in zip(moved.parameters(), parameters, gradients, strict=True):
            p.copy_(q + 0.5 * q**2 * g / length)
        expected = (cross_entropy(moved(images), labels) - before).item()
    assert sharpness(model, images, labels)["worst_sharpness"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["worst_sharpness", "average_sharpness"])
def test_adaptive_sharpness_does_not_see_a_rescaling_between_layers(name):
    torch.manual_seed(0)
    images, labels = torch.randn(32, 1, 2, 2), torch.randint(0, 3, (32,))
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    before = sharpness(model, images, labels)
    with torch.no_grad():
        model[1].weight.mul_(10), model[1].bias.mul_(10), model[3].weight.div_(10)
    after = sharpness(model, images, labels)
    assert after[name][0] == pytest.approx(before[name][0], rel=1e-3)
    assert after["hessian_eigenvalue"][0] != pytest.approx(before["hessian_eigenvalue"][0], rel=0.1)


def test_a_run_measures_sharpness_at_its_reports():
    config = config_of(seeds=(1, 2), batch_size=8).model_copy(update={"measures": ("curves", "sharpness")})
    result = run(config)
    for entry in result.curves:
        for name in MEASURES:
            assert len(entry[name]) == 2 and all(math.isfinite(value) for value in entry[name])
