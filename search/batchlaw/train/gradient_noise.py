"""How noisy the gradient is: unbiased estimates of |G|² and of tr Σ, whose ratio is the simple noise scale.

McCandlish et al. 2018 (arXiv:1812.06162), appendix A.1: the squared norm of a gradient over B examples is |G|² + tr Σ/B
on average, so two batch sizes tell both parts. G is the gradient of the mean loss over the training part, Σ the
covariance of the gradients of its single examples. Only the parts are unbiased: average them before dividing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from batchlaw.recipe.seeds import derive_seed

# Measured on studies/claim-batch-per-lr.toml, whose tr Σ/|G|² is 100 to 1000: a whole pass over its 800 examples in 8
# micro-batches costs 2.0 ms, and knows |G|² exactly and tr Σ to 14 %; 256 examples cost 1.5 ms, and know |G|² to 50 to
# 140 % and tr Σ to 20 to 70 %. 4 micro-batches save 0.6 ms, 16 cost 1.3 ms more and know tr Σ to 10 %.
EXAMPLES = 1024  # a draw, at most
MICRO_BATCHES = 8  # at least, where there are as many examples


@dataclass(frozen=True, kw_only=True)
class GradientNoise:
    """Estimates of one network, not finite where its gradients are not."""

    norm2: float  # |G|²; below 0 by chance where the noise is much larger
    variance: float  # tr Σ


def draw(n_train: int, seeds: Sequence[int], step: int, device: torch.device) -> Tensor:
    """Distinct training examples to measure on after a step, int64 (members, examples), of each member by its seed."""
    shuffled = []
    for seed in seeds:
        generator = torch.Generator(device=device).manual_seed(derive_seed(seed, "noise", step))
        shuffled.append(torch.randperm(n_train, generator=generator, device=device)[:EXAMPLES])
    return torch.stack(shuffled)


def gradient_noise(
    gradient: Callable[[Tensor], Sequence[Tensor]], examples: Tensor, micro_batch_size: int, n_train: int
) -> list[GradientNoise]:
    """The estimates of each member, with micro-batches as the small batches and all of them as the big one.

    Distinct examples are less alike than independent ones: the gradients of two have a covariance of -Σ/(N-1), which is
    corrected for, so that a whole pass gives |G|² itself. With augmentation, G and Σ are those of one augmented pass.

    Args:
        gradient: of the mean loss over the examples at indices (members, micro_batch_size), by each parameter; its
            first dimension are the members, where there are several.
        examples: indices without repetition, (members, examples).
        micro_batch_size: what is left of the examples after whole micro-batches has no part.
        n_train: examples that were drawn from, N.
    """
    members, n_drawn = examples.shape
    n_small = n_drawn // micro_batch_size
    small, big = micro_batch_size, micro_batch_size * n_small
    squares = torch.zeros(members, dtype=torch.float64, device=examples.device)
    total: list[Tensor] = []
    for batch in torch.split(examples[:, :big], small, 1):
        parts = gradient(batch)
        squares += _norm2(parts, members)
        total = [a + b for a, b in zip(total, parts, strict=True)] if total else list(parts)
    norm2_small, norm2_big = squares / n_small, _norm2(total, members) / n_small**2
    # As (1/b - 1/B) × bB, so that a single micro-batch, which cannot tell the parts, gives 0/0.
    norm2 = (big * norm2_big - small * norm2_small) / (big - small)
    variance = (norm2_small - norm2_big) * (small * big) / (big - small)
    corrected = torch.stack([norm2 + variance / n_train, variance * (n_train - 1) / n_train], dim=1)
    return [GradientNoise(norm2=n, variance=v) for n, v in corrected.tolist()]


def _norm2(tensors: Sequence[Tensor], members: int) -> Tensor:
    """Squared norm over all parameters, float64 (members,)."""
    return torch.stack([tensor.reshape(members, -1).square().sum(1) for tensor in tensors]).double().sum(0)
