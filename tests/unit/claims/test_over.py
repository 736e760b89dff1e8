"""How optima of a table move with other factors: planted exponents, as a guide."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from batchlaw import claim, law
from batchlaw.errors import BatchlawError, DataError


@cache
def runs():
    """The best batch size is D^0.5 / 2, the best rate √B / 256 at each of five horizons D."""
    draw = np.random.default_rng(0)
    rows = [
        (horizon, rate, size, 1 + 0.1 * off**2 + 0.05 * far**2 + 0.002 * draw.normal())
        for horizon in 4.0 ** np.arange(5, 10)
        for size in 2.0 ** np.arange(3, 10)
        for rate in 2.0 ** np.arange(-9, -1)
        for off in [np.log2(rate) - 0.5 * np.log2(size) + 8]
        for far in [np.log2(size) - 0.5 * np.log2(horizon) + 1]
    ]
    return pd.DataFrame(rows, columns=["D", "lr", "batch_size", "val_loss"])


def test_the_best_batch_size_grows_as_planted_and_the_verdict_is_a_guide():
    found = claim(runs(), over="D")
    assert (found.hypothesis, found.grade, found.verdict) == ("H10", "fitted", "inconclusive")
    assert found.low < 0.5 < found.high and found.high - found.low < 0.5
    assert "which would be 'supported', and no test" in found.reason


def test_a_law_tells_all_exponents():
    moves = law(runs(), over=["D"]).moves
    table = moves.exponents.set_index(["of", "on"])
    assert abs(table.loc[("best batch size", "D"), "exponent"] - 0.5) < 0.1
    assert any("best batch size on D" in line for line in moves.lines())


@cache
def bending():
    """The exponent of the best rate on the batch size is 0.1 at the shortest of six horizons and 0.6 at the longest."""
    draw = np.random.default_rng(1)
    rows = [
        (4.0**place, rate, size, 1 + 0.1 * off**2 + 0.002 * draw.normal())
        for place in range(6)
        for size in 2.0 ** np.arange(3, 10)
        for rate in 2.0 ** np.arange(-11, -2)
        for off in [np.log2(rate) - (0.1 + 0.1 * place) * (np.log2(size) - 6) + 6]
    ]
    return pd.DataFrame(rows, columns=["tokens", "lr", "batch_size", "val_loss"])


def test_a_slope_that_rises_with_the_horizon_is_told_as_a_guide():
    found = claim(bending(), over="tokens", hypothesis="H26")
    assert (found.hypothesis, found.grade, found.verdict) == ("H26", "fitted", "inconclusive")
    assert found.low < 0.05 < found.high < 0.1 and found.low > 0  # 0.1 for two doublings
    assert "a guide, which would be 'supported', and no test" in found.reason
    assert any(
        line.startswith("slope of the best rate on the batch size, a doubling of tokens: +0.05") for line in found.notes
    )


def test_a_slope_that_stays_the_same_over_the_horizon_is_told_so():
    found = claim(runs(), over="D", hypothesis="H26")
    assert found.low < 0 < found.high and "would be" not in found.reason


def test_a_trend_needs_more_groups_than_it_has_factors():
    found = claim(bending()[bending()["tokens"] < 60], over="tokens", hypothesis="H26")
    assert found.slope is None and "3 groups with a slope are too few for a trend over tokens" in found.reason


def test_what_cannot_be_told_over_is_one_line():
    with pytest.raises(BatchlawError, match="H10 needs columns to judge it over"):
        claim(runs(), hypothesis="H10")
    with pytest.raises(DataError, match="1 groups have a best rate"):
        claim(runs()[runs()["D"] == 1024], over="D")
    with pytest.raises(DataError, match="must be a number above 0"):
        claim(runs().assign(D="long"), over="D")
