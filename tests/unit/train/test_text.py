"""A text as examples, the language model, and the loop over both."""

from math import log

import pytest
import torch
from batchlaw.data_files import prepare
from batchlaw.errors import DataError
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import parse_spec
from batchlaw.spec.own_text import python_source
from batchlaw.train import networks, optimizers
from batchlaw.train.data import load_parts, load_test
from batchlaw.train.evaluation import evaluate
from batchlaw.train.muon import hidden_matrices
from batchlaw.train.sharpness import sharpness
from batchlaw.train.stream import ExampleStream
from torch import nn
from torch.nn.functional import cross_entropy

from tests.conftest import tiny_study
from tests.unit.train.conftest import CPU, NOWHERE, TEXT, config_of, run


def task_of(**changes):
    return config_of(task={**TEXT, **changes}).task


@pytest.fixture
def letters(tmp_path):
    """A task on a text of 1,000 bytes, which counts 0 … 99 ten times; its test part are the last hundred."""
    (tmp_path / "count.txt").write_bytes(bytes(range(100)) * 10)
    task = {**TEXT, "dataset": "text", "file": "count.txt", "train_size": 42, "validation_fraction": 0.25}
    return parse_spec(tiny_study(task=task, space={"batch_size": 8}), "test", tmp_path).task


def test_windows_follow_one_another_and_a_target_is_the_byte_after(letters):
    parts, test = load_parts(letters, CPU, NOWHERE), load_test(letters, CPU, NOWHERE)
    assert (letters.n_left, letters.n_validation, letters.n_train) == (42, 14, 42)  # ⌊674 / 16⌋ and ⌊224 / 16⌋
    assert [len(part) for part in (parts.train, parts.validation, parts.sample, test)] == [42, 14, 32, 6]
    content = torch.arange(1000) % 100
    assert torch.equal(parts.train.inputs.flatten().long(), content[: 42 * 16])
    for part, start in ((parts.train, 0), (parts.validation, 675), (test, 900)):
        assert torch.equal(part.inputs.flatten().long(), content[start : start + part.inputs.numel()])
        assert torch.equal(part.targets.flatten().long(), content[start + 1 : start + 1 + part.inputs.numel()])
    assert parts.train.inputs.untyped_storage().data_ptr() == parts.train.targets.untyped_storage().data_ptr()


def test_a_loss_is_measured_on_evenly_spread_windows(letters):
    few = letters.model_copy(update={"evaluation_tokens": 64})
    assert (few.n_train, few.n_validation) == (42, 4)
    parts = load_parts(few, CPU, NOWHERE)
    assert parts.validation.inputs[:, 0].tolist() == [(675 + 16 * window) % 100 for window in (0, 3, 7, 10)]
    assert parts.sample.inputs[:, 0].tolist() == [16 * window % 100 for window in (0, 10, 21, 31)]


def test_a_changed_text_is_refused_and_an_absent_one_is_named(letters, tmp_path):
    prepare(letters, NOWHERE, download=False)
    (tmp_path / "count.txt").write_bytes(bytes(range(100)) * 9 + b"A" * 100)
    with pytest.raises(DataError, match=r"task\.file: count\.txt is not the one that the study was registered with"):
        prepare(letters, NOWHERE, download=False)
    (tmp_path / "count.txt").unlink()
    with pytest.raises(DataError, match=rf"task\.file: count\.txt is not under {tmp_path} nor under {NOWHERE}"):
        prepare(letters, NOWHERE, download=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "count.txt").write_bytes(bytes(range(100)) * 10)
    prepare(letters, tmp_path / "data", download=False)  # as on another machine


def test_the_standard_library_is_text_in_one_order_without_tests():
    source = python_source()
    assert len(source) > 4_000_000
    for line in (b"class OrderedDict(dict):", b"class TextIOWrapper(TextIOBase):", b"def dedent(text):"):
        assert line in source
    assert b"class TestOrderedDict" not in source
    assert task_of().data.n_train + task_of().data.n_test == len(source)


def encoder_of(network):
    """The same network by PyTorch's own layers."""
    [width] = network.norm.weight.shape
    layers = []
    for block in network.blocks:
        layer = nn.TransformerEncoderLayer(
            width, block.heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, bias=False
        )
        copied = {
            layer.self_attn.in_proj_weight: block.queries_keys_values.weight,
            layer.self_attn.out_proj.weight: block.attention_out.weight,
            layer.norm1.weight: block.attention_norm.weight,
            layer.linear1.weight: block.perceptron_in.weight,
            layer.linear2.weight: block.perceptron_out.weight,
            layer.norm2.weight: block.perceptron_norm.weight,
        }
        with torch.no_grad():
            for own, weight in copied.items():
                own.copy_(weight)
        layers.append(layer.train())
    return layers


def test_the_network_is_that_of_torchs_own_layers():
    network = networks.build(task_of(), 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    tokens = torch.randint(0, 256, (5, 16))
    hidden = network.embedding(tokens) + network.positions.weight
    mask = nn.Transformer.generate_square_subsequent_mask(16)
    for layer in encoder_of(network):
        hidden = layer(hidden, src_mask=mask, is_causal=True)
    expected = nn.functional.layer_norm(hidden, (8,), network.norm.weight) @ network.head.weight.T
    torch.testing.assert_close(network(tokens.to(torch.uint8)), expected, rtol=1e-4, atol=1e-4)


def test_a_stack_computes_what_its_members_compute_also_backwards():
    task = task_of()
    members = [networks.build(task, seed) for seed in range(3)]
    stacked = networks.stack(task, members)
    tokens = torch.randint(0, 256, (3, 5, 16), dtype=torch.uint8)
    logits = stacked(tokens)
    logits.square().sum().backward()
    for number, member in enumerate(members):
        own = member(tokens[number])
        torch.testing.assert_close(logits[number], own)
        own.square().sum().backward()
        for (name, alone), (same, together) in zip(member.named_parameters(), stacked.named_parameters(), strict=True):
            assert name == same
            torch.testing.assert_close(together.grad[number], alone.grad, rtol=1e-4, atol=1e-5)


def test_training_is_the_loop_written_by_hand():
    config = config_of(task=TEXT, optimizer="adamw", base_lr=0.5, weight_decay=0.1, decay="cosine")
    result = run(config, stacked=False)
    parts = load_parts(config.task, CPU, NOWHERE)
    model = networks.build(config.task, derive_seed(1, "weights"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.peak_lr, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    stream = ExampleStream(64, derive_seed(1, "stream"), CPU)
    for _ in range(config.steps):
        index = stream.take(16)
        logits = model(parts.train.inputs[index])
        optimizer.zero_grad()
        cross_entropy(logits.transpose(1, 2), parts.train.targets[index].long()).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        logits = model(parts.validation.inputs)
    loss = cross_entropy(logits.flatten(0, 1), parts.validation.targets.flatten().long()).item()
    assert result.metrics["validation_loss"] == pytest.approx(loss, rel=1e-4)
    assert result.metrics["validation_bits_per_byte"] == pytest.approx(loss / log(2), rel=1e-4)
    assert loss < log(256) - 0.1
    assert (config.tokens_per_example, config.tokens, config.batch_tokens) == (16, 4 * 64 * 16, 256)


def test_the_errors_of_a_text_are_over_its_windows():
    config = config_of(task=TEXT)
    parts = load_parts(config.task, CPU, NOWHERE)
    model = networks.build(config.task, 1)
    found = evaluate(model, config.task, parts.validation, None)
    with torch.no_grad():
        logits = model(parts.validation.inputs)
    targets = parts.validation.targets.long()
    losses = cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1)
    correct = (logits.argmax(2) == targets).double().mean(1)
    n = len(losses) ** 0.5
    assert found.loss == [pytest.approx(losses.mean().item(), rel=1e-5)]
    assert found.loss_standard_error == [pytest.approx(losses.std().item() / n, rel=1e-3)]
    assert found.accuracy_standard_error == [pytest.approx(correct.std().item() / n, rel=1e-6)]
    [errors] = found.standard_errors("validation")
    assert errors["validation_bits_per_byte"] == pytest.approx(errors["validation_loss"] / log(2))


def test_replicates_score_the_same_stacked_or_not_and_rates_train_together():
    config = config_of(task=TEXT, optimizer="adamw", seeds=(1, 2, 3))
    apart, together = (run(config, stacked=stacked) for stacked in (False, True))
    for one, other in zip(apart.replicates, together.replicates, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert len({replicate["validation_loss"] for replicate in apart.replicates}) == 3


def test_micro_batches_add_up_to_the_batch():
    whole, parts = (
        run(config_of(task={**TEXT, **micro}, optimizer="adamw")) for micro in ({}, {"micro_batch_size": 5})
    )
    assert parts.metrics == pytest.approx(whole.metrics, rel=1e-4)


def test_sharpness_and_noise_are_measured_on_a_text():
    config = config_of(task=TEXT, optimizer="adamw").model_copy(update={"measures": ("curves", "sharpness",
                                                                                     "noise-scale")})  # fmt: skip
    reports = []
    result = run(config, lambda progress, metrics: reports.append(metrics))
    assert all(metrics["gradient_variance"] > 0 for metrics in reports)
    assert result.curves[-1]["train_loss"][0] == result.metrics["train_loss"]
    parts = load_parts(config.task, CPU, NOWHERE)
    members = [networks.build(config.task, seed) for seed in range(2)]
    stacked = sharpness(networks.stack(config.task, members), parts.sample.inputs, parts.sample.targets, 2)
    for number, member in enumerate(members):
        alone = sharpness(member, parts.sample.inputs, parts.sample.targets)
        for name, [value] in alone.items():
            assert stacked[name][number] == pytest.approx(value, rel=1e-2, abs=1e-4)


def test_norms_are_exempt_from_weight_decay_stacked_or_not():
    config = config_of(task=TEXT, optimizer="adamw", weight_decay=0.1, space={"exempt_norms_and_biases": True})
    members = [networks.build(config.task, seed) for seed in range(2)]
    for model, stacked in ((members[0], False), (networks.stack(config.task, members), True)):
        _, exempt = optimizers.parameter_groups(config, model, stacked=stacked)
        assert len(exempt["params"]) == 5  # two of each block and the last


def test_muon_gets_the_matrices_of_the_blocks():
    network = networks.build(task_of(), 0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    matrices = [names[id(matrix)] for matrix in hidden_matrices(network)]
    assert len(matrices) == 8 and all(name.startswith("blocks.") for name in matrices)
    assert run(config_of(task=TEXT, optimizer="muon", base_lr=0.5)).metrics["validation_loss"] < log(256) - 0.1
