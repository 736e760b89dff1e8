"""Interrupted runs continue from their last report, to the same result, bit for bit."""

import pickle

import pytest
import torch
from batchlaw.errors import Interrupted
from batchlaw.train import Checkpoint
from batchlaw.train.parallel_runs import ParallelRuns

from tests.unit.train.conftest import CNN, CPU, config_of, run

CONFIGS = {
    "momentum": {},
    "adam": {"optimizer": "adam"},
    "rmsprop": {"optimizer": "rmsprop"},
    "adagrad": {"optimizer": "adagrad"},
    "cnn": {"task": CNN, "optimizer": "adamw", "batch_size": 24},
    "seeds": {"seeds": (1, 2, 3), "batch_size": 8},
    "schedule": {"decay": "cosine", "warmup_fraction": 0.25},
    "growth": {"decay": "batch-growth", "schedule": {"decay_factor": 2}, "optimizer": "adam"},
    "micro": {"task": {"micro_batch_size": 5}},
}


class InterruptingReport:
    """A report that interrupts the run at its report number `at`, and records all reports."""

    def __init__(self, at=None):
        self.at, self.reports = at, []

    def __call__(self, progress, metrics):
        self.reports.append((progress, dict(metrics)))
        if len(self.reports) == self.at:
            raise Interrupted


def checkpoint_in(folder, config, every=0.0):
    return Checkpoint(folder, [config], every)


def timeless(result):
    return {
        name: value
        for name, value in result.as_record().items()
        if name not in ("train_seconds", "examples_per_second", "peak_memory_bytes")
    }


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("at", [1, 3])
def test_a_resumed_run_gives_the_same_bits_as_an_uninterrupted_one(tmp_path, name, at):
    config = config_of(**CONFIGS[name]).model_copy(update={"measures": ("curves", "plateau")})
    whole = InterruptingReport()
    uninterrupted = run(config, whole)
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(at), checkpoint=checkpoint_in(tmp_path, config))
    resumed = InterruptingReport()
    result = run(config, resumed, checkpoint=checkpoint_in(tmp_path, config))
    assert timeless(result) == timeless(uninterrupted)
    assert resumed.reports == whole.reports  # earlier reports are made again


def test_a_resumed_run_does_not_repeat_steps(tmp_path, monkeypatch):

    config = config_of()
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(3), checkpoint=checkpoint_in(tmp_path, config))
    steps = []
    advance = ParallelRuns.advance
    monkeypatch.setattr(
        ParallelRuns,
        "advance",
        lambda self, start, stop: (steps.append(start), advance(self, start, stop)),
    )
    run(config, checkpoint=checkpoint_in(tmp_path, config))
    assert steps == [12]  # of 16


def test_only_the_same_configuration_finds_its_checkpoint(tmp_path):
    config, other = config_of(), config_of(base_lr=0.2)
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(2), checkpoint=checkpoint_in(tmp_path, config))
    assert checkpoint_in(tmp_path, config).load(CPU)["done"] == 8
    assert checkpoint_in(tmp_path, other).load(CPU) is None
    checkpoint_in(tmp_path, config).remove()
    assert list(tmp_path.iterdir()) == [] and checkpoint_in(tmp_path, config).load(CPU) is None


def test_a_state_is_not_copied_within_a_second_nor_written_early(tmp_path):
    config = config_of()
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(3), checkpoint=checkpoint_in(tmp_path, config, every=3600.0))
    assert list(tmp_path.iterdir()) == []


class Harmful:
    def __reduce__(self):
        return (open, ("harm", "w"))


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", pickle.dumps(Harmful()), "harmful zip", "another format"]
)
def test_an_unreadable_file_is_ignored_and_runs_no_code(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    config = config_of()
    folder = tmp_path / "checkpoints"
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(2), checkpoint=checkpoint_in(folder, config))
    (file,) = folder.iterdir()
    if content == "harmful zip":
        torch.save({"format": 1, "stacks": Harmful()}, file)
    elif content == "another format":
        torch.save({"format": 0}, file)
    else:
        file.write_bytes(content)
    assert checkpoint_in(folder, config).load(CPU) is None
    assert timeless(run(config, checkpoint=checkpoint_in(folder, config))) == timeless(run(config))
    assert not (tmp_path / "harm").exists()


def test_training_continues_if_the_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    config = config_of()
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(2), checkpoint=checkpoint_in(tmp_path / "file", config))
    assert run(config, checkpoint=checkpoint_in(tmp_path / "file", config)).metrics == run(config).metrics
