"""Data of a user's own in a study file: arrays and texts, read, checked, hashed and found again."""

import hashlib
import io
import tomllib

import numpy as np
import pytest
from batchlaw.errors import SpecError
from batchlaw.spec import canonical_json, differing_fields, fingerprint, parse_spec, read_spec, toml_of

from tests.conftest import tiny_study

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 5)), np.arange(60) % 3


def study(**task):
    base = tiny_study(space={"batch_size": 8})
    return base | {"task": {"model": "mlp", **task}}


def arrays_study(folder, **arrays):
    np.savez(folder / "mine.npz", **arrays)
    return parse_spec(study(dataset="mine.npz"), "test", folder)


def refusal(table, folder):
    with pytest.raises(SpecError) as refused:
        parse_spec(table, "test", folder)
    line = str(refused.value)
    assert "\n" not in line
    return line.removeprefix("test: ").replace(f"{folder}/", "")


def test_features_have_a_fifth_of_them_as_test_data(tmp_path):
    spec = arrays_study(tmp_path, x=X, y=Y)
    facts = spec.task.data
    assert (facts.n_train, facts.n_test, facts.n_classes, facts.shape) == (48, 12, 3, (5,))
    assert (spec.n_train, spec.task.n_validation) == (38, 10)
    assert spec.chance == 1 / 3
    written = X.astype(np.float32), Y.astype(np.int64)
    whole = b"".join(f"{array.dtype.str}{array.shape}".encode() + array.tobytes() for array in written)
    assert facts.sha256 == hashlib.sha256(whole).hexdigest()


def test_images_may_lack_their_channel_and_name_their_test_data(tmp_path):
    images = RNG.integers(0, 256, (30, 6, 6), dtype=np.uint8)
    spec = arrays_study(tmp_path, train_x=images, train_y=Y[:30], test_x=images[:4], test_y=Y[:4], more=X)
    facts = spec.task.data
    assert (facts.n_train, facts.n_test, facts.n_classes, facts.shape) == (30, 4, 3, (1, 6, 6))


def test_a_study_is_the_same_wherever_its_file_lies_and_another_if_its_data_change(tmp_path):
    (tmp_path / "other").mkdir()
    first = arrays_study(tmp_path, x=X, y=Y)
    np.savez_compressed(tmp_path / "other" / "mine.npz", y=Y.astype(np.int16), x=X)
    moved = parse_spec(study(dataset="mine.npz"), "test", tmp_path / "other")
    assert fingerprint(moved) == fingerprint(first) and differing_fields(first, moved) == []
    assert moved.task.data.folder != first.task.data.folder
    changed = arrays_study(tmp_path, x=X, y=Y[::-1])
    assert fingerprint(changed) != fingerprint(first)
    assert [line.split(":")[0] for line in differing_fields(first, changed)] == ["task.data.sha256"]


def test_a_stored_study_needs_no_file_and_its_toml_is_the_study_again(tmp_path):
    spec = arrays_study(tmp_path, x=X, y=Y)
    (tmp_path / "mine.npz").unlink()
    (tmp_path / "again.toml").write_text(toml_of(spec))
    assert parse_spec(tomllib.loads(toml_of(spec)), "stored") == read_spec(tmp_path / "again.toml") == spec
    assert '"folder":' in canonical_json(spec)


def test_a_study_of_built_in_data_is_written_as_before(tmp_path):
    written = parse_spec(tiny_study(), "test").model_dump(mode="json")["task"]
    assert written.keys().isdisjoint({"file", "data", "evaluation_tokens"})
    assert written["model_options"].keys() == {"widths", "channels", "norm", "patch_size", "init_scale"}


@pytest.mark.parametrize(
    ("arrays", "line"),
    [
        ({"a": X, "y": Y}, "mine.npz has the arrays a, y; it must have x, y or train_x, train_y, test_x, test_y"),
        ({"x": X[:50], "y": Y}, "mine.npz: x has 50 examples, and its labels are 60"),
        ({"x": X[:, 0], "y": Y}, "x must have the shape (n, features), (n, side, side) or (n, channels, side, side); "
                                 "got (60,)"),
        ({"x": RNG.normal(size=(60, 4, 4, 3)), "y": Y}, "got (60, 4, 4, 3)"),
        ({"x": X[:, :0], "y": Y}, "got (60, 0)"),
        ({"x": np.where(X > 2, np.nan, X), "y": Y}, "x must be finite in single precision; example "),
        ({"x": X * 1e300, "y": Y}, "x must be finite in single precision; example 0 is not"),
        ({"x": X.astype(str), "y": Y}, "x must be numbers; got the type <U"),
        ({"x": X.astype(object), "y": Y}, "Object arrays cannot be loaded when allow_pickle=False"),
        ({"x": X, "y": Y / 2}, "y must be one whole number for each example; got (60,) of float64"),
        ({"x": X, "y": np.eye(3, dtype=int)[Y]}, "y must be one whole number for each example; got (60, 3) of int64"),
        ({"x": X, "y": Y - 1}, "y must have labels from 0; got -1"),
        ({"x": X, "y": Y * 2}, "y must have every label from 0 to the largest, 4; there is no 1"),
        ({"x": X, "y": Y * 0}, "y must have every label from 0 to the largest, 0; there is one class"),
        ({"x": X[:3], "y": Y[:3]}, "got 3 examples; must be at least 5"),
        ({"train_x": X, "train_y": Y, "test_x": X[:, 1:], "test_y": Y},
         "examples to train and to test on have the shapes (5,) and (4,)"),
        ({"train_x": X, "train_y": Y, "test_x": X, "test_y": Y + 1},
         "train_y must have every label from 0 to the largest, 3; there is no 3"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_trained_on_are_one_line(tmp_path, arrays, line):
    np.savez(tmp_path / "mine.npz", **arrays)
    refused = refusal(study(dataset="mine.npz"), tmp_path)
    assert refused.startswith("task.dataset: ") and line in refused


def test_files_that_are_no_arrays_are_one_line(tmp_path):
    assert refusal(study(dataset="none.npz"), tmp_path) == "task.dataset: none.npz: No such file or directory"
    (tmp_path / "text.npz").write_text("text")
    assert refusal(study(dataset="text.npz"), tmp_path).startswith("task.dataset: text.npz: ")
    whole = io.BytesIO()
    np.savez(whole, x=X, y=Y)
    (tmp_path / "half.npz").write_bytes(whole.getvalue()[:600])
    assert refusal(study(dataset="half.npz"), tmp_path).startswith("task.dataset: half.npz: ")
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    assert "is one array, not a file of several" in refusal(study(dataset="one.npz"), tmp_path)


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ({"dataset": "text"}, "task.file: names the text; got null"),
        ({"dataset": "digits", "file": "a.txt"}, 'task.file: belongs to dataset = "text"; got "a.txt"'),
        ({"dataset": "text", "file": "none.txt"}, "task.file: none.txt: No such file or directory"),
        ({"dataset": "text", "file": "latin.txt"}, "task.file: latin.txt must be UTF-8; its byte 1 is not"),
        ({"dataset": "text", "file": "short.txt"}, "task.file: short.txt: got 5 bytes; must have at least 20"),
        ({"dataset": "python-source", "model": "mlp"}, "task.model: takes images or features, and python-source has "
                                                       'text: gpt; got "mlp"'),
        ({"dataset": "digits"}, "task.model: takes text, and digits has images: mlp, cnn, resnet18, vit-tiny; got "
                                '"gpt"'),
        ({"dataset": "mine.npz", "model": "cnn"}, "task.model: takes images, and mine.npz has features: mlp; got "
                                                  '"cnn"'),
        ({"model_options": {"heads": 3}}, "task.model_options.heads: must divide the width of 64; got 3"),
        ({"model_options": {"widths": [3]}}, "task.model_options.widths: is not an option of gpt; got [3]"),
        ({"dataset": "text", "file": "long.txt", "model_options": {"context": 200}},
         "task.model_options.context: must be below 200, the bytes of the test part; got 200"),
        ({"label_noise": 0.1}, "task.label_noise: is of labels, and a text has none; got 0.1"),
        ({"split_seed": 1}, "task.split_seed: must be 0: the parts of a text are fixed; got 1"),
        ({"augment": True}, "task.augment: crop and flip are for images of three channels, such as cifar10; got true"),
        ({"dataset": "digits", "model": "mlp", "evaluation_tokens": 9}, "task.evaluation_tokens: is of a text; got 9"),
        ({"dataset": "text", "file": "long.txt", "validation_fraction": 0.01},
         "task.validation_fraction: leaves 0 of 28 examples to validate on; at least 1 and fewer than all; got 0.01"),
        ({"dataset": "pyton-source"}, "did you mean 'python-source'?"),
    ],
)  # fmt: skip
def test_a_wrong_text_is_one_line(tmp_path, task, line):
    (tmp_path / "latin.txt").write_bytes("aé".encode("latin-1") * 20)
    (tmp_path / "short.txt").write_text("hello")
    (tmp_path / "long.txt").write_text("hello world " * 167)
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    assert line in refusal(study(**{"dataset": "python-source", "model": "gpt", **task}), tmp_path)


def test_budgets_and_metrics_of_a_text_are_refused_elsewhere(tmp_path):
    tokens = tiny_study(budget={"tokens": 1000})
    assert refusal(tokens, tmp_path) == "budget.tokens: is of a text; use examples or epochs; got 1000"
    bits = tiny_study(search={"metric": "validation_bits_per_byte"})
    assert refusal(bits, tmp_path) == 'search.metric: is of a text; got "validation_bits_per_byte"'
    text = study(dataset="python-source", model="gpt") | {"budget": {"tokens": 6400}}
    text["search"] = {"trials": 1, "metric": "validation_bits_per_byte"}
    spec = parse_spec(text, "test")
    assert (spec.direction, spec.chance, spec.example_tokens) == ("minimize", 8.0, 64)


def test_a_data_table_that_is_false_is_no_hash():
    with pytest.raises(SpecError, match=r"task\.data\.sha256: must match pattern"):
        parse_spec(study(dataset="mine.npz", data={"sha256": "a", "n_train": 5, "n_test": 1, "n_classes": 2,
                                                   "shape": [3]}), "test")  # fmt: skip
