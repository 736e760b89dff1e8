"""The gradient without autograd against that of autograd."""

import math

import pytest
import torch
from batchlaw.spec import Task
from batchlaw.train import networks
from batchlaw.train.perceptron import backward, layers_of
from torch.nn.functional import cross_entropy


def network(n_members, widths):
    task = Task(dataset="digits", model="mlp", model_options={"widths": widths})
    members = [networks.build(task, seed) for seed in range(n_members)]
    return (networks.StackedMLP(members) if n_members > 1 else members[0]), members


def batch_of(n_members, batch_size):
    generator = torch.Generator().manual_seed(0)
    shape = (n_members, batch_size) if n_members > 1 else (batch_size,)
    images = torch.randn(*shape, 1, 8, 8, generator=generator)
    return images, torch.randint(0, 10, shape, generator=generator)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 33])
@pytest.mark.parametrize("widths", [(5,), (16, 7), (12, 11, 10)])
def test_loss_and_gradient_equal_those_of_autograd(n_members, batch_size, widths):
    model, members = network(n_members, widths)
    images, labels = batch_of(n_members, batch_size)
    losses = backward(layers_of(model), images, labels, 0.25)
    stacked = n_members > 1
    for position, member in enumerate(members):
        own = (images[position], labels[position]) if stacked else (images, labels)
        loss = 0.25 * cross_entropy(member(own[0]), own[1])
        expected = torch.autograd.grad(loss, list(member.parameters()))
        torch.testing.assert_close(losses[position] if stacked else losses, loss.detach())
        found = [gradient for layer in layers_of(model) for gradient in (layer[0].grad, layer[1].grad)]
        for whole, gradient in zip(found, expected, strict=True):
            mine = whole[position].view_as(gradient) if stacked else whole
            torch.testing.assert_close(mine, gradient, atol=1e-7, rtol=1e-4)
            assert gradient.abs().max() > 0


def test_gradients_add_up():
    model, _ = network(1, (5,))
    images, labels = batch_of(1, 4)
    layers = layers_of(model)
    backward(layers, images, labels, 1.0)
    once = [layer[0].grad.clone() for layer in layers]
    backward(layers, images, labels, 1.0)
    for before, (weight, _) in zip(once, layers, strict=True):
        torch.testing.assert_close(weight.grad, 2 * before)


def test_a_weight_that_is_nan_makes_the_loss_nan():
    model, _ = network(1, (5,))
    images, labels = batch_of(1, 4)
    with torch.no_grad():
        layers_of(model)[0][0][0, 0] = math.nan
    assert not torch.isfinite(backward(layers_of(model), images, labels, 1.0))
