"""The public data sets on this machine, found or downloaded without PyTorch where there is no need of it."""

from pathlib import Path
from typing import Any

from batchlaw.errors import DataError
from batchlaw.spec.own_data import arrays_of, text_of
from batchlaw.spec.task import Task

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


def torchvision_class(dataset: str) -> type:
    """The class of torchvision that knows the files of a data set."""
    from torchvision import datasets

    names = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
    kind: type = getattr(datasets, names[dataset])
    return kind


def open_torchvision(dataset: str, train: bool, data_dir: Path) -> Any | None:
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
        DataError: the data is missing, and `download` is false or failed; or the user's own has changed.
    """
    dataset = task.dataset
    if task.context is not None:
        text_of(task, data_dir)
        return
    if task.data is not None:
        arrays_of(task, data_dir)
        return
    if dataset == "digits" or (dataset == "fashion-mnist" and DEBIAN_FASHION_MNIST.is_dir()):
        return
    if open_torchvision(dataset, True, data_dir) is not None:
        return
    if not download:
        raise missing(dataset, data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        torchvision_class(dataset)(data_dir, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"task.dataset: {dataset} could not be downloaded to {data_dir}: {_one_line(error)}") from None
