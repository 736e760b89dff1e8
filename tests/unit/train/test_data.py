"""Data sets: splits, noise, the real readers on small files of the same formats."""

import gzip
import pickle
import struct
from hashlib import md5

import numpy as np
import pytest
import torch
from batchlaw import data_files
from batchlaw.data_files import prepare
from batchlaw.errors import DataError
from batchlaw.spec import DATASETS, DatasetFacts, Task
from batchlaw.train import data
from batchlaw.train.data import crop_and_flip, load_parts, load_test

from tests.unit.train.conftest import CPU, NOWHERE

DIGITS = {"dataset": "digits", "model": "mlp"}


def parts_of(**changes):
    return load_parts(Task(**{**DIGITS, **changes}), CPU, NOWHERE)


def rows(examples):
    """Images as hashable rows, in the scale of their first."""
    flat = examples.inputs.flatten(1)
    return {tuple(row) for row in ((flat - flat.mean()) / flat.std() * 1e3).round().int().tolist()}


def test_parts_and_test_are_disjoint_and_of_the_stated_sizes():
    task = Task(**DIGITS)
    parts, test = load_parts(task, CPU, NOWHERE), load_test(task, CPU, NOWHERE)
    assert (len(parts.train), len(parts.validation), len(test)) == (1150, 288, 359)
    together = torch.cat([parts.train.inputs, parts.validation.inputs, test.inputs]).flatten(1)
    from sklearn.datasets import load_digits

    everything = torch.from_numpy(load_digits().data).float()
    # Standardising is one affine map: undone, the three parts are the 1797 digits, each once.
    scale = (everything.max() - everything.min()) / (together.max() - together.min())
    restored = ((together - together.min()) * scale).round()
    assert sorted(map(tuple, restored.tolist())) == sorted(map(tuple, everything.tolist()))


def test_splits_follow_their_seed():
    assert torch.equal(parts_of().train.targets, parts_of(augment=False).train.targets)
    assert not torch.equal(parts_of().validation.targets, parts_of(split_seed=1).validation.targets)


@pytest.mark.parametrize("train_size", [None, 100])
def test_a_fold_divides_the_same_examples_anew_and_leaves_the_test_data(train_size):
    def rows(part):
        return sorted(zip(part.targets.tolist(), part.inputs.flatten(1).argsort().tolist(), strict=True))

    plain, folds = parts_of(train_size=train_size), [parts_of(train_size=train_size, fold=k) for k in (1, 2)]
    everything = rows(plain.train) + rows(plain.validation)
    for fold in folds:
        assert (len(fold.train), len(fold.validation)) == (len(plain.train), len(plain.validation))
        assert sorted(rows(fold.train) + rows(fold.validation)) == sorted(everything)
    assert len({str(rows(part.validation)) for part in (plain, *folds)}) == 3
    tests = [load_test(Task(**DIGITS, train_size=train_size, fold=fold), CPU, NOWHERE) for fold in (0, 1)]
    assert torch.equal(tests[0].targets, tests[1].targets)
    again = parts_of(train_size=train_size, fold=1)
    assert torch.equal(again.train.inputs, folds[0].train.inputs)


def test_a_smaller_training_set_is_the_beginning_of_a_larger():
    small, large = parts_of(train_size=100), parts_of(train_size=200)
    assert torch.equal(small.train.targets, large.train.targets[:100])
    assert torch.equal(small.validation.targets, large.validation.targets)


def test_images_are_standardised_by_the_training_part():
    parts = parts_of(train_size=100)
    assert parts.train.inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert parts.train.inputs.std().item() == pytest.approx(1, abs=1e-5)
    assert abs(parts.validation.inputs.mean().item()) > 1e-5


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_label_noise_changes_exactly_its_share_each_to_another_class_and_no_validation_label(fraction):
    clean, noisy = parts_of(train_size=200), parts_of(train_size=200, label_noise=fraction)
    assert (clean.train.targets != noisy.train.targets).sum().item() == 200 * fraction
    assert torch.equal(clean.validation.targets, noisy.validation.targets)
    assert noisy.train.targets.min() >= 0 and noisy.train.targets.max() <= 9
    assert torch.equal(clean.train.inputs, noisy.train.inputs)


def idx(array):
    """An IDX file: magic number with the dimensions, sizes, bytes."""
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def small(monkeypatch):
    """Data sets of a few images."""
    for name, facts in list(DATASETS.items()):
        if name != "digits":
            monkeypatch.setitem(DATASETS, name, DatasetFacts(20, 6, facts.n_classes, facts.shape))
    return np.random.default_rng(0)


def idx_files(rng):
    for prefix, n in (("train", 20), ("t10k", 6)):
        yield f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        yield f"{prefix}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8) % 10


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_the_mnist_readers_read_torchvision_folders(small, monkeypatch, tmp_path, name, folder):
    monkeypatch.setattr(data_files, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    written = dict(idx_files(small))
    for file, array in written.items():
        (raw / file).write_bytes(idx(array))
    images, labels = data.read_images(name, True, 0, tmp_path)
    assert np.array_equal(images.squeeze(1).numpy(), written["train-images-idx3-ubyte"])
    assert labels.tolist() == [n % 10 for n in range(20)]
    prepare(Task(dataset=name, model="mlp"), tmp_path, download=False)
    parts = load_parts(Task(dataset=name, model="mlp", validation_fraction=0.25), CPU, tmp_path)
    assert parts.train.inputs.shape == (15, 1, 28, 28) and len(parts.validation) == 5
    assert len(load_test(Task(dataset=name, model="mlp", validation_fraction=0.25), CPU, tmp_path)) == 6


def test_fashion_mnist_is_read_from_the_gzipped_files_of_debian(small, monkeypatch, tmp_path):
    debian = tmp_path / "debian"
    debian.mkdir()
    written = dict(idx_files(small))
    for file, array in written.items():
        (debian / f"{file}.gz").write_bytes(gzip.compress(idx(array)))
    monkeypatch.setattr(data_files, "DEBIAN_FASHION_MNIST", debian)
    images, labels = data.read_images("fashion-mnist", False, 0, tmp_path / "nothing")
    assert np.array_equal(images.squeeze(1).numpy(), written["t10k-images-idx3-ubyte"])
    assert labels.tolist() == list(range(6))
    (debian / "t10k-labels-idx1-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: cannot be read"):
        data.read_images("fashion-mnist", False, 0, tmp_path / "nothing")


@pytest.mark.skipif(
    not data_files.DEBIAN_FASHION_MNIST.is_dir(), reason="needs Fashion-MNIST: apt-get install dataset-fashion-mnist"
)
def test_the_real_fashion_mnist():
    images, labels = data.read_images("fashion-mnist", True, 0, NOWHERE)
    assert images.shape == (60_000, 1, 28, 28) and labels.bincount().tolist() == [6000] * 10


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_cifar_readers_read_torchvision_folders(small, monkeypatch, tmp_path, name):
    kind = data_files.torchvision_class(name)
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    key = "labels" if name == "cifar10" else "fine_labels"
    pixels = small.integers(0, 256, (26, 3072), dtype=np.uint8)

    def write(file, chosen):
        content = pickle.dumps({"data": pixels[chosen], key: [n % 10 for n in chosen]})
        (folder / file).write_bytes(content)
        return [file, md5(content).hexdigest()]

    meta = pickle.dumps({kind.meta["key"]: [str(n) for n in range(100)]})
    (folder / kind.meta["filename"]).write_bytes(meta)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(meta).hexdigest()})
    monkeypatch.setattr(kind, "train_list", [write("first", range(10)), write("second", range(10, 20))])
    monkeypatch.setattr(kind, "test_list", [write("test", range(20, 26))])
    images, labels = data.read_images(name, True, 0, tmp_path)
    assert np.array_equal(images.numpy(), pixels[:20].reshape(20, 3, 32, 32))
    assert labels.tolist() == [n % 10 for n in range(20)]
    assert len(load_test(Task(dataset=name, model="cnn", validation_fraction=0.25), CPU, tmp_path)) == 6


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_missing_data_says_how_to_get_it_and_nothing_is_downloaded_unasked(monkeypatch, tmp_path, name):
    monkeypatch.setattr(data_files, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    downloads = []
    kind = data_files.torchvision_class(name)
    monkeypatch.setattr(kind, "download", lambda self: downloads.append(self.root))
    with pytest.raises(DataError, match=rf"task\.dataset: {name} is not under .*; see download"):
        prepare(Task(dataset=name, model="mlp"), tmp_path / "data", download=False)
    with pytest.raises(DataError, match="see download"):
        data.read_images(name, True, 0, tmp_path / "data")
    assert downloads == [] and not (tmp_path / "data").exists()
    with pytest.raises(DataError, match="could not be downloaded"):  # the stand-in brings nothing
        prepare(Task(dataset=name, model="mlp"), tmp_path / "data", download=True)
    assert len(downloads) == 1


def test_files_of_another_size_are_named(small, monkeypatch, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file, array in idx_files(small):
        (raw / file).write_bytes(idx(array[:5]))
    with pytest.raises(DataError, match=r"mnist: expected images of shape \(20, 1, 28, 28\), found \(5, 1, 28, 28\)"):
        data.read_images("mnist", True, 0, tmp_path)


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("damage", [b"", b"\x00\x00\x08\x03", b"nonsense" * 9, idx(np.zeros((20, 28, 28)))[:900]])
def test_a_damaged_mnist_file_is_named(small, tmp_path, damage):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file, array in idx_files(small):
        (raw / file).write_bytes(idx(array))
    (raw / "train-images-idx3-ubyte").write_bytes(damage)
    for attempt in (
        lambda: data.read_images("mnist", True, 0, tmp_path),
        lambda: prepare(Task(dataset="mnist", model="mlp"), tmp_path, download=False),
    ):
        with pytest.raises(DataError) as error:
            attempt()
        assert "mnist" in one_line(error)
        assert str(tmp_path) in one_line(error)


@pytest.mark.parametrize("kept", [-10, 3, 9000])
def test_a_file_of_debian_that_ends_early_is_named(small, monkeypatch, tmp_path, kept):
    for file, array in idx_files(small):
        (tmp_path / f"{file}.gz").write_bytes(gzip.compress(idx(array)))
    images = idx(np.zeros((20, 28, 28), np.uint8))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images[: 16 + kept]))
    monkeypatch.setattr(data_files, "DEBIAN_FASHION_MNIST", tmp_path)
    with pytest.raises(DataError) as error:
        data.read_images("fashion-mnist", True, 0, tmp_path / "nothing")
    assert "train-images-idx3-ubyte.gz" in one_line(error)


def test_a_download_that_fails_is_one_line(monkeypatch, tmp_path):
    def fail(self):
        raise RuntimeError("Error downloading train:\nTried one mirror, got:\nno route\n")

    monkeypatch.setattr(data_files.torchvision_class("mnist"), "download", fail)
    with pytest.raises(DataError) as error:
        prepare(Task(dataset="mnist", model="mlp"), tmp_path, download=True)
    assert one_line(error).startswith("task.dataset: mnist could not be downloaded")
    assert "no route" in one_line(error)


def test_a_download_that_is_asked_for_is_used(small, monkeypatch, tmp_path):
    written = dict(idx_files(small))

    def download(self):
        raw = tmp_path / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for file, array in written.items():
            (raw / file).write_bytes(idx(array))

    monkeypatch.setattr(data_files.torchvision_class("mnist"), "download", download)
    prepare(Task(dataset="mnist", model="mlp"), tmp_path, download=True)
    images, _ = data.read_images("mnist", False, 0, tmp_path)
    assert np.array_equal(images.squeeze(1).numpy(), written["t10k-images-idx3-ubyte"])


@pytest.mark.parametrize("dataset", ["digits", "fashion-mnist"])
def test_what_is_on_the_machine_is_never_downloaded(monkeypatch, tmp_path, dataset):
    monkeypatch.setattr(data_files, "DEBIAN_FASHION_MNIST", tmp_path)

    def forbidden(*arguments):
        raise AssertionError("nothing to download")

    monkeypatch.setattr(data_files.torchvision_class("fashion-mnist"), "download", forbidden)
    prepare(Task(dataset=dataset, model="mlp"), tmp_path / "data", download=True)
    assert not (tmp_path / "data").exists()


def test_validation_and_test_are_standardised_by_the_training_images_alone(small, tmp_path):
    # Bright colours in some images: each channel has statistics of its own, and each split others.
    images = torch.from_numpy(small.integers(0, 256, (9, 3, 4, 4), dtype=np.uint8))
    images[:, 1] //= 4
    train, other = images[:5], images[5:]
    pixels = train.double().transpose(0, 1).reshape(3, -1).numpy()
    mean, std = pixels.mean(1), pixels.std(1, ddof=1)
    expected = (other.double().numpy() - mean[None, :, None, None]) / std[None, :, None, None]
    np.testing.assert_allclose(data.standardize(other, train).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_train_and_validation_and_test_share_one_scale():
    from sklearn.datasets import load_digits

    task = Task(**DIGITS, train_size=60)
    parts, test = load_parts(task, CPU, NOWHERE), load_test(task, CPU, NOWHERE)
    # Undoing one affine map, found on the training part whose pixels run from 0 to 16, gives whole pixels everywhere.
    low, high = parts.train.inputs.min(), parts.train.inputs.max()
    restored = [(part.inputs - low) / (high - low) * 16 for part in (parts.train, parts.validation, test)]
    for pixels in restored:
        torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    known = {tuple(row) for row in load_digits().data.astype(int).tolist()}
    assert {tuple(row) for row in restored[0].flatten(1).round().int().tolist()} <= known
    step = 16 / (high - low).item()
    assert restored[0].std().item() == pytest.approx(step, rel=1e-4)  # one standard deviation of the training pixels
    assert -low.item() * step == pytest.approx(restored[0].mean().item(), rel=1e-4)


def test_label_noise_reaches_every_other_class_and_follows_its_seed():
    clean, noisy = (parts_of(train_size=1000, label_noise=noise).train.targets for noise in (0.0, 0.9))
    shifts = ((noisy - clean) % 10).bincount(minlength=10).tolist()
    assert shifts[0] == 100
    assert all(60 <= shift <= 140 for shift in shifts[1:])  # 100 expected of each, with a deviation below 10
    again, other = (parts_of(train_size=100, label_noise=0.5, split_seed=seed).train.targets for seed in (0, 1))
    assert torch.equal(again, parts_of(train_size=100, label_noise=0.5).train.targets)
    plain = (parts_of(train_size=100, split_seed=seed).train.targets for seed in (0, 1))
    changed = [noisy != clean for noisy, clean in zip((again, other), plain, strict=True)]
    assert not torch.equal(*changed)


@pytest.mark.parametrize(("fraction", "n", "changed"), [(0.1, 25, 2), (0.3, 25, 8), (0.001, 100, 0)])
def test_label_noise_is_rounded_to_whole_labels(fraction, n, changed):
    labels = torch.arange(n) % 10
    assert (data.with_label_noise(labels, fraction, 10, 0) != labels).sum().item() == changed


def test_the_images_of_a_smaller_training_set_are_those_of_a_larger():
    small, large = parts_of(train_size=100).train.inputs, parts_of(train_size=200).train.inputs[:100]
    slope = large.std() / small.std()  # each is scaled by its own statistics: one affine map apart
    torch.testing.assert_close(small * slope + (large.mean() - small.mean() * slope), large, atol=1e-4, rtol=0)


def test_crop_and_flip_equals_a_loop_over_images():
    images = torch.randn(16, 3, 32, 32)
    changed = crop_and_flip(images, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    top = torch.randint(0, 9, (16, 1), generator=generator)
    left = torch.randint(0, 9, (16, 1), generator=generator)
    flip = torch.rand((16, 1), generator=generator) < 0.5
    assert flip.any() and not flip.all()
    for n in range(16):
        padded = torch.zeros(3, 40, 40)
        padded[:, 4:36, 4:36] = images[n]
        window = padded[:, top[n] : top[n] + 32, left[n] : left[n] + 32]
        assert torch.equal(changed[n], window.flip(2) if flip[n] else window)
