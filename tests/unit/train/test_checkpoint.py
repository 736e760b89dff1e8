"""What is cut off goes on from its last report, to the same result, bit for bit."""

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


class CutOff:
    """A report that ends the run at the given report, and remembers what it was told."""

    def __init__(self, at=None):
        self.at, self.told = at, []

    def __call__(self, progress, metrics):
        self.told.append((progress, dict(metrics)))
        if len(self.told) == self.at:
            raise Interrupted


def kept(folder, config, every=0.0):
    return Checkpoint(folder, [config], every)


def timeless(result):
    return {
        name: value
        for name, value in result.as_record().items()
        if name not in ("train_seconds", "examples_per_second", "peak_memory_bytes")
    }


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("at", [1, 3])
def test_a_resumed_run_ends_as_an_undisturbed_one_to_the_last_bit(tmp_path, name, at):
    config = config_of(**CONFIGS[name]).model_copy(update={"measures": ("curves", "plateau")})
    whole = CutOff()
    undisturbed = run(config, whole)
    with pytest.raises(Interrupted):
        run(config, CutOff(at), checkpoint=kept(tmp_path, config))
    resumed = CutOff()
    result = run(config, resumed, checkpoint=kept(tmp_path, config))
    assert timeless(result) == timeless(undisturbed)
    assert resumed.told == whole.told  # the reports that were made before are made again


def test_it_does_go_on_and_does_not_start_again(tmp_path, monkeypatch):

    config = config_of()
    with pytest.raises(Interrupted):
        run(config, CutOff(3), checkpoint=kept(tmp_path, config))
    steps = []
    advance = ParallelRuns.advance
    monkeypatch.setattr(
        ParallelRuns,
        "advance",
        lambda self, start, stop: (steps.append(start), advance(self, start, stop)),
    )
    run(config, checkpoint=kept(tmp_path, config))
    assert steps == [12]  # of 16


def test_only_the_same_configuration_finds_it(tmp_path):
    config, other = config_of(), config_of(base_lr=0.2)
    with pytest.raises(Interrupted):
        run(config, CutOff(2), checkpoint=kept(tmp_path, config))
    assert kept(tmp_path, config).load(CPU)["done"] == 8
    assert kept(tmp_path, other).load(CPU) is None
    kept(tmp_path, config).remove()
    assert list(tmp_path.iterdir()) == [] and kept(tmp_path, config).load(CPU) is None


def test_a_run_that_reports_often_keeps_little(tmp_path):
    """Nothing is copied within the first second, nor written before its time."""
    config = config_of()
    with pytest.raises(Interrupted):
        run(config, CutOff(3), checkpoint=kept(tmp_path, config, every=3600.0))
    assert list(tmp_path.iterdir()) == []


class Harmful:
    def __reduce__(self):
        return (open, ("harm", "w"))


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", pickle.dumps(Harmful()), "harmful zip", "another format"]
)
def test_what_cannot_be_read_is_no_checkpoint_and_runs_no_code(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    config = config_of()
    folder = tmp_path / "kept"
    with pytest.raises(Interrupted):
        run(config, CutOff(2), checkpoint=kept(folder, config))
    (file,) = folder.iterdir()
    if content == "harmful zip":
        torch.save({"format": 1, "stacks": Harmful()}, file)
    elif content == "another format":
        torch.save({"format": 0}, file)
    else:
        file.write_bytes(content)
    assert kept(folder, config).load(CPU) is None
    assert timeless(run(config, checkpoint=kept(folder, config))) == timeless(run(config))
    assert not (tmp_path / "harm").exists()


def test_a_folder_that_cannot_be_written_costs_the_checkpoint_and_not_the_run(tmp_path):
    (tmp_path / "file").write_text("in the way")
    config = config_of()
    with pytest.raises(Interrupted):
        run(config, CutOff(2), checkpoint=kept(tmp_path / "file", config))
    assert run(config, checkpoint=kept(tmp_path / "file", config)).metrics == run(config).metrics
