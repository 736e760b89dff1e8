"""Gradient noise: unbiased estimates of |G|² and tr Σ, whose ratio tr Σ/|G|² is the simple noise scale.

G is the gradient of the mean loss over the training part, Σ the covariance of the gradients of its single examples. The
squared norm of a gradient over B examples has the mean |G|² + tr Σ/B, so two batch sizes give both (McCandlish et al.
2018, arXiv:1812.06162, appendix A.1). The ratio of two estimates is biased: average them before dividing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from batchlaw.recipe.seeds import derive_seed

# Measured on studies/claim-batch-per-lr.toml, where tr Σ/|G|² is 100 to 1000. A whole pass over its 800 examples in 8
# micro-batches takes 2.0 ms and gives |G|² exactly and tr Σ within 14 %. 256 examples take 1.5 ms and give |G|² within
# 50 to 140 % and tr Σ within 20 to 70 %. 4 micro-batches save 0.6 ms; 16 take 1.3 ms more and give tr Σ within 10 %.
EXAMPLES = 1024  # at most, for one measurement
MICRO_BATCHES = 8  # at least, if there are as many examples


@dataclass(frozen=True, kw_only=True)
class GradientNoise:
    """The estimates for one network; not finite if its gradients are not."""

    norm2: float  # |G|²; may be below 0 if the noise is much larger
    variance: float  # tr Σ


def draw(
    n_train: int,
    seeds: Sequence[int],
    step: int,
    device: torch.device,
    *,
    purpose: str = "noise",
    most: int | None = None,
) -> Tensor:
    """Indices of the training examples to measure on after a step, without repetition, int64 (members, examples).

    Another purpose draws others, and `most` of them in place of EXAMPLES, or all that there are.
    """
    shuffled = []
    for seed in seeds:
        generator = torch.Generator(device=device).manual_seed(derive_seed(seed, purpose, step))
        shuffled.append(torch.randperm(n_train, generator=generator, device=device)[: most or EXAMPLES])
    return torch.stack(shuffled)


def gradient_noise(
    gradient: Callable[[Tensor], Sequence[Tensor]], examples: Tensor, micro_batch_size: int, n_train: int
) -> list[GradientNoise]:
    """The estimates of each member; the small batches are micro-batches, the big batch is all of them.

    Examples drawn without repetition are not independent: the gradients of two have the covariance -Σ/(N-1). This is
    corrected, so that a whole pass gives |G|² exactly. With augmentation, G and Σ are those of one augmented pass.

    Args:
        gradient: from indices (members, micro_batch_size) to the gradient of the mean loss, one tensor for each
            parameter; the first dimension are the members if there are several.
        examples: indices without repetition, (members, examples); a last incomplete micro-batch is left out.
        micro_batch_size: examples of a small batch.
        n_train: number of training examples, N.
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
    # In this form a single micro-batch, from which nothing can be estimated, gives 0/0.
    norm2 = (big * norm2_big - small * norm2_small) / (big - small)
    variance = (norm2_small - norm2_big) * (small * big) / (big - small)
    corrected = torch.stack([norm2 + variance / n_train, variance * (n_train - 1) / n_train], dim=1)
    return [GradientNoise(norm2=n, variance=v) for n, v in corrected.tolist()]


def _norm2(tensors: Sequence[Tensor], members: int) -> Tensor:
    """Squared norm over all parameters, float64 (members,)."""
    return torch.stack([tensor.reshape(members, -1).square().sum(1) for tensor in tensors]).double().sum(0)
