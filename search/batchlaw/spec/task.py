"""The [task] of a study file: a built-in data set and network."""

from dataclasses import dataclass
from math import log
from typing import Annotated, Literal

from pydantic import Field, model_validator

from batchlaw.spec.base import Frozen, refuse

DatasetName = Literal["digits", "mnist", "fashion-mnist", "cifar10", "cifar100"]
ModelName = Literal["mlp", "cnn", "resnet18", "vit-tiny"]


@dataclass(frozen=True)
class DatasetFacts:
    """The properties of a data set."""

    n_train: int  # to split into training and validation
    n_test: int
    n_classes: int
    channels: int
    side: int  # pixels; every image is square

    def chance(self, metric: str) -> float:
        """The score of guessing: an accuracy, or a cross-entropy in nats."""
        return 1 / self.n_classes if metric == "validation_accuracy" else log(self.n_classes)


# scikit-learn's 1797 digits have no official test set: train/data.py sets a fifth of them aside, by split_seed.
DATASETS: dict[str, DatasetFacts] = {
    "digits": DatasetFacts(1438, 359, 10, 1, 8),
    "mnist": DatasetFacts(60_000, 10_000, 10, 1, 28),
    "fashion-mnist": DatasetFacts(60_000, 10_000, 10, 1, 28),
    "cifar10": DatasetFacts(50_000, 10_000, 10, 3, 32),
    "cifar100": DatasetFacts(50_000, 10_000, 100, 3, 32),
}


class ModelOptions(Frozen):
    """Options of the built-in networks; a network refuses those of another."""

    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] | None = None  # mlp
    channels: Annotated[int, Field(ge=1)] | None = None  # cnn: channels of the first layer
    norm: Literal["batch", "group"] | None = None  # resnet18
    patch_size: Annotated[int, Field(ge=1)] | None = None  # vit-tiny, pixels
    # mlp, cnn: multiplies the initial weights; small values start near the saddle point at 0
    init_scale: Annotated[float, Field(gt=0, le=1)] | None = None


OPTIONS_OF: dict[str, tuple[str, ...]] = {
    "mlp": ("widths", "init_scale"),
    "cnn": ("channels", "init_scale"),
    "resnet18": ("norm",),
    "vit-tiny": ("patch_size",),
}


class Task(Frozen):
    """A built-in data set and network."""

    dataset: DatasetName
    model: ModelName
    model_options: ModelOptions = ModelOptions()
    train_size: Annotated[int, Field(ge=1)] | None = None  # examples; None: all that the split leaves
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2  # of the data set's training part
    label_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0  # fraction of training labels replaced by another class
    split_seed: Annotated[int, Field(ge=0)] = 0
    augment: bool = False  # random crop (padding 4) and horizontal flip, for CIFAR
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16 by autocast
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None  # examples at once; None: the batch, if it fits

    @property
    def n_validation(self) -> int:
        """The number of validation examples."""
        return round(self.validation_fraction * DATASETS[self.dataset].n_train)

    @property
    def n_train(self) -> int:
        """The number of training examples."""
        return self.train_size or DATASETS[self.dataset].n_train - self.n_validation

    @property
    def has_batch_norm(self) -> bool:
        """Whether the network has batch norm."""
        return self.model == "resnet18" and self.model_options.norm != "group"

    @property
    def fewest_together(self) -> int:
        """Examples that the network needs at once to train.

        Batch norm takes the variance of a channel over the examples and the pixels. ResNet-18 halves the side three
        times, so that images of 8 pixels end as one, and one example has no variance there.
        """
        return 2 if self.has_batch_norm and DATASETS[self.dataset].side <= 8 else 1

    @model_validator(mode="after")
    def _consistent(self) -> "Task":
        facts = DATASETS[self.dataset]
        left = facts.n_train - self.n_validation
        if not 1 <= self.n_validation < facts.n_train:
            raise refuse(
                f"leaves {self.n_validation} of {facts.n_train} examples to validate on; at least 1 and fewer than all",
                self.validation_fraction,
                "validation_fraction",
            )
        if self.train_size is not None and self.train_size > left:
            raise refuse(
                f"must be at most {left}, what validation_fraction leaves of {self.dataset}",
                self.train_size,
                "train_size",
            )
        if self.augment and facts.channels != 3:
            raise refuse("crop and flip are for cifar10 and cifar100", self.augment, "augment")
        for option, value in self.model_options:
            if value is not None and option not in OPTIONS_OF[self.model]:
                raise refuse(f"is not an option of {self.model}", value, f"model_options.{option}")
        if self.micro_batch_size is not None and self.micro_batch_size < self.fewest_together:
            raise refuse(
                "must be at least 2: batch norm has no variance over one example",
                self.micro_batch_size,
                "micro_batch_size",
            )
        patch = self.model_options.patch_size
        if patch is not None and facts.side % patch:
            raise refuse(f"must divide the image side of {facts.side} pixels", patch, "model_options.patch_size")
        return self
