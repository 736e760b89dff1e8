"""The built-in networks and their stack."""

import pytest
import torch
from batchlaw.spec import DATASETS, ModelOptions, Task
from batchlaw.spec.network_size import n_parameters, of_size
from batchlaw.train import networks
from torch import nn

from tests.unit.train.conftest import TEXT, config_of


@pytest.mark.parametrize("dataset", list(DATASETS))
@pytest.mark.parametrize("model", ["mlp", "cnn", "resnet18", "vit-tiny"])
def test_every_network_takes_every_data_set(dataset, model):
    facts = DATASETS[dataset]
    network = networks.build(Task(dataset=dataset, model=model), seed=0).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, facts.channels, facts.side, facts.side))
    assert logits.shape == (2, facts.n_classes) and logits.isfinite().all()


@pytest.mark.parametrize("dataset", list(DATASETS))
@pytest.mark.parametrize("options", [{}, {"widths": (7, 5)}, {"channels": 3}])
def test_the_size_of_a_network_is_known_without_it(dataset, options):
    for model in ("mlp", "cnn") if not options else ("mlp" if "widths" in options else "cnn",):
        task = Task(dataset=dataset, model=model, model_options=ModelOptions(**options))
        assert n_parameters(task) == sum(each.numel() for each in networks.build(task, 0).parameters())


@pytest.mark.parametrize("width", [8, 12])
def test_the_size_of_a_gpt_is_known_without_it(width):
    options = {"model_options": TEXT["model_options"] | {"width": width}}
    task = config_of(task=TEXT | options).task
    assert n_parameters(task) == sum(each.numel() for each in networks.build(task, 0).parameters())
    assert n_parameters(of_size(task, 20_000)) == pytest.approx(20_000, rel=0.1)


def test_weights_follow_the_seed_and_leave_the_global_generator_alone():
    task = Task(dataset="digits", model="cnn")
    state = torch.get_rng_state()
    one, again, other = (networks.build(task, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(one.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not any(torch.equal(a, c) for a, _, c in pairs)


def test_options_reach_the_networks():
    mlp = networks.build(Task(dataset="digits", model="mlp", model_options=ModelOptions(widths=(7, 5))), 0)
    assert [layer.out_features for layer in mlp.modules() if isinstance(layer, nn.Linear)] == [7, 5, 10]
    cnn = networks.build(Task(dataset="digits", model="cnn", model_options=ModelOptions(channels=3)), 0)
    assert next(cnn.parameters()).shape[0] == 3
    vit = networks.build(Task(dataset="digits", model="vit-tiny", model_options=ModelOptions(patch_size=4)), 0)
    assert vit.seq_length == 4 + 1


def test_group_norm_takes_the_place_of_every_batch_norm():
    batch = networks.build(Task(dataset="digits", model="resnet18"), 0)
    group = networks.build(Task(dataset="digits", model="resnet18", model_options=ModelOptions(norm="group")), 0)
    assert networks.has_batch_norm(batch) and not networks.has_batch_norm(group)
    assert sum(isinstance(module, nn.GroupNorm) for module in group.modules()) == 20


def test_a_stack_computes_what_its_members_compute():
    task = Task(dataset="digits", model="mlp", model_options=ModelOptions(widths=(16, 12)))
    members = [networks.build(task, seed) for seed in range(3)]
    images = torch.randn(3, 5, 1, 8, 8)
    stacked = networks.StackedMLP(members)(images)
    for member, own, logits in zip(members, images, stacked, strict=True):
        torch.testing.assert_close(logits, member(own))


@pytest.mark.parametrize("model", ["mlp", "resnet18", "vit-tiny"])
def test_weights_follow_the_seed_in_every_network(model):
    task = Task(dataset="digits", model=model)
    one, again, other = (dict(networks.build(task, seed).named_parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_resnet18_for_small_images_has_the_published_size():
    network = networks.build(Task(dataset="cifar10", model="resnet18"), 0)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_173_962  # kuangliu/pytorch-cifar
    with torch.no_grad():
        assert network.maxpool(network.conv1(torch.randn(1, 3, 32, 32))).shape == (1, 64, 32, 32)


@pytest.mark.parametrize(("norm", "depends"), [("batch", True), ("group", False)])
def test_only_batch_norm_makes_an_example_depend_on_its_batch(norm, depends):
    network = networks.build(Task(dataset="digits", model="resnet18", model_options=ModelOptions(norm=norm)), 0).train()
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone, together = network(images[:2]), network(images)[:2]
    assert torch.allclose(alone, together, atol=1e-4) is not depends
    assert networks.has_batch_norm(network) is depends


@pytest.mark.parametrize("model", ["mlp", "cnn", "vit-tiny"])
def test_the_other_networks_have_no_batch_norm(model):
    assert not networks.has_batch_norm(networks.build(Task(dataset="digits", model=model), 0))
