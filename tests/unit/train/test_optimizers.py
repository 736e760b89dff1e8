"""The families against plain `torch.optim` with its arguments written out."""

import pytest
import torch
from batchlaw.train import optimizers
from torch import nn, optim
from torch.nn.functional import mse_loss

from tests.unit.train.conftest import config_of

ORACLES = {
    "sgd": lambda p, c: optim.SGD(p, lr=c.peak_lr, weight_decay=0.01),
    "momentum": lambda p, c: optim.SGD(p, lr=c.peak_lr, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p, c: optim.SGD(p, lr=c.peak_lr, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adagrad": lambda p, c: optim.Adagrad(p, lr=c.peak_lr, eps=1e-8, weight_decay=0.01),
    "rmsprop": lambda p, c: optim.RMSprop(p, lr=c.peak_lr, alpha=0.99, eps=1e-8, weight_decay=0.01),
    "adam": lambda p, c: optim.Adam(p, lr=c.peak_lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
    "adamw": lambda p, c: optim.AdamW(p, lr=c.peak_lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2))


def steps(model, optimizer, n=5):
    torch.manual_seed(1)
    for _ in range(n):
        optimizer.zero_grad()
        mse_loss(model(torch.randn(8, 6)), torch.randn(8, 2)).backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("family", list(ORACLES))
def test_a_family_takes_the_steps_of_torch_optim(family):
    config = config_of(optimizer=family, weight_decay=0.01)
    ours, plain = network(), network()
    ours_after = steps(ours, optimizers.build(config, ours))
    plain_after = steps(plain, ORACLES[family](plain.parameters(), config))
    for a, b, start in zip(ours_after, plain_after, network().parameters(), strict=True):
        torch.testing.assert_close(a, b)
        assert not torch.equal(a, start)


def test_families_take_different_steps():
    after = {
        family: steps(model := network(), optimizers.build(config_of(optimizer=family), model)) for family in ORACLES
    }
    for family, other in [("sgd", "momentum"), ("momentum", "nesterov"), ("adagrad", "rmsprop"), ("rmsprop", "adam")]:
        assert not torch.allclose(after[family][0], after[other][0])


def test_decay_is_decoupled_for_adamw_and_a_gradient_for_adam():
    config = {family: config_of(optimizer=family, weight_decay=0.1) for family in ("adam", "adamw")}
    model = nn.Linear(3, 3)
    start = model.weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizers.build(config["adamw"], model).step()
    torch.testing.assert_close(model.weight.detach(), start * (1 - config["adamw"].peak_lr * 0.1))
    model.weight.data.copy_(start)
    optimizers.build(config["adam"], model).step()  # Adam normalises the decay's gradient: a step of lr in its sign
    torch.testing.assert_close(model.weight.detach(), start - config["adam"].peak_lr * start.sign(), atol=1e-5, rtol=0)


def test_norms_and_biases_are_exempt_only_where_the_study_says_so():
    model = network()
    every = optimizers.parameter_groups(config_of(weight_decay=0.1), model)
    assert [len(group["params"]) for group in every] == [6]
    config = config_of(weight_decay=0.1, space={"exempt_norms_and_biases": True})
    decayed, exempt = optimizers.parameter_groups(config, model)
    assert {parameter.ndim for parameter in decayed["params"]} == {2} and decayed["weight_decay"] == 0.1
    assert {parameter.ndim for parameter in exempt["params"]} == {1} and exempt["weight_decay"] == 0.0
