"""Data sets: splits, noise, the real readers on small files of the same formats."""

import gzip
import pickle
import struct
from hashlib import md5

import numpy as np
import pytest
import torch

from search.errors import DataError
from search.spec import DATASETS, DatasetFacts, Task
from search.train import data
from search.train.data import crop_and_flip, load_parts, load_test, prepare
from tests.unit.train.conftest import CPU, NOWHERE

DIGITS = {"dataset": "digits", "model": "mlp"}


def parts_of(**changes):
    return load_parts(Task(**{**DIGITS, **changes}), CPU, NOWHERE)


def rows(examples):
    """Images as hashable rows, in the scale of their first."""
    flat = examples.images.flatten(1)
    return {tuple(row) for row in ((flat - flat.mean()) / flat.std() * 1e3).round().int().tolist()}


def test_parts_and_test_are_disjoint_and_of_the_stated_sizes():
    task = Task(**DIGITS)
    parts, test = load_parts(task, CPU, NOWHERE), load_test(task, CPU, NOWHERE)
    assert (len(parts.train), len(parts.validation), len(test)) == (1150, 288, 359)
    together = torch.cat([parts.train.images, parts.validation.images, test.images]).flatten(1)
    from sklearn.datasets import load_digits

    everything = torch.from_numpy(load_digits().data).float()
    # Standardising is one affine map: undone, the three parts are the 1797 digits, each once.
    scale = (everything.max() - everything.min()) / (together.max() - together.min())
    restored = ((together - together.min()) * scale).round()
    assert sorted(map(tuple, restored.tolist())) == sorted(map(tuple, everything.tolist()))


def test_splits_follow_their_seed():
    assert torch.equal(parts_of().train.labels, parts_of(augment=False).train.labels)
    assert not torch.equal(parts_of().validation.labels, parts_of(split_seed=1).validation.labels)


def test_a_smaller_training_set_is_the_beginning_of_a_larger():
    small, large = parts_of(train_size=100), parts_of(train_size=200)
    assert torch.equal(small.train.labels, large.train.labels[:100])
    assert torch.equal(small.validation.labels, large.validation.labels)


def test_images_are_standardised_by_the_training_part():
    parts = parts_of(train_size=100)
    assert parts.train.images.mean().item() == pytest.approx(0, abs=1e-5)
    assert parts.train.images.std().item() == pytest.approx(1, abs=1e-5)
    assert abs(parts.validation.images.mean().item()) > 1e-5


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_label_noise_changes_exactly_its_share_each_to_another_class_and_no_validation_label(fraction):
    clean, noisy = parts_of(train_size=200), parts_of(train_size=200, label_noise=fraction)
    assert (clean.train.labels != noisy.train.labels).sum().item() == 200 * fraction
    assert torch.equal(clean.validation.labels, noisy.validation.labels)
    assert noisy.train.labels.min() >= 0 and noisy.train.labels.max() <= 9
    assert torch.equal(clean.train.images, noisy.train.images)


def idx(array):
    """An IDX file: magic number with the dimensions, sizes, bytes."""
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def small(monkeypatch):
    """Data sets of a few images."""
    data._parts.cache_clear()
    for name, facts in list(DATASETS.items()):
        if name != "digits":
            monkeypatch.setitem(DATASETS, name, DatasetFacts(20, 6, facts.n_classes, facts.channels, facts.side))
    yield np.random.default_rng(0)
    data._parts.cache_clear()


def idx_files(rng):
    for prefix, n in (("train", 20), ("t10k", 6)):
        yield f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        yield f"{prefix}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8) % 10


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_the_mnist_readers_read_torchvision_folders(small, monkeypatch, tmp_path, name, folder):
    monkeypatch.setattr(data, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    written = dict(idx_files(small))
    for file, array in written.items():
        (raw / file).write_bytes(idx(array))
    images, labels = data._read(name, True, 0, tmp_path)
    assert np.array_equal(images.squeeze(1).numpy(), written["train-images-idx3-ubyte"])
    assert labels.tolist() == [n % 10 for n in range(20)]
    prepare(Task(dataset=name, model="mlp"), tmp_path, download=False)
    parts = load_parts(Task(dataset=name, model="mlp", validation_fraction=0.25), CPU, tmp_path)
    assert parts.train.images.shape == (15, 1, 28, 28) and len(parts.validation) == 5
    assert len(load_test(Task(dataset=name, model="mlp", validation_fraction=0.25), CPU, tmp_path)) == 6


def test_fashion_mnist_is_read_from_the_gzipped_files_of_debian(small, monkeypatch, tmp_path):
    debian = tmp_path / "debian"
    debian.mkdir()
    written = dict(idx_files(small))
    for file, array in written.items():
        (debian / f"{file}.gz").write_bytes(gzip.compress(idx(array)))
    monkeypatch.setattr(data, "DEBIAN_FASHION_MNIST", debian)
    images, labels = data._read("fashion-mnist", False, 0, tmp_path / "nothing")
    assert np.array_equal(images.squeeze(1).numpy(), written["t10k-images-idx3-ubyte"])
    assert labels.tolist() == list(range(6))
    (debian / "t10k-labels-idx1-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: cannot be read"):
        data._read("fashion-mnist", False, 0, tmp_path / "nothing")


@pytest.mark.skipif(
    not data.DEBIAN_FASHION_MNIST.is_dir(), reason="needs Fashion-MNIST: apt-get install dataset-fashion-mnist"
)
def test_the_real_fashion_mnist():
    images, labels = data._read("fashion-mnist", True, 0, NOWHERE)
    assert images.shape == (60_000, 1, 28, 28) and labels.bincount().tolist() == [6000] * 10


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_cifar_readers_read_torchvision_folders(small, monkeypatch, tmp_path, name):
    kind = data._torchvision_class(name)
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
    images, labels = data._read(name, True, 0, tmp_path)
    assert np.array_equal(images.numpy(), pixels[:20].reshape(20, 3, 32, 32))
    assert labels.tolist() == [n % 10 for n in range(20)]
    assert len(load_test(Task(dataset=name, model="cnn", validation_fraction=0.25), CPU, tmp_path)) == 6


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_missing_data_says_how_to_get_it_and_nothing_is_downloaded_unasked(monkeypatch, tmp_path, name):
    monkeypatch.setattr(data, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    downloads = []
    kind = data._torchvision_class(name)
    monkeypatch.setattr(kind, "download", lambda self: downloads.append(self.root))
    with pytest.raises(DataError, match=rf"task\.dataset: {name} is not under .*--download"):
        prepare(Task(dataset=name, model="mlp"), tmp_path / "data", download=False)
    with pytest.raises(DataError, match="--download"):
        data._read(name, True, 0, tmp_path / "data")
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
        data._read("mnist", True, 0, tmp_path)


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
