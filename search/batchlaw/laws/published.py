"""What scaling rules and published laws say of a run longer or larger than any that was tried.

Rules move the best pair (B₀, ε₀) of the nearest group, which has the horizon D₀:

- constant, √batch size and linear: ε = ε₀ (B/B₀)^s at the planned batch size, with s = 0, ½ and 1;
- norm transfer (arXiv:2510.03871): B = B₀ (D/D₀)^.45 and ε = ε₀ (B/B₀)^.62 (D/D₀)^-.56; of Scion, and like Adam's.

Of language models whose tokens D and parameters N are known:

- Step Law (arXiv:2503.04715): ε = 1.79 N^-.713 D^.307 and B = .58 D^.571 tokens; of AdamW.
"""

from collections.abc import Mapping
from typing import NamedTuple

_SIMPLE = {"constant": 0.0, "√batch size": 0.5, "linear": 1.0}


class Told(NamedTuple):
    """What one rule says."""

    rule: str
    batch_size: float  # in the unit of the runs; the planned one where the rule tells none
    lr: float


def published(
    at: Mapping[str, float], planned: float, start: tuple[float, float], longer: float | None, *, in_tokens: bool
) -> list[Told]:
    """What each rule says.

    Args:
        at: of the run asked for: "tokens" and "parameters" where they are known.
        planned: batch size.
        start: batch size and rate, the best pair of the nearest group.
        longer: D/D₀; None where all groups have one horizon.
        in_tokens: whether batch sizes are counted in tokens.
    """
    size, rate = start
    told = [Told(name, planned, rate * (planned / size) ** slope) for name, slope in _SIMPLE.items()]
    if longer is not None:
        told.append(Told("norm transfer", size * longer**0.45, rate * longer ** (0.45 * 0.62 - 0.56)))
    if {"tokens", "parameters"} <= at.keys():
        lr = 1.79 * at["parameters"] ** -0.713 * at["tokens"] ** 0.307
        told.append(Told("Step Law", 0.58 * at["tokens"] ** 0.571 if in_tokens else planned, lr))
    return told
