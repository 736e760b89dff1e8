"""The loss of each example: a cross-entropy, of a window of text the mean over its tokens."""

from torch import Tensor
from torch.nn.functional import cross_entropy


def example_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats.

    Args:
        logits: (members, examples, [tokens,] classes).
        targets: (members, examples [, tokens]), whole numbers.

    Returns:
        (members, examples); of tokens their means.
    """
    losses = cross_entropy(logits.flatten(0, -2), targets.flatten().long(), reduction="none").view(targets.shape)
    return losses if losses.ndim == 2 else losses.mean(2)
