"""What is known of a data set before it is loaded: how many examples it has, of which shape, of how many classes."""

from dataclasses import dataclass
from difflib import get_close_matches
from math import log, log2
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from batchlaw.spec.base import Frozen, Positive, refuse

Kind = Literal["images", "features", "text"]


@dataclass(frozen=True)
class DatasetFacts:
    """The properties of a data set."""

    n_train: int  # to split into training and validation: examples, of text bytes
    n_test: int
    n_classes: int
    shape: tuple[int, ...]  # of an example: (channels, side, side) of an image, (features,), or () of a byte of text

    @property
    def kind(self) -> Kind:
        """What the examples are."""
        kinds: dict[int, Kind] = {0: "text", 1: "features", 3: "images"}
        return kinds[len(self.shape)]

    @property
    def channels(self) -> int:
        """Of an image."""
        return self.shape[0]

    @property
    def side(self) -> int:
        """Pixels of an image; every image is square."""
        return self.shape[-1]

    def chance(self, metric: str) -> float:
        """The score of guessing: an accuracy, a cross-entropy in nats, or bits per byte."""
        if metric == "validation_accuracy":
            return 1 / self.n_classes
        return log2(self.n_classes) if metric == "validation_bits_per_byte" else log(self.n_classes)


# scikit-learn's 1797 digits have no official test set: train/data.py sets a fifth of them aside, by split_seed.
DATASETS: dict[str, DatasetFacts] = {
    "digits": DatasetFacts(1438, 359, 10, (1, 8, 8)),
    "mnist": DatasetFacts(60_000, 10_000, 10, (1, 28, 28)),
    "fashion-mnist": DatasetFacts(60_000, 10_000, 10, (1, 28, 28)),
    "cifar10": DatasetFacts(50_000, 10_000, 10, (3, 32, 32)),
    "cifar100": DatasetFacts(50_000, 10_000, 100, (3, 32, 32)),
}
TEXTS = ("text", "python-source")  # bytes as tokens
ARRAYS = ".npz"  # how the name of a file of arrays ends
BYTES = 256  # tokens of a text


def is_own(dataset: str) -> bool:
    """Whether the facts of a data set are read from a file or from this machine."""
    return dataset in TEXTS or dataset.endswith(ARRAYS)


def _known(dataset: str) -> str:
    if dataset not in DATASETS and not is_own(dataset):
        known = (*DATASETS, *TEXTS)
        close = get_close_matches(dataset, known, n=1, cutoff=0.5)
        suggestion = f" (did you mean {close[0]!r}?)" if close else ""
        raise refuse(f"must be one of {', '.join(known)}, or a file of arrays ({ARRAYS}){suggestion}", dataset)
    return dataset


DatasetName = Annotated[str, AfterValidator(_known)]


class OwnData(Frozen):
    """The facts of a data set that is not in `DATASETS`, as they were when its study file was read."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of the arrays or of the bytes, not of their file
    n_train: Positive
    n_test: Positive
    n_classes: Annotated[int, Field(ge=2)]
    shape: Annotated[tuple[Positive, ...], Field(max_length=3)]
    folder: str | None = None  # that a relative path starts from; a machine may have the file elsewhere

    @property
    def facts(self) -> DatasetFacts:
        """The facts."""
        return DatasetFacts(self.n_train, self.n_test, self.n_classes, self.shape)


def without_folder(task: dict[str, Any]) -> dict[str, Any]:
    """A [task] as JSON without the place of its data: the data are known by their hash."""
    data = task.get("data")
    return task if data is None else task | {"data": {name: data[name] for name in data if name != "folder"}}
