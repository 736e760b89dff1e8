"""Reports, divergence and the numbers of a run against a loop written by hand."""

import math
import statistics

import pytest
import torch
from batchlaw.errors import Diverged, Pruned
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import DATASETS, DatasetFacts, Task
from batchlaw.train import data, loop, memory, networks
from batchlaw.train.data import load_parts, load_test
from batchlaw.train.examples import Examples, Parts
from batchlaw.train.stream import ExampleStream
from torch.nn.functional import cross_entropy

from tests.unit.train.conftest import CNN, CPU, NOWHERE, config_of, run


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(memory, "_LARGEST", {})


class Recorder(list):
    """A report that records progress and metrics."""

    def __call__(self, progress, metrics):
        self.append((progress, dict(metrics)))


def score(model, examples, part):
    with torch.no_grad():
        logits = model(examples.inputs)
    losses = cross_entropy(logits, examples.targets, reduction="none").double()
    correct = (logits.argmax(1) == examples.targets).double()
    return {f"{part}_loss": losses.mean().item(), f"{part}_accuracy": correct.mean().item()}


def by_hand(config, seed):
    """Plain momentum SGD: the network, and the training loss of every step."""
    parts = load_parts(config.task, CPU, NOWHERE)
    model = networks.build(config.task, derive_seed(seed, "weights"))
    optimizer = torch.optim.SGD(model.parameters(), lr=config.peak_lr, momentum=config.momentum, fused=True)
    stream = ExampleStream(len(parts.train), derive_seed(seed, "stream"), CPU)
    losses = []
    for _ in range(config.steps):
        batch = stream.take(config.batch_size)
        optimizer.zero_grad()
        loss = cross_entropy(model(parts.train.inputs[batch]), parts.train.targets[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def test_every_number_of_the_result_equals_the_loop_by_hand():
    config = config_of(seeds=(3,), batch_size=12, reports=3)
    heard = Recorder()
    result = run(config, heard, test=True)
    model, losses = by_hand(config, 3)
    parts, test = load_parts(config.task, CPU, NOWHERE), load_test(config.task, CPU, NOWHERE)
    expected = (
        score(model, parts.validation, "validation") | score(model, parts.train, "train") | score(model, test, "test")
    )
    assert result.metrics == pytest.approx(expected, rel=1e-6)
    assert result.replicates == [result.metrics]
    boundaries = (0, *schedule_of(config).report_steps(3))
    for (_, metrics), start, stop in zip(heard, boundaries, boundaries[1:], strict=False):
        assert metrics["running_train_loss"] == pytest.approx(sum(losses[start:stop]) / (stop - start), rel=1e-5)
    tail = losses[-math.ceil(len(losses) / 5) :]
    assert result.tail_loss_variance == pytest.approx([statistics.variance(tail)], rel=1e-3)
    accuracy, n = expected["validation_accuracy"], len(parts.validation)
    errors = result.validation_standard_errors
    assert errors["validation_accuracy"] == pytest.approx((accuracy * (1 - accuracy) / n) ** 0.5)
    with torch.no_grad():
        spread = cross_entropy(model(parts.validation.inputs), parts.validation.targets, reduction="none").std().item()
    assert errors["validation_loss"] == pytest.approx(spread / n**0.5, rel=1e-5)
    assert (result.device, result.threads, result.stacked, result.flags) == ("cpu", 1, False, [])
    assert result.diverged == [False]
    assert result.examples_per_second == pytest.approx(config.examples / result.train_seconds)


def test_metrics_are_means_over_replicates_and_each_is_the_run_of_its_seed():
    config = config_of(seeds=(1, 2, 3))
    heard = Recorder()
    result = run(config, heard, stacked=False)
    alone = [run(config_of(seeds=(seed,))).metrics for seed in (1, 2, 3)]
    assert result.replicates == alone
    for name, value in result.metrics.items():
        assert value == pytest.approx(sum(metrics[name] for metrics in alone) / 3)
    assert heard[-1][1]["validation_loss"] == pytest.approx(result.metrics["validation_loss"])


def burst(monkeypatch, seed, after):
    """Make the network of one seed diverge at its step `after`."""
    build = networks.build

    def built(task, weights_seed):
        model = build(task, weights_seed)
        steps = 0

        def spoil(module, inputs, logits):
            nonlocal steps
            steps += module.training
            return logits * math.inf if steps >= after and module.training else logits

        if weights_seed == derive_seed(seed, "weights"):
            model.register_forward_hook(spoil)
        return model

    monkeypatch.setattr(networks, "build", built)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 13, 16])
def test_divergence_is_raised_within_one_report_of_its_happening(monkeypatch, at):
    burst(monkeypatch, 1, after=at)
    config = config_of(task=CNN, batch_size=16, reports=5)  # 16 steps, reports at 4, 7, 10, 13, 16
    assert schedule_of(config).report_steps(5) == (4, 7, 10, 13, 16)
    heard = Recorder()
    with pytest.raises(Diverged):
        run(config, heard)
    assert len(heard) == sum(boundary < at for boundary in (4, 7, 10, 13, 16))


def test_a_diverged_replicate_carries_its_untrained_scores_everywhere(monkeypatch):
    config = config_of(task=CNN, seeds=(1, 2, 3), batch_size=16)  # 16 steps, reports at 4, 8, 12, 16
    task, parts = config.task, load_parts(config.task, CPU, NOWHERE)
    test = load_test(task, CPU, NOWHERE)
    clean_heard, heard = Recorder(), Recorder()
    clean = run(config, clean_heard, stacked=False, test=True)
    untrained = networks.build(task, derive_seed(2, "weights"))
    start = (
        score(untrained, parts.validation, "validation")
        | score(untrained, parts.train, "train")
        | score(untrained, test, "test")
    )
    burst(monkeypatch, 2, after=6)
    result = run(config, heard, stacked=False, test=True)
    assert result.diverged == [False, True, False]
    assert (result.replicates[0], result.replicates[2]) == (clean.replicates[0], clean.replicates[2])
    assert result.replicates[1] == pytest.approx(start, rel=1e-6)
    for name, value in result.metrics.items():
        assert value == pytest.approx(sum(replicate[name] for replicate in result.replicates) / 3)
    assert heard[0] == clean_heard[0]
    expected = (clean.replicates[0]["validation_loss"] + clean.replicates[2]["validation_loss"]) / 3
    expected += start["validation_loss"] / 3
    assert heard[-1][1]["validation_loss"] == pytest.approx(expected)
    assert all(math.isfinite(value) for value in result.validation_standard_errors.values())


def test_all_diverged_is_the_mean_of_the_untrained(monkeypatch):
    config = config_of(task=CNN, seeds=(1, 2))
    parts = load_parts(config.task, CPU, NOWHERE)
    starts = [score(networks.build(config.task, derive_seed(n, "weights")), parts.validation, "v") for n in (1, 2)]
    burst(monkeypatch, 1, after=2)
    burst(monkeypatch, 2, after=9)
    heard = Recorder()
    with pytest.raises(Diverged) as diverged:
        run(config, heard, stacked=False)
    assert [progress for progress, _ in heard] == [0.25, 0.5]  # one still trained in steps 5 to 8
    mean = sum(start["v_loss"] for start in starts) / 2
    assert diverged.value.untrained["validation_loss"] == pytest.approx(mean)


@pytest.mark.parametrize("kind", [Pruned, ValueError, KeyboardInterrupt])
def test_an_exception_of_the_report_ends_the_run(kind):
    heard = Recorder()

    def report(progress, metrics):
        heard(progress, metrics)
        if len(heard) == 2:
            raise kind("enough")

    with pytest.raises(kind, match="enough"):
        run(config_of(), report)
    assert len(heard) == 2


@pytest.mark.parametrize(("steps", "progress"), [(1, [1.0]), (3, [0.2, 0.6, 1.0]), (5, [0.2, 0.4, 0.6, 0.8, 1.0])])
def test_runs_of_fewer_steps_than_reports_end_at_the_end(steps, progress):
    heard = Recorder()
    run(config_of(budget={"steps": steps}, reports=5), heard)
    assert len(heard) == len(progress)
    assert heard[-1][0] == 1.0
    shares = [share for share, _ in heard]
    # One report stands for all that are due at its step; its progress is at most what has been trained.
    assert all(share <= (number + 1) / steps + 1e-9 for number, share in enumerate(shares))
    assert shares == sorted(set(shares))


def test_another_number_of_reports_changes_no_score():
    one, many = run(config_of(reports=1)), run(config_of(reports=16))
    assert one.metrics == many.metrics


def test_test_data_is_read_only_on_request(monkeypatch):
    reads = []
    read, unread = data.read_images, {"split_seed": 20_260_101}  # a split that no other test reads

    def spy(dataset, train, split_seed, data_dir):
        reads.append(train)
        return read(dataset, train, split_seed, data_dir)

    monkeypatch.setattr(data, "read_images", spy)
    run(config_of(task=unread))
    assert reads == [True]
    run(config_of(task=unread), test=True)
    assert False in reads


def test_batch_norm_is_flagged_where_only_the_grown_batch_is_accumulated():
    config = config_of(
        task={"model": "resnet18", "model_options": {}, "micro_batch_size": 8},
        batch_size=8,
        budget={"examples": 32},
        decay="batch-growth",
        schedule={"milestones": [0.5], "decay_factor": 2},
        reports=1,
    )
    assert [phase.batch_size for phase in schedule_of(config).phases] == [8, 16]
    assert any("batch norm" in flag for flag in run(config).flags)


@pytest.fixture
def colours(monkeypatch):
    """Random images in place of CIFAR-10."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 3, 32, 32, generator=generator)
    examples = Examples(images, torch.arange(40) % 10)
    monkeypatch.setitem(DATASETS, "cifar10", DatasetFacts(80, 40, 10, (3, 32, 32)))
    monkeypatch.setattr(loop, "load_parts", lambda *_: Parts(examples, examples, examples))


def test_augmented_replicates_are_augmented_stacked_or_not(colours):
    # Replicates have different augmentation, so they cannot be stacked.
    def scores(stacked, augment):
        task = Task(dataset="cifar10", model="mlp", augment=augment, train_size=40, validation_fraction=0.5)
        config = config_of(seeds=(1, 2), batch_size=8).model_copy(update={"task": task, "train_size": 40})
        return [metrics["train_loss"] for metrics in run(config, stacked=stacked).replicates]

    augmented, plain = scores(False, True), scores(False, False)
    assert augmented != pytest.approx(plain, rel=1e-3)
    assert scores(True, True) == pytest.approx(augmented, rel=1e-4)
    assert scores(True, False) == pytest.approx(plain, rel=1e-4)


def with_curves(**changes):
    return config_of(**changes).model_copy(update={"measures": ("curves",)})


def test_curves_hold_each_seed_at_each_report():
    plain, result = (run(make(seeds=(1, 2), batch_size=8), stacked=True) for make in (config_of, with_curves))
    assert plain.curves == [] and plain.metrics == result.metrics  # measuring does not change the run
    assert [entry["progress"] for entry in result.curves] == [0.25, 0.5, 0.75, 1.0]
    last = result.curves[-1]
    for name in ("train_loss", "validation_loss", "validation_accuracy"):
        assert last[name] == [replicate[name] for replicate in result.replicates]
    alone = run(with_curves(seeds=(2,), batch_size=8))
    assert [entry["train_loss"][1] for entry in result.curves] == pytest.approx(
        [entry["train_loss"][0] for entry in alone.curves], rel=1e-3
    )


def test_a_replicate_that_diverged_leaves_a_hole_in_the_curve(monkeypatch):
    burst(monkeypatch, 2, after=6)
    result = run(with_curves(task=CNN, seeds=(1, 2), batch_size=16), stacked=False)  # reports at 4, 8, 12, 16
    assert [entry["train_loss"][0] is None for entry in result.curves] == [False] * 4
    assert [entry["train_loss"][1] is None for entry in result.curves] == [False, True, True, True]
    assert not any("sharpness" in name for name in result.curves[0])
