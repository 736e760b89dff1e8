"""Interrupted runs continue from their last report, to the same result, bit for bit."""

import hashlib
import io
import os
import pickle
import time

import pytest
import torch
from batchlaw.errors import Interrupted
from batchlaw.train import Checkpoint
from batchlaw.train.checkpoint import _HEAD, read_state
from batchlaw.train.parallel_runs import ParallelRuns

from tests.unit.train.conftest import CNN, CPU, TEXT, config_of, run

CONFIGS = {
    "momentum": {},
    "adam": {"optimizer": "adam"},
    "rmsprop": {"optimizer": "rmsprop"},
    "adagrad": {"optimizer": "adagrad"},
    "muon": {"optimizer": "muon", "decay": "wsd", "weight_decay_tau": 0.5},
    "muon cnn": {"task": CNN, "optimizer": "muon"},
    "uncorrected": {"optimizer": "adamw", "bias_correction": False, "weight_decay": 0.1},
    "schedule-free": {"optimizer": "schedule-free-adamw", "warmup_fraction": 0.5},
    "schedule-free seeds": {"optimizer": "schedule-free-sgd", "seeds": (1, 2, 3), "batch_size": 8},
    "cnn": {"task": CNN, "optimizer": "adamw", "batch_size": 24},
    "seeds": {"seeds": (1, 2, 3), "batch_size": 8},
    "schedule": {"decay": "cosine", "warmup_fraction": 0.25},
    "cooldown": {"decay": "wsd", "schedule": {"cooldown_fraction": 0.6, "cooldown": "1-sqrt"}, "warmup_fraction": 0.25},
    "seesaw": {"decay": "seesaw", "schedule": {"decay_factor": 2}, "optimizer": "adam"},
    "growth": {"decay": "batch-growth", "schedule": {"decay_factor": 2}, "optimizer": "adam"},
    "micro": {"task": {"micro_batch_size": 5}},
    "text": {"task": TEXT, "optimizer": "adamw"},
    "text, seeds": {"task": TEXT, "optimizer": "adamw", "seeds": (1, 2), "batch_size": 8},
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


def sealed(state):
    """A file of batchlaw's form with this state."""
    content = io.BytesIO()
    torch.save(state, content)
    return _HEAD + hashlib.sha256(content.getvalue()).digest() + content.getvalue()


def interrupted(folder, config):
    """The file of a run that was interrupted at its second report."""
    with pytest.raises(Interrupted):
        run(config, InterruptingReport(2), checkpoint=checkpoint_in(folder, config))
    (file,) = folder.iterdir()
    return file


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    config = config_of()
    content = interrupted(tmp_path, config).read_bytes()
    for at in [*range(0, len(content), max(len(content) // 60, 1)), len(content) - 1]:
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        (tmp_path / "changed.pt").write_bytes(changed)
        try:
            assert read_state(tmp_path / "changed.pt", CPU) is None  # the mark of the version
        except ValueError as error:
            assert "have changed" in str(error)


@pytest.mark.parametrize("lack", ["stacks", "size", "done", "model", "shapes"])
def test_a_state_that_does_not_fit_is_set_aside_and_the_run_starts_anew(tmp_path, caplog, lack):
    config = config_of()
    file = interrupted(tmp_path, config)
    state = read_state(file, CPU)
    if lack == "model":
        del state["stacks"][0]["model"]
    elif lack == "shapes":
        state["stacks"][0]["model"] = {key: value[:1] for key, value in state["stacks"][0]["model"].items()}
    else:
        del state[lack]
    file.write_bytes(sealed(state))
    assert timeless(run(config, checkpoint=checkpoint_in(tmp_path, config, every=3600.0))) == timeless(run(config))
    assert [file.suffix for file in tmp_path.iterdir()] == [".unfit"]
    assert "does not fit" in caplog.text


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path, kind):
    config = config_of()
    folder = tmp_path / "checkpoints"
    file = interrupted(folder, config)
    file.replace(tmp_path / "elsewhere")
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.mkdir()
    before = (tmp_path / "elsewhere").read_bytes()
    assert checkpoint_in(folder, config).load(CPU) is None
    assert timeless(run(config, checkpoint=checkpoint_in(folder, config))) == timeless(run(config))
    assert (tmp_path / "elsewhere").read_bytes() == before  # nothing is written through a link


def test_what_dead_processes_left_is_deleted_by_the_next(tmp_path):
    old = {"a.tmp": 2, "b.pt": 31, "c.unfit": 31}  # days
    young = {"d.tmp": 0.5, "e.pt": 29, "f.unfit": 29, "somebody's.txt": 1000}
    for name, days in (old | young).items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - days * 86_400,) * 2)
    checkpoint_in(tmp_path, config_of()).load(CPU)
    assert {file.name for file in tmp_path.iterdir()} == set(young)


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
        file.write_bytes(sealed({"format": 4, "stacks": Harmful()}))
    elif content == "another format":
        file.write_bytes(sealed({"format": 0}))
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
