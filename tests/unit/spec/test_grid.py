"""The batch sizes of a staggered grid."""

from itertools import pairwise
from math import log2

import pytest
from batchlaw.spec.grid import staggered
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("turn", "sizes"),
    [
        (0, (2, 4, 8, 16, 32, 64, 128)),
        (1, (2, 4, 10, 20, 40, 81, 161)),
        (2, (2, 4, 13, 25, 51, 102, 203)),
        (3, (2, 4, 8, 16, 32, 64, 128)),
        (7, (2, 4, 10, 20, 40, 81, 161)),
    ],
)
def test_batch_sizes_from_8_up_are_shifted_by_thirds_of_an_octave(turn, sizes):
    assert staggered([2, 4, 8, 16, 32, 64, 128], turn) == sizes


def test_the_shift_is_a_share_of_the_spacing_wherever_that_is():
    assert staggered([16, 64, 128], 1) == (25, 81, 161)  # a third of two octaves, and of one


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=12, unique=True).map(sorted), st.integers(0, 20))
def test_they_stay_apart_and_below_the_next(sizes, turn):
    shifted = staggered(sizes, turn)
    assert len(set(shifted)) == len(sizes) and list(shifted) == sorted(shifted)
    assert all(own <= moved <= above for own, moved, above in zip(sizes, shifted, sizes[1:], strict=False))


def test_three_turns_cover_the_axis_evenly():
    sizes = [2**exponent for exponent in range(4, 10)]
    places = sorted(log2(size) for turn in range(3) for size in staggered(sizes, turn))
    assert max(above - below for below, above in pairwise(places)) < 0.36
