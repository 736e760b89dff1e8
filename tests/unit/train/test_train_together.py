"""Several learning rates trained as one network against each of them trained by itself."""

import math
from itertools import pairwise

import pytest
from batchlaw.errors import Diverged, Interrupted
from batchlaw.train import Checkpoint, train_together
from batchlaw.train.checkpoint import read_state
from batchlaw.train.loop import Run

from tests.unit.train.conftest import CNN, CPU, NOWHERE, config_of, run

LRS = (0.01, 0.1, 0.5)
FAMILIES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")


def configs_of(**changes):
    return [config_of(**{"seeds": (1, 2), "batch_size": 8} | changes, base_lr=lr) for lr in LRS]


def together(configs, reports=None, **options):
    reports = reports or [lambda progress, metrics: None for _ in configs]
    return train_together(configs, reports, device=CPU, data_dir=NOWHERE, **options)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", [{}, CNN], ids=["mlp", "cnn"])
def test_each_learning_rate_trains_as_by_itself(family, task):
    further = {} if family == "sgd" else {"weight_decay": 0.01}
    configs = configs_of(optimizer=family, task=task, warmup_fraction=0.25, decay="cosine", **further)
    results = together(configs)
    assert [result.stack_size for result in results] == [6, 6, 6]
    assert results[0].stacked_base_lrs == list(LRS)
    for config, result in zip(configs, results, strict=True):
        alone = run(config, stacked=False)
        for ours, theirs in zip(result.replicates, alone.replicates, strict=True):
            assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-4)
            assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
        assert result.tail_loss_variance == pytest.approx(alone.tail_loss_variance, rel=1e-2)
    losses = [result.metrics["validation_loss"] for result in results]
    assert min(abs(a - b) for a, b in pairwise(losses)) > 1e-4  # else the comparison would prove nothing


def test_weight_decay_and_its_exemption_reach_every_member():
    space = {"exempt_norms_and_biases": True}
    configs = configs_of(optimizer="adamw", weight_decay=1.0, space=space, task=CNN)
    for config, result in zip(configs, together(configs), strict=True):
        assert result.metrics["validation_loss"] == pytest.approx(
            run(config, stacked=False).metrics["validation_loss"], rel=1e-4
        )
    free = configs_of(optimizer="adamw", weight_decay=0.0, task=CNN)
    assert together(free)[2].metrics["validation_loss"] != pytest.approx(
        together(configs)[2].metrics["validation_loss"], rel=1e-3
    )


def test_reports_and_measures_belong_to_their_learning_rate():
    heard = [[] for _ in LRS]
    configs = [
        config.model_copy(update={"measures": ("curves", "sharpness", "noise-scale", "plateau")})
        for config in configs_of()
    ]
    results = together(configs, [lambda p, m, own=own: own.append((p, m)) for own in heard])
    for config, result, reports in zip(configs, results, heard, strict=True):
        alone: list = []
        expected = run(config, lambda p, m, own=alone: own.append((p, m)), stacked=True)
        assert [progress for progress, _ in reports] == [progress for progress, _ in alone] == [0.25, 0.5, 0.75, 1.0]
        for (_, ours), (_, theirs) in zip(reports, alone, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-3)
        assert result.plateau_steps == expected.plateau_steps
        for ours, theirs in zip(result.curves, expected.curves, strict=True):
            assert ours.keys() == theirs.keys()
            for name in ("train_loss", "validation_loss", "worst_sharpness"):
                assert ours[name] == pytest.approx(theirs[name], rel=1e-2)


def test_a_learning_rate_that_diverges_ends_alone():
    healthy = configs_of()
    wild = healthy[1].model_copy(update={"base_lr": 1e30, "peak_lr": 1e30})
    heard = [[] for _ in LRS]
    ended = together([healthy[0], wild, healthy[2]], [lambda p, m, own=own: own.append(m) for own in heard])
    assert isinstance(ended[1], Diverged) and heard[1] == []
    assert ended[1].untrained["validation_loss"] == pytest.approx(math.log(10), rel=0.1)
    uninterrupted = together(healthy)
    assert ended[0].replicates == uninterrupted[0].replicates and ended[2].replicates == uninterrupted[2].replicates
    assert len(heard[0]) == 4


def test_all_diverged_ends_the_run_early(monkeypatch):
    advanced = []
    advance = Run.advance
    monkeypatch.setattr(Run, "advance", lambda self, *span: advanced.append(span) or advance(self, *span))
    wild = [config.model_copy(update={"peak_lr": 1e30 * (1 + k)}) for k, config in enumerate(configs_of())]
    assert all(isinstance(ended, Diverged) for ended in together(wild))
    assert len(advanced) == 1


def test_each_configuration_has_its_share_of_the_time():
    results = together(configs_of())
    seconds = {result.train_seconds for result in results}
    assert len(seconds) == 1
    assert results[0].examples_per_second == pytest.approx(2 * configs_of()[0].examples / seconds.pop())


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_the_scores_do_not_depend_on_the_size_of_the_stacks(size):
    configs = configs_of()
    for ours, theirs in zip(together(configs, size=size), together(configs), strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-4)


def test_each_result_records_the_rates_of_its_stack():
    first, second, third = together(configs_of(), size=4)
    assert (first.stacked_base_lrs, second.stacked_base_lrs) == ([0.01, 0.1], [0.01, 0.1])
    assert third.stacked_base_lrs == [0.5]


def test_an_interrupted_stack_continues_to_the_same_bits(tmp_path):
    configs = configs_of()
    calls = []

    def cut_off(progress, metrics):
        calls.append(progress)
        if len(calls) == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        together(configs, [cut_off] * 3, checkpoint=Checkpoint(tmp_path, configs, 0.0))
    heard = [[] for _ in LRS]
    resumed = together(
        configs,
        [lambda p, m, own=own: own.append(p) for own in heard],
        checkpoint=Checkpoint(tmp_path, configs, 0.0),
    )
    assert [result.replicates for result in resumed] == [result.replicates for result in together(configs)]
    assert heard == [[0.25, 0.5, 0.75, 1.0]] * 3
    assert read_state(next(tmp_path.iterdir()), CPU)["done"] > 0  # there was something to continue from
