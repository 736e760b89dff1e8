"""Examples as tensors on the device; a batch is an index into them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """What a network is given, and what it is to answer.

    Images: float32 (n, channels, side, side), standardized by the training part, and labels, int64 (n,). Features: (n,
    features) likewise. Text: windows of bytes, uint8 (n, context), and the byte that follows each, uint8 (n, context).
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Parts:
    """The parts of a data set that a trial may use; test data is not among them."""

    train: Examples
    validation: Examples
    sample: Examples  # of the training part, on which its loss is measured: all of it, of a text evenly spread windows
