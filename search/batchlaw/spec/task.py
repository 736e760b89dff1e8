"""The [task] of a study file: a built-in network, and its data."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from batchlaw.spec.base import Extended, Positive, refuse
from batchlaw.spec.datasets import DATASETS, DatasetFacts, DatasetName, OwnData

ModelName = Literal["mlp", "cnn", "resnet18", "vit-tiny", "gpt"]


class ModelOptions(Extended):
    """Options of the built-in networks; a network refuses those of another."""

    later = frozenset(("width", "depth", "heads", "context"))

    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] | None = None  # mlp
    channels: Annotated[int, Field(ge=1)] | None = None  # cnn: channels of the first layer
    norm: Literal["batch", "group"] | None = None  # resnet18
    patch_size: Annotated[int, Field(ge=1)] | None = None  # vit-tiny, pixels
    # mlp, cnn: multiplies the initial weights; small values start near the saddle point at 0
    init_scale: Annotated[float, Field(gt=0, le=1)] | None = None
    width: Positive | None = None  # gpt: features of a token …
    depth: Positive | None = None  # … blocks …
    heads: Positive | None = None  # … of attention, which share the width …
    context: Positive | None = None  # … and tokens of an example


OPTIONS_OF: dict[str, tuple[str, ...]] = {
    "mlp": ("widths", "init_scale"),
    "cnn": ("channels", "init_scale"),
    "resnet18": ("norm",),
    "vit-tiny": ("patch_size",),
    "gpt": ("width", "depth", "heads", "context"),
}
WIDTHS, CHANNELS, HIDDEN = (128,), 32, 128  # of mlp; of cnn's first layer, and units of its hidden layer
# A network that a CPU core trains on about 40,000 tokens a second.
GPT = {"width": 64, "depth": 2, "heads": 2, "context": 64}
_EVALUATION_TOKENS = 16_384  # assumption: the standard error of a loss is then about .03 nats
TAKES = {"mlp": ("images", "features"), "gpt": ("text",)}  # other networks take images


class Task(Extended):
    """A built-in network, and a data set: a built-in one, arrays of the user's own, or a text."""

    later = frozenset(("file", "data", "evaluation_tokens", "fold"))

    dataset: DatasetName
    file: Annotated[str, Field(min_length=1)] | None = None  # of the data set "text", from the study file's folder
    model: ModelName
    model_options: ModelOptions = ModelOptions()
    train_size: Annotated[int, Field(ge=1)] | None = None  # examples; None: all that the split leaves
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2  # of the data set's training part
    # Of a text: the most tokens on which a loss is measured; they are spread evenly. None: 16,384.
    evaluation_tokens: Positive | None = None
    label_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0  # fraction of training labels replaced by another class
    split_seed: Annotated[int, Field(ge=0)] = 0
    fold: Annotated[int, Field(ge=0)] = 0  # another division of the same examples into training and validation
    augment: bool = False  # random crop (padding 4) and horizontal flip, for CIFAR
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16 by autocast
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None  # examples at once; None: the batch, if it fits
    data: OwnData | None = None  # of data that are not built in, filled in when the study is read

    @property
    def facts(self) -> DatasetFacts:
        """The properties of the data set."""
        return DATASETS[self.dataset] if self.data is None else self.data.facts

    @property
    def context(self) -> int | None:
        """The tokens of an example; None if the data are no text."""
        return self.gpt("context") if self.facts.kind == "text" else None

    def gpt(self, option: str) -> int:
        """An option of the network `gpt`."""
        value: int | None = getattr(self.model_options, option)
        return value or GPT[option]

    @property
    def patch_size(self) -> int:
        """Pixels at a side of a patch of vit-tiny."""
        return self.model_options.patch_size or (2 if self.facts.side < 16 else 4)

    @property
    def n_held_out(self) -> int:
        """What is kept for validation of the data set's training part: examples, of text bytes."""
        return round(self.validation_fraction * self.facts.n_train)

    @property
    def n_validation(self) -> int:
        """The number of validation examples that are evaluated."""
        return self.n_evaluated(self.windows(self.n_held_out))

    @property
    def n_left(self) -> int:
        """The number of examples that validation leaves."""
        return self.windows(self.facts.n_train - self.n_held_out)

    @property
    def n_train(self) -> int:
        """The number of training examples."""
        return self.train_size or self.n_left

    def windows(self, n: int) -> int:
        """The examples in a part of the data, of n examples or bytes.

        An example of a text is a window of `context` bytes, and each of its targets the byte that follows.
        """
        return n if self.context is None else max(n - 1, 0) // self.context

    def n_evaluated(self, n: int) -> int:
        """How many of n examples a loss is measured on: all, of a text as many as evaluation_tokens allows."""
        if self.context is None:
            return n
        return min(n, max((self.evaluation_tokens or _EVALUATION_TOKENS) // self.context, 1))

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
        return 2 if self.has_batch_norm and self.facts.side <= 8 else 1

    @model_validator(mode="after")
    def _consistent(self) -> "Task":
        if (self.dataset == "text") != (self.file is not None):
            why = "names the text" if self.dataset == "text" else 'belongs to dataset = "text"'
            raise refuse(why, self.file, "file")
        if (self.dataset in DATASETS) != (self.data is None):
            raise refuse("is filled in when a study is read, of data that are not built in", self.data, "data")
        self._check_model()
        self._check_split()
        if self.augment and (self.facts.kind != "images" or self.facts.channels != 3):
            raise refuse("crop and flip are for images of three channels, such as cifar10", self.augment, "augment")
        if self.micro_batch_size is not None and self.micro_batch_size < self.fewest_together:
            raise refuse(
                "must be at least 2: batch norm has no variance over one example",
                self.micro_batch_size,
                "micro_batch_size",
            )
        return self

    def _check_model(self) -> None:
        facts = self.facts
        takes = TAKES.get(self.model, ("images",))
        if facts.kind not in takes:
            fitting = [name for name in OPTIONS_OF if facts.kind in TAKES.get(name, ("images",))]
            message = f"takes {' or '.join(takes)}, and {self.dataset} has {facts.kind}: {', '.join(fitting)}"
            raise refuse(message, self.model, "model")
        for option, value in self.model_options:
            if value is not None and option not in OPTIONS_OF[self.model]:
                raise refuse(f"is not an option of {self.model}", value, f"model_options.{option}")
        if self.model == "vit-tiny" and facts.side % self.patch_size:
            message = f"must divide the image side of {facts.side} pixels"
            raise refuse(message, self.patch_size, "model_options.patch_size")
        if self.model == "cnn" and facts.side < 4:
            raise refuse(f"pools twice, and the images have a side of {facts.side} pixels", self.model, "model")
        if self.model == "gpt" and self.gpt("width") % self.gpt("heads"):
            message = f"must divide the width of {self.gpt('width')}"
            raise refuse(message, self.gpt("heads"), "model_options.heads")

    def _check_split(self) -> None:
        facts = self.facts
        if facts.kind == "text":
            if self.label_noise:
                raise refuse("is of labels, and a text has none", self.label_noise, "label_noise")
            for name in ("split_seed", "fold"):
                if given := getattr(self, name):
                    raise refuse("must be 0: the parts of a text are fixed", given, name)
            if not self.windows(facts.n_test):
                message = f"must be below {facts.n_test}, the bytes of the test part"
                raise refuse(message, self.gpt("context"), "model_options.context")
        elif self.evaluation_tokens is not None:
            raise refuse("is of a text", self.evaluation_tokens, "evaluation_tokens")
        if not (self.windows(self.n_held_out) and self.n_left):
            raise refuse(
                f"leaves {self.windows(self.n_held_out)} of {self.windows(facts.n_train)} examples to validate on; "
                "at least 1 and fewer than all",
                self.validation_fraction,
                "validation_fraction",
            )
        if self.train_size is not None and self.train_size > self.n_left:
            raise refuse(
                f"must be at most {self.n_left}, what validation_fraction leaves of {self.dataset}",
                self.train_size,
                "train_size",
            )
