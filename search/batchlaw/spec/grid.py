"""The batch sizes of a staggered grid."""

from collections.abc import Sequence
from itertools import pairwise

_TURNS = 3  # learning rates until the shift starts again at 0
_FEWEST = 8  # smaller batch sizes stay, since a third of an octave is less than one or two examples there


def staggered(batch_sizes: Sequence[int], turn: int) -> tuple[int, ...]:
    """Batch sizes shifted up by a third of their spacing, on a log scale, for each turn; every third turn by nothing.

    Args:
        batch_sizes: two or more, ascending; the last is shifted by the spacing below it.
        turn: the place of the learning rate among all, from 0.
    """
    share = turn % _TURNS / _TURNS
    factors = [above / below for below, above in pairwise(batch_sizes)]
    return tuple(
        size if size < _FEWEST else round(size * factor**share)
        for size, factor in zip(batch_sizes, [*factors, factors[-1]], strict=True)
    )
