"""Data sets as tensors on the device, split by seed; a batch is an index into them."""

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batchlaw.errors import DataError
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import DATASETS, Task

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
_IDX_FILES = {True: "train", False: "t10k"}


@dataclass(frozen=True)
class Examples:
    """Images, float32 (n, channels, side, side), standardized by the training part; labels, int64 (n,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Parts:
    """The parts of a data set that a trial may use; test data is not among them."""

    train: Examples
    validation: Examples


def load_parts(task: Task, device: torch.device, data_dir: Path) -> Parts:
    """Training and validation examples of a task, on the device.

    Raises:
        DataError: the data set is not under `data_dir`, or not of the expected form.
    """
    # The cache ignores the network, so that tasks with the same data share the tensors.
    return _parts(task.dataset, task.n_train, task.n_validation, task.label_noise, task.split_seed, device, data_dir)


def load_test(task: Task, device: torch.device, data_dir: Path) -> Examples:
    """The test examples of a task, standardized like its training part. Only the verification of a winner uses them.

    Raises:
        DataError: as in `load_parts`.
    """
    images, labels = read_images(task.dataset, False, task.split_seed, data_dir)
    pool, _ = read_images(task.dataset, True, task.split_seed, data_dir)
    order = split_order(len(pool), task.split_seed)
    train = pool[order[task.n_validation : task.n_validation + task.n_train]]
    return Examples(standardize(images, train).to(device), labels.to(device))


@lru_cache(maxsize=2)
def _parts(
    dataset: str,
    n_train: int,
    n_validation: int,
    label_noise: float,
    split_seed: int,
    device: torch.device,
    data_dir: Path,
) -> Parts:
    images, labels = read_images(dataset, True, split_seed, data_dir)
    order = split_order(len(labels), split_seed)
    validation, train = order[:n_validation], order[n_validation : n_validation + n_train]
    noisy = with_label_noise(labels[train], label_noise, DATASETS[dataset].n_classes, split_seed)
    return Parts(
        train=Examples(standardize(images[train], images[train]).to(device), noisy.to(device)),
        validation=Examples(standardize(images[validation], images[train]).to(device), labels[validation].to(device)),
    )


def split_order(n: int, split_seed: int) -> Tensor:
    """A permutation of the training pool; validation is first, so that smaller training parts are subsets of larger."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(derive_seed(split_seed, "split")))


def standardize(images: Tensor, reference: Tensor) -> Tensor:
    """Images, uint8, scaled to zero mean and unit variance of each channel over `reference`, float32."""
    reference = reference.float()
    mean = reference.mean(dim=(0, 2, 3), keepdim=True)
    std = reference.std(dim=(0, 2, 3), keepdim=True)
    return (images.float() - mean) / std


def with_label_noise(labels: Tensor, fraction: float, n_classes: int, split_seed: int) -> Tensor:
    """The labels, of which exactly round(fraction × n) are replaced by another class, uniformly."""
    generator = torch.Generator().manual_seed(derive_seed(split_seed, "label noise"))
    chosen = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))]
    shift = torch.randint(1, n_classes, (len(chosen),), generator=generator)
    noisy = labels.clone()
    noisy[chosen] = (labels[chosen] + shift) % n_classes
    return noisy


def read_images(dataset: str, train: bool, split_seed: int, data_dir: Path) -> tuple[Tensor, Tensor]:
    """Images, uint8 (n, channels, side, side), and labels, int64 (n,), of the training pool or the test set."""
    facts = DATASETS[dataset]
    if dataset == "digits":
        images, labels = _read_digits(train, split_seed)
    elif (found := _read_torchvision(dataset, train, data_dir)) is not None:
        images, labels = found
    elif dataset == "fashion-mnist" and DEBIAN_FASHION_MNIST.is_dir():
        images, labels = _read_idx(DEBIAN_FASHION_MNIST, train)
    else:
        raise missing(dataset, data_dir)
    expected = (facts.n_train if train else facts.n_test, facts.channels, facts.side, facts.side)
    if tuple(images.shape) != expected or len(labels) != len(images):
        raise DataError(f"{dataset}: expected images of shape {expected}, found {tuple(images.shape)}")
    return images, labels


def _read_digits(train: bool, split_seed: int) -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, a fifth of which is the test set."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    generator = torch.Generator().manual_seed(derive_seed(split_seed, "digits test"))
    order = torch.randperm(len(digits.target), generator=generator)
    n_test = DATASETS["digits"].n_test
    chosen = order[n_test:] if train else order[:n_test]
    images = torch.from_numpy(digits.images.astype(np.uint8)).unsqueeze(1)
    return images[chosen], torch.from_numpy(digits.target.astype(np.int64))[chosen]


def _read_idx(folder: Path, train: bool) -> tuple[Tensor, Tensor]:
    """The gzipped IDX files of Debian's package; torchvision reads unpacked files in its own folder only."""
    prefix = _IDX_FILES[train]
    arrays = []
    for part, shape in ((f"{prefix}-images-idx3-ubyte.gz", (1, 28, 28)), (f"{prefix}-labels-idx1-ubyte.gz", ())):
        try:
            with gzip.open(folder / part) as file:
                content = file.read()
            n = int.from_bytes(content[4:8], "big")
            header = 16 if shape else 8
            arrays.append(np.frombuffer(content, np.uint8, offset=header).reshape(n, *shape).copy())
        except (OSError, EOFError, ValueError) as error:
            raise DataError(f"{folder / part}: cannot be read: {error}") from None
    images, labels = arrays
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def torchvision_class(dataset: str) -> type:
    """The class of torchvision that knows the files of a data set."""
    from torchvision import datasets

    names = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
    kind: type = getattr(datasets, names[dataset])
    return kind


def _open_torchvision(dataset: str, train: bool, data_dir: Path) -> Any | None:
    """torchvision's data set; None if it is not under `data_dir`."""
    if not data_dir.is_dir():
        return None  # without the import of torchvision, which takes a second
    try:
        return torchvision_class(dataset)(data_dir, train=train)
    except Exception as error:  # torchvision raises errors of many kinds for damaged files
        if isinstance(error, RuntimeError) and "not found" in str(error):
            return None
        reason = _one_line(error) or type(error).__name__
        raise DataError(f"task.dataset: {dataset} under {data_dir} cannot be read: {reason}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _torchvision_has(dataset: str, data_dir: Path) -> bool:
    return _open_torchvision(dataset, True, data_dir) is not None


def _read_torchvision(dataset: str, train: bool, data_dir: Path) -> tuple[Tensor, Tensor] | None:
    data = _open_torchvision(dataset, train, data_dir)
    if data is None:
        return None
    images, labels = torch.as_tensor(data.data), torch.as_tensor(data.targets, dtype=torch.int64)
    return (images.permute(0, 3, 1, 2).contiguous() if images.ndim == 4 else images.unsqueeze(1)), labels


def missing(dataset: str, data_dir: Path) -> DataError:
    """The error of a data set that is not there."""
    debian = "; Debian's package dataset-fashion-mnist has it" if dataset == "fashion-mnist" else ""
    return DataError(f"task.dataset: {dataset} is not under {data_dir}{debian}", remedy="download")


def prepare(task: Task, data_dir: Path, *, download: bool) -> None:
    """Check that the data of a task can be read on this machine.

    Args:
        task: the task.
        data_dir: the folder of data sets.
        download: download missing data into it.

    Raises:
        DataError: the data is missing, and `download` is false or failed.
    """
    dataset = task.dataset
    if dataset == "digits" or (dataset == "fashion-mnist" and DEBIAN_FASHION_MNIST.is_dir()):
        return
    if _torchvision_has(dataset, data_dir):
        return
    if not download:
        raise missing(dataset, data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        torchvision_class(dataset)(data_dir, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"task.dataset: {dataset} could not be downloaded to {data_dir}: {_one_line(error)}") from None


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops after zero padding by 4 pixels, and random horizontal flips, of a whole batch.

    Args:
        images: (batch, channels, side, side).
        generator: on the device of the images.

    Returns:
        (batch, channels, side, side).
    """
    batch, _, side, _ = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    top = torch.randint(0, 9, (batch, 1), generator=generator, device=device)
    left = torch.randint(0, 9, (batch, 1), generator=generator, device=device)
    flip = torch.rand((batch, 1), generator=generator, device=device) < 0.5
    along = torch.arange(side, device=device)
    rows = (top + along)[:, None, :, None]
    columns = (left + torch.where(flip, along.flip(0), along))[:, None, None, :]
    return padded[
        torch.arange(batch, device=device)[:, None, None, None],
        torch.arange(images.shape[1], device=device)[None, :, None, None],
        rows,
        columns,
    ]
