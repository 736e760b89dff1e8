"""Studies of one's own arrays and of a text, from creation to verification, replay, profile and export."""

import json

import numpy as np
import pytest
from batchlaw import Study
from batchlaw.errors import BatchlawError
from batchlaw.train import data

RNG = np.random.default_rng(1)
Y = np.arange(200) % 4
X = RNG.normal(size=(200, 6)) + 3 * np.eye(6)[Y]
SEARCH = {"budget": {"epochs": 4}, "space": {"batch_size": [8, 16], "base_lr": (0.05, 0.5)}, "trials": 2,
          "search": {"published_start": False}}  # fmt: skip
TEXT = {"dataset": "text", "file": "count.txt", "model": "gpt", "evaluation_tokens": 512,
        "model_options": {"width": 16, "depth": 1, "heads": 2, "context": 16}}  # fmt: skip


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHLAW_DATA", str(tmp_path / "data"))

    def create(**keywords):
        return Study.create(name="own", storage="sqlite:///own.db", **{**SEARCH, **keywords})

    return create


def test_arrays_from_python_train_verify_and_replay(made, tmp_path):
    study = made(dataset=(X, Y), model="mlp")
    [kept] = (tmp_path / "data" / "arrays").iterdir()
    assert study.spec.task.dataset == f"arrays/{kept.name}" and kept.stem == study.spec.task.data.sha256[:16]
    study.run(workers=0, progress=False)
    trials = study.trials()
    assert (trials.value > 0.8).all()  # guessing has 0.25
    assert study.replay(0).largest_difference == 0
    assert "test_accuracy" in study.export("python", verify=2)
    again = made(dataset=(X, Y), model="mlp")
    assert len(again.trials()) == 2
    with pytest.raises(BatchlawError, match=r"task\.data\.sha256: stored"):
        made(dataset=(X, Y[::-1]), model="mlp")
    np.savez(kept, x=X, y=Y[::-1])
    data._parts.cache_clear()  # as in another process
    with pytest.raises(BatchlawError, match="is not the one that the study was registered with"):
        study.replay(0)


def test_four_arrays_have_their_own_test_data_which_no_trial_sees(made):
    shifted = np.where(np.arange(200) % 2, Y, (Y + 1) % 4)  # test labels that half of the time are others
    study = made(dataset=(X, Y, X, shifted), task={"model": "mlp", "model_options": {"widths": [16]}})
    study.run(workers=0, progress=False)
    assert (study.trials().value > 0.8).all()
    tested = json.loads(study.export("json", verify=2))["verified"]["test"]
    assert tested["metric"] == "test_accuracy" and 0.35 < tested["value"] < 0.65


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"dataset": (X,)}, r"dataset: must be a name, \(x, y\) or"),
        ({"dataset": (X, Y / 2)}, "the arrays: y must be one whole number for each example"),
        ({"dataset": (X, Y), "task": {"dataset": "digits"}}, "dataset: task has it as well"),
        ({"task": {"dataset": (X[:9], Y)}}, "the arrays: x has 9 examples, and its labels are 200"),
        ({"dataset": (X, Y), "model": "cnn"}, "takes images, and arrays/.* has features: mlp"),
        ({"dataset": (X, Y), "space": {"batch_size": [8, 512], "base_lr": 0.1}}, "must be at most 128"),
        ({"dataset": (X, Y), "budget": {"examples": 8}}, "budget of 8 examples is less than one step of 16"),
        ({"dataset": "digits", "task": {"dataset": "digits"}}, "dataset: got 'digits'; task has it as well"),
    ],
)
def test_arrays_that_are_none_are_one_line_and_nothing_is_written(made, tmp_path, given, line):
    with pytest.raises(BatchlawError, match=line):
        made(**{"model": "mlp", **given})
    assert list(tmp_path.iterdir()) == []


def test_a_text_trains_in_tokens_replays_profiles_verifies_and_exports(made, tmp_path):
    (tmp_path / "count.txt").write_bytes(bytes(range(100)) * 60)
    study = made(task=TEXT, budget={"tokens": 16 * 400}, metric="validation_bits_per_byte", replicates=2,
                 space={"batch_size": [8], "base_lr": [0.5, 1.0], "optimizer": "adamw"})  # fmt: skip
    study.run(workers=0, progress=False)
    trials = study.trials()
    assert (trials.value < 7.5).all()  # guessing has 8, and these bytes less than log₂ 100
    assert study.replay(1).largest_difference == 0
    config = study.best(1)[0].config
    assert (config.tokens, config.batch_tokens, config.examples) == (6400, 128, 400)
    assert study.profile(seconds=0.05).rows[0].batch_size == 8
    snippet = study.export("python", verify=2)
    assert "test_bits_per_byte" in snippet and "torch.optim.AdamW" in snippet
    exec(compile(snippet, "exported.py", "exec"), {"__name__": "exported"})
