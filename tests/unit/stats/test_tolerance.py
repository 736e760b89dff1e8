"""The width of a valley, and its slope, against a hand calculation, least squares and planted censored widths."""

import numpy as np
import pytest
from batchlaw.stats.tolerance import slope_of_widths, width_of
from scipy import stats

PLACE = np.arange(9.0)
NONE_DEAD = np.zeros(9, dtype=bool)


@pytest.mark.parametrize("half", [1.0, 2.0, 3.0])
def test_a_bowl_is_as_wide_as_its_ends_at_the_threshold(half):
    found = width_of(PLACE, -(((PLACE - 4) / half) ** 2), NONE_DEAD, 1.0)
    assert (found.low, found.high) == pytest.approx((4 - half, 4 + half)) and not found.is_open


def test_ends_between_levels_are_nearly_those_of_the_bowl():
    found = width_of(PLACE, -(((PLACE - 4) / 1.6) ** 2), NONE_DEAD, 1.0)
    assert found.octaves == pytest.approx(3.2, abs=0.15)


def test_an_end_where_runs_diverge_is_halfway():
    means, dead = np.where(PLACE > 5, -50.0, -0.1 * np.abs(PLACE - 4)), PLACE > 5
    found = width_of(PLACE, means, dead, 1.0)
    assert found.high == 5.5 and found.low == 0 and (found.open_low, found.open_high) == (True, False)


def test_only_the_range_around_the_best_counts_and_missing_levels_are_passed_over():
    means = np.array([0.0, -9.0, -0.3, 0.5, np.nan, 0.4, -9.0, 0.4, 0.4])
    found = width_of(PLACE, means, NONE_DEAD, 1.0)
    assert 1 < found.low < 2 and 5 < found.high < 6
    assert width_of(PLACE, np.full(9, np.nan), NONE_DEAD, 1.0) is None
    assert width_of(PLACE, -PLACE, PLACE < 1, 1.0) is None  # the best level has diverged runs


def test_without_open_widths_the_slope_is_that_of_least_squares():
    x, width = np.arange(6.0), np.array([5.0, 4.2, 4.1, 3.0, 2.6, 2.2])
    line = stats.linregress(x, width)
    found = slope_of_widths(x, np.zeros(6, dtype=int), width, np.zeros(6, dtype=bool))
    reach = stats.t.ppf(0.975, 4) * line.stderr
    assert (found.slope, found.ci_low, found.ci_high) == pytest.approx(
        (line.slope, line.slope - reach, line.slope + reach)
    )


def test_groups_have_offsets_of_their_own():
    x, group = np.tile(np.arange(5.0), 2), np.repeat([0, 1], 5)
    width = 4 - 0.3 * x + 2 * group + 0.1 * np.sin(7 * np.arange(10))
    found = slope_of_widths(x, group, width, np.zeros(10, dtype=bool))
    assert found.slope == pytest.approx(-0.3, abs=0.05) and found.degrees_of_freedom == 7


def test_open_widths_are_not_taken_as_they_are():
    """Widths cut off at 5: least squares on them misses the planted slope, Tobin's model covers it."""
    generator, x = np.random.default_rng(0), np.linspace(0, 6, 13)
    covered = missed = 0
    for _ in range(100):
        width = 6 - 0.5 * x + 0.2 * generator.normal(size=13)
        cut = np.minimum(width, 5.0)
        found = slope_of_widths(x, np.zeros(13, dtype=int), cut, width > 5)
        covered += found.ci_low <= -0.5 <= found.ci_high
        taken = slope_of_widths(x, np.zeros(13, dtype=int), cut, np.zeros(13, dtype=bool))
        missed += not taken.ci_low <= -0.5 <= taken.ci_high
    assert covered >= 90 and missed >= 90


def test_too_few_closed_widths_give_no_slope():
    x, zeros = np.arange(6.0), np.zeros(6, dtype=int)
    assert slope_of_widths(x, zeros, 5 - x / 2, x < 3) is None
    assert slope_of_widths(x, (x > 4).astype(int), 5 - x / 2, x > 4) is None  # no closed one in the second group
