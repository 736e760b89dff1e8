"""Muon, Adam without bias correction and schedule-free optimizers, against implementations that stand on their own."""

import sys
from copy import deepcopy

import numpy as np
import pytest
import torch
from batchlaw.errors import ConfigError
from batchlaw.train import optimizers
from batchlaw.train.muon import hidden_matrices
from batchlaw.train.parallel_runs import ParallelRuns
from batchlaw.train.stacking import can_stack
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from tests.unit.train.conftest import CNN, config_of, run

FREE = ("schedule-free-sgd", "schedule-free-adamw")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 7), nn.Linear(7, 2))


def gradients(model):
    mse_loss(model(torch.randn(8, 6)), torch.randn(8, 2)).backward()


def bert_adam(weights, grads, lr, b1, b2, eps, decay, decoupled):
    """`AdamWeightDecayOptimizer.apply_gradients` of google-research/bert, in float32 of NumPy, product by product.

    The square root is torch's, whose last bit is not always NumPy's.
    """
    f = np.float32
    m = v = np.zeros_like(weights)
    for grad in grads:
        if not decoupled:
            grad = grad + f(decay) * weights
        m = f(b1) * m + f(1 - b1) * grad
        v = f(b2) * v + f(1 - b2) * np.square(grad)
        update = m / (torch.from_numpy(v).sqrt().numpy() + f(eps))
        if decoupled:
            update = update + f(decay) * weights
        weights = weights - f(lr) * update
    return weights


@pytest.mark.parametrize("family", ["adam", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_adam_without_bias_correction_takes_the_steps_of_bert_to_the_bit(family, decay):
    config = config_of(optimizer=family, bias_correction=False, weight_decay=decay)
    parameter = nn.Linear(40, 30, bias=False)
    start, rng = parameter.weight.detach().numpy().copy(), np.random.default_rng(0)
    grads = [rng.normal(size=start.shape).astype(np.float32) for _ in range(20)]
    optimizer = optimizers.build(config, parameter)
    for grad in grads:
        parameter.weight.grad = torch.from_numpy(grad.copy())
        optimizer.step()
    expected = bert_adam(start, grads, config.peak_lr, 0.9, 0.999, 1e-8, decay, family == "adamw")
    assert np.array_equal(parameter.weight.detach().numpy(), expected)


def test_the_first_step_without_correction_is_three_times_as_long():
    steps = {}
    for corrected in (True, False):
        model = nn.Linear(3, 3, bias=False)
        start = model.weight.detach().clone()
        model.weight.grad = torch.ones_like(model.weight)
        config = config_of(optimizer="adam", bias_correction=corrected)
        optimizers.build(config, model).step()
        steps[corrected] = (start - model.weight.detach()) / config.peak_lr
    torch.testing.assert_close(steps[False] / steps[True], torch.full((3, 3), 0.1 / 0.001**0.5), rtol=1e-4, atol=0)


def test_muon_orthogonalizes_hidden_matrices_and_hands_the_rest_to_adamw():
    """Against a singular value decomposition: the update has its vectors, and values near one (0.68 to 1.13)."""
    config = config_of(optimizer="muon", weight_decay=0.1)
    model, plain = network(), network()
    hidden = model[2].weight
    assert [id(matrix) for matrix in hidden_matrices(model)] == [id(model[0].weight), id(hidden)]
    ours = optimizers.build(config, model)
    theirs = torch.optim.AdamW(plain.parameters(), lr=config.peak_lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    with torch.no_grad():  # singular values within a factor of four, as bfloat16 loses smaller ones
        left, _, right = torch.linalg.svd(torch.randn(7, 5), full_matrices=False)
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        p.grad = left @ torch.diag(torch.linspace(1, 4, 5)) @ right if p is hidden else torch.randn_like(p)
        q.grad = p.grad.clone()
    start = hidden.detach().clone()
    ours.step()
    theirs.step()
    update = (start * (1 - config.peak_lr * 0.1) - hidden.detach()) / (config.peak_lr * 0.2 * 7**0.5)
    turned = left.T @ update @ right.T
    assert (turned.diag() - 0.9).abs().max() < 0.25 and (turned - turned.diag().diag()).abs().max() < 0.05
    for at in (1, 3):  # norms and the output layer
        for p, q in zip(model[at].parameters(), plain[at].parameters(), strict=True):
            torch.testing.assert_close(p, q)
    torch.testing.assert_close(model[0].bias, plain[0].bias)


def test_muon_takes_the_very_steps_of_torch():
    config = config_of(optimizer="muon", weight_decay=0.1, momentum=0.9)
    model, plain = network(), network()
    ours = optimizers.build(config, model)
    theirs = torch.optim.Muon(
        hidden_matrices(plain), lr=config.peak_lr, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(3):
        model.zero_grad()
        gradients(model)
        for p, q in zip(model.parameters(), plain.parameters(), strict=True):
            q.grad = p.grad.clone()
        ours.step()
        theirs.step()
    for p, q in zip(hidden_matrices(model), hidden_matrices(plain), strict=True):
        assert torch.equal(p, q)


def test_embeddings_and_the_output_layer_are_not_muons():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.hidden, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9)
            self.head.weight = self.embedding.weight

    model = Tied()
    assert [id(matrix) for matrix in hidden_matrices(model)] == [id(model.hidden.weight)]
    (muon, rest) = optimizers.parameter_groups(config_of(optimizer="muon"), model)
    assert muon["muon"] and len(rest["params"]) == 3
    assert hidden_matrices(nn.Linear(4, 2)) == []  # a single layer is the output
    optimizers.build(config_of(optimizer="muon"), nn.Linear(4, 2))


def test_muon_goes_on_from_its_state_to_the_bit():
    config = config_of(optimizer="muon")
    model, other = network(), network()
    first, second = optimizers.build(config, model), optimizers.build(config, other)
    for _ in range(2):
        model.zero_grad()
        gradients(model)
        first.step()
    other.load_state_dict(model.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))  # as it is, it shares its tensors
    for group in second.param_groups:
        group["lr"] *= 0.5
    for group in first.param_groups:
        group["lr"] *= 0.5
    for each, optimizer in ((model, first), (other, second)):
        torch.manual_seed(7)
        each.zero_grad()
        gradients(each)
        optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("family", FREE)
def test_a_schedule_free_run_is_the_packages_with_its_own_warmup(family):
    """Against a loop over the package's reference, which keeps x, y and z apart and warms up by itself."""
    import schedulefree

    config = config_of(optimizer=family, warmup_fraction=0.5, weight_decay=0.01, decay="cosine")
    assert config.decay == "constant"  # what it does not use
    ours, plain = network(), network()
    optimizer = optimizers.build(config, ours)
    name = "SGDScheduleFreeReference" if family == "schedule-free-sgd" else "AdamWScheduleFreeReference"
    reference = getattr(schedulefree, name)(
        plain.parameters(), lr=config.peak_lr, weight_decay=0.01, warmup_steps=config.warmup_steps
    )
    reference.train()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.peak_lr * min((step + 1) / config.warmup_steps, 1)
        for model, each in ((ours, optimizer), (plain, reference)):
            torch.manual_seed(step)
            model.zero_grad()
            gradients(model)
            each.step()
    optimizer.eval()
    reference.eval()
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FREE)
def test_the_average_is_scored_and_training_does_not_notice(family):
    once, often = (run(config_of(optimizer=family, reports=reports)) for reports in (1, 8))
    assert once.metrics == often.metrics
    config = config_of(optimizer=family)
    from batchlaw.recipe.schedule import schedule_of
    from batchlaw.train.data import load_parts

    parts = load_parts(config.task, torch.device("cpu"), None)
    training = ParallelRuns(config, config.task, (1,), schedule_of(config), parts.train)
    training.advance(0, 8)
    at_y = cross_entropy(training.model(parts.validation.inputs), parts.validation.targets).item()
    assert training.evaluate(parts.validation).loss[0] != pytest.approx(at_y, rel=1e-4)


def test_what_stacks_and_what_does_not():
    for family, seeds, rates in (("adamw", True, True), (FREE[0], True, False), ("muon", False, False)):
        config = config_of(optimizer=family, seeds=(1, 2))
        other = config_of(optimizer=family, seeds=(1, 2), base_lr=0.2)
        assert can_stack([config]) is seeds and can_stack([config, other]) is rates


@pytest.mark.parametrize("family", FREE)
def test_stacked_seeds_train_as_they_do_alone(family):
    config = config_of(optimizer=family, seeds=(1, 2, 3), weight_decay=0.01)
    stacked, alone = run(config, stacked=True), run(config, stacked=False)
    assert (stacked.stack_size, alone.stack_size) == (3, 1)
    for one, other in zip(stacked.replicates, alone.replicates, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_rates_stack_without_bias_correction():
    config = config_of(optimizer="adamw", bias_correction=False, seeds=(1, 2))
    assert can_stack([config, config_of(optimizer="adamw", bias_correction=False, seeds=(1, 2), base_lr=0.2)])
    assert run(config, stacked=True).metrics == pytest.approx(run(config, stacked=False).metrics, rel=1e-4)


def test_a_missing_package_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    with pytest.raises(ConfigError, match=r"^optimizer: schedule-free-sgd needs the package schedulefree: pip install"):
        optimizers.build(config_of(optimizer="schedule-free-sgd"), network())


@pytest.mark.parametrize("family", ["muon", *FREE])
def test_a_network_of_convolutions_trains(family):
    result = run(config_of(task=CNN, optimizer=family, base_lr=0.3, budget={"epochs": 6}))
    assert result.metrics["train_accuracy"] > 0.15 and not any(result.diverged)
