"""Data sets as tensors on the device, split by seed; a batch is an index into them."""

import gzip
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from batchlaw import data_files
from batchlaw.errors import DataError
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import DATASETS, ModelOptions, Task
from batchlaw.spec.own_data import arrays_of
from batchlaw.train.examples import Examples, Parts
from batchlaw.train.text import load_text_parts, load_text_test

_IDX_FILES = {True: "train", False: "t10k"}


def load_parts(task: Task, device: torch.device, data_dir: Path) -> Parts:
    """Training and validation examples of a task, on the device.

    Raises:
        DataError: the data set is not under `data_dir`, or not of the expected form.
    """
    # The cache ignores the network, so that tasks with the same data share the tensors.
    options = ModelOptions(context=task.context)
    unused = {"model": "mlp", "model_options": options, "augment": False, "precision": "float32",
              "micro_batch_size": None}  # fmt: skip
    return _parts(task.model_copy(update=unused), device, data_dir)


def load_test(task: Task, device: torch.device, data_dir: Path) -> Examples:
    """The test examples of a task, standardized like its training part. Only the verification of a winner uses them.

    Raises:
        DataError: as in `load_parts`.
    """
    if task.context is not None:
        return load_text_test(task, device, data_dir)
    inputs, labels = _read(task, False, data_dir)
    pool, _ = _read(task, True, data_dir)
    _, train = _split(task, len(pool))
    return Examples(standardize(inputs, pool[train]).to(device), labels.to(device))


@lru_cache(maxsize=2)
def _parts(task: Task, device: torch.device, data_dir: Path) -> Parts:
    if task.context is not None:
        return load_text_parts(task, device, data_dir)
    inputs, labels = _kept(task.model_copy(update={"fold": 0}), data_dir) if task.fold else _read(task, True, data_dir)
    validation, train = _split(task, len(labels))
    noisy = with_label_noise(labels[train], task.label_noise, task.facts.n_classes, task.split_seed)
    training = Examples(standardize(inputs[train], inputs[train]).to(device), noisy.to(device))
    validating = standardize(inputs[validation], inputs[train]).to(device)
    return Parts(training, Examples(validating, labels[validation].to(device)), training)


def _split(task: Task, n: int) -> tuple[Tensor, Tensor]:
    """The indices of the validation and of the training examples in a pool of n, which all folds share."""
    used = split_order(n, task.split_seed)[: task.n_validation + task.n_train]
    if task.fold:
        used = used[split_order(len(used), derive_seed(task.split_seed, "fold", task.fold))]
    return used[: task.n_validation], used[task.n_validation :]


def split_order(n: int, split_seed: int) -> Tensor:
    """A permutation of the training pool; validation is first, so that smaller training parts are subsets of larger."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(derive_seed(split_seed, "split")))


def standardize(inputs: Tensor, reference: Tensor) -> Tensor:
    """Inputs scaled to zero mean and unit variance over `reference`, float32: each channel of images, or each feature.

    What is constant there stays at its difference from that value.
    """
    reference = reference.float()
    over = (0, *range(2, reference.ndim))
    mean = reference.mean(dim=over, keepdim=True)
    std = reference.std(dim=over, keepdim=True)
    return (inputs.float() - mean) / std.masked_fill(std == 0, 1.0)


def with_label_noise(labels: Tensor, fraction: float, n_classes: int, split_seed: int) -> Tensor:
    """The labels, of which exactly round(fraction × n) are replaced by another class, uniformly."""
    generator = torch.Generator().manual_seed(derive_seed(split_seed, "label noise"))
    chosen = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))]
    shift = torch.randint(1, n_classes, (len(chosen),), generator=generator)
    noisy = labels.clone()
    noisy[chosen] = (labels[chosen] + shift) % n_classes
    return noisy


@lru_cache(maxsize=1)  # read once for all folds; without any it is not kept, for its memory
def _kept(task: Task, data_dir: Path) -> tuple[Tensor, Tensor]:
    return _read(task, True, data_dir)


def _read(task: Task, train: bool, data_dir: Path) -> tuple[Tensor, Tensor]:
    """Inputs, as they are stored, and labels, int64 (n,), of the training pool or the test set."""
    if task.data is None:
        return read_images(task.dataset, train, task.split_seed, data_dir)
    arrays = arrays_of(task, data_dir)
    if arrays.test_x is not None and not train:
        return torch.from_numpy(arrays.test_x), torch.from_numpy(arrays.test_y)
    inputs, labels = torch.from_numpy(arrays.x), torch.from_numpy(arrays.y)
    if arrays.test_x is not None:
        return inputs, labels
    chosen = _apart(len(labels), task.facts.n_test, train, derive_seed(task.split_seed, "test"))
    return inputs[chosen], labels[chosen]


def _apart(n: int, n_test: int, train: bool, seed: int) -> Tensor:
    """The indices of the training pool or of the test set, where a data set has no official one."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[n_test:] if train else order[:n_test]


def read_images(dataset: str, train: bool, split_seed: int, data_dir: Path) -> tuple[Tensor, Tensor]:
    """Images, uint8 (n, channels, side, side), and labels, int64 (n,), of the training pool or the test set."""
    facts = DATASETS[dataset]
    if dataset == "digits":
        images, labels = _read_digits(train, split_seed)
    elif (found := _read_torchvision(dataset, train, data_dir)) is not None:
        images, labels = found
    elif dataset == "fashion-mnist" and data_files.DEBIAN_FASHION_MNIST.is_dir():
        images, labels = _read_idx(data_files.DEBIAN_FASHION_MNIST, train)
    else:
        raise data_files.missing(dataset, data_dir)
    expected = (facts.n_train if train else facts.n_test, *facts.shape)
    if tuple(images.shape) != expected or len(labels) != len(images):
        raise DataError(f"{dataset}: expected images of shape {expected}, found {tuple(images.shape)}")
    return images, labels


def _read_digits(train: bool, split_seed: int) -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, a fifth of which is the test set; from its file: the import takes a second."""
    found = find_spec("sklearn")
    assert found is not None and found.submodule_search_locations  # a dependency
    file = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)  # 64 pixels and the label
    chosen = _apart(len(rows), DATASETS["digits"].n_test, train, derive_seed(split_seed, "digits test"))
    images = torch.from_numpy(rows[:, :-1].reshape(-1, 1, 8, 8))
    return images[chosen], torch.from_numpy(rows[:, -1].astype(np.int64))[chosen]


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


def _read_torchvision(dataset: str, train: bool, data_dir: Path) -> tuple[Tensor, Tensor] | None:
    data = data_files.open_torchvision(dataset, train, data_dir)
    if data is None:
        return None
    images, labels = torch.as_tensor(data.data), torch.as_tensor(data.targets, dtype=torch.int64)
    return (images.permute(0, 3, 1, 2).contiguous() if images.ndim == 4 else images.unsqueeze(1)), labels


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
