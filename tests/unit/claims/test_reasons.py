"""What a verdict rests on: its boundaries, its reason, and the runs that would settle it."""

import math

import numpy as np
import pytest
from batchlaw.claims.evidence import Direction, Evidence, gather
from batchlaw.claims.hypotheses import CATALOGUE
from batchlaw.claims.verdict import judge, side_of, slope_verdict
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Surface
from scipy import special

from tests.unit.stats.conftest import planted


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((-0.25, 0.25), "no relation"), ((0.5, 0.75), "inconclusive"), ((1.25, 1.5), "inconclusive")],
)
def test_an_interval_that_ends_on_a_bound_is_within_it(interval, verdict):
    found, reason = slope_verdict(Slope(sum(interval) / 2, *interval, 0.1, 4), 1.0, 0.25, 0.0, 0.05)
    assert found == verdict
    assert reason.endswith("within [-0.25, 0.25]" if verdict == "no relation" else "out of [0.75, 1.25]")


def test_a_hypothesis_is_judged_by_the_direction_it_is_about():
    evidence = gather(planted(0.5, noise=0.02)[0])
    found = {finding.hypothesis.name: finding for finding in judge(evidence, ["H7", "H9"], margin=0.1)}
    assert found["H7"].side is evidence.reverse and found["H9"].side is evidence.forward
    assert found["H7"].slope == evidence.reverse.slope and found["H9"].slope == evidence.forward.slope
    assert {finding.margin for finding in found.values()} == {0.1}
    with pytest.raises(AssertionError):
        side_of(evidence, CATALOGUE["H10"])  # about the training size


@pytest.mark.parametrize(
    ("slope", "noise", "verdict", "words"),
    [
        (1.0, 0.02, "supported", ", in proportion"),
        (0.5, 0.02, "supported", "excludes [0.75, 1.25]: growth, if not shown to be in proportion"),
        (0.0, 0.02, "no relation", "within [-0.25, 0.25]"),
        (-0.5, 0.02, "refuted", "excludes [0.75, 1.25]"),
        (0.2, 0.8, "inconclusive", "excludes [0.75, 1.25]"),  # the interval reaches over 0
    ],
)
def test_growth_is_supported_by_any_slope_above_0(slope, noise, verdict, words):
    finding = judge(gather(planted(slope, noise=noise, seeds=3)[0], "train_size"), ["H10"])[0]
    assert finding.verdict == verdict and finding.reason.endswith(words)
    assert (finding.settle is not None) == (verdict == "inconclusive")


def test_a_wide_interval_asks_for_the_replicates_that_would_narrow_it():
    finding = judge(gather(planted(0.75, noise=0.6)[0]), ["H9"])[0]
    half = (finding.slope.ci_high - finding.slope.ci_low) / 2
    wanted = math.ceil(5 * (half / 0.125) ** 2)  # of five, to half the margin of 0.25
    assert finding.verdict == "inconclusive" and wanted > 5
    assert finding.settle == f"about {wanted} replicates instead of 5, or levels of the given factor over more octaves"


def test_a_narrow_interval_on_the_border_asks_for_more_octaves():
    finding = judge(gather(planted(0.75, noise=0.02)[0]), ["H9"])[0]
    assert finding.verdict == "inconclusive"
    assert finding.settle == "the slope lies at the border of the band: levels of the given factor over more octaves"


def ridge_of(*status):
    """A ridge that is known by the status of its levels alone."""
    n = len(status)
    best = np.arange(n) * 0.5 + 2.0
    return Ridge(
        2.0 ** np.arange(n), 2.0 ** np.arange(7), status, best, np.full(n, 0.1), best - 0.2, best + 0.2,
        np.full(n, True), np.tile(best, (5, 1)), 4,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "settle"),
    [
        (["identified"] * 3, "more levels of the given factor, over more octaves"),
        (["right_censored"] * 2, "levels above 64, where 2 optima lie at the edge"),
        (
            ["left_censored", "undecided", "undecided", "right_censored", "left_censored"],
            "levels below 1, where 2 optima lie at the edge; levels above 64, where 1 optima lie at the edge; "
            "more runs, 80 or more, for the 2 levels that tell no optimum",
        ),
    ],
)
def test_without_a_slope_the_levels_say_what_is_missing(status, settle):
    evidence = Evidence("lr", Direction(None, ridge_of(*status), 0.05, 40), None)
    finding = judge(evidence, ["H9"])[0]
    assert (finding.verdict, finding.settle) == ("inconclusive", settle)
    assert (finding.slope, finding.p_value, finding.p_adjusted) == (None, None, None)


def flat_surface(noise):
    """Five levels without an optimum: the noise of each level, and a small pattern over its cells."""
    generator = np.random.default_rng(3)
    scores = np.array(noise)[:, None, None] * generator.normal(size=(5, 4, 6)) + np.array([0, 0.1, 0, 0.1])[:, None]
    return Surface(2.0 ** np.arange(5), 2.0 ** np.arange(4), scores, np.zeros(scores.shape, dtype=bool))


def p_flat(level):
    """Of one level, (cells, replicates): the largest p of the cells, by the formula written out."""
    cells, n = level.shape
    sd = math.sqrt(sum(sum((x - cell.mean()) ** 2 for x in cell) / (n - 1) for cell in level) / cells)
    offsets = [abs(cell.mean() - level.mean()) for cell in level]
    return max(special.stdtr((n - 1) * cells, -(sd - offset) / (sd / math.sqrt(n))) for offset in offsets)


def test_a_level_is_flat_where_each_cell_is_within_one_seeds_deviation_of_its_mean():
    surface = flat_surface([0.15, 0.2, 0.3, 0.6, 2.0])
    evidence, levels = gather(surface), sorted(p_flat(level) for level in surface.scores)
    assert len(set(levels)) == 5
    for n_flat, p in enumerate(levels):
        for alpha, expected in ((p * (1 - 1e-6), n_flat), (p * (1 + 1e-6), n_flat + 1)):
            finding = judge(evidence, ["H8"], alpha=alpha)[0]
            assert finding.reason.startswith("0 of 5 levels have an identified optimum (0 rise and then fall")
            assert finding.reason.endswith(f", {expected} are shown flat")
            assert finding.verdict == ("refuted" if expected >= 4 else "inconclusive")
            assert (finding.settle is None) == (finding.verdict == "refuted")


def test_levels_without_any_noise_are_not_shown_flat():
    surface = flat_surface([0.0] * 5)
    surface.scores[:2] = 1.0  # the first two are equal in every run: 0/0
    finding = judge(gather(surface), ["H8"], margin=0.1)[0]
    assert finding.verdict == "inconclusive" and finding.reason.endswith(", 0 are shown flat")
    assert finding.margin == 0.1
    replicates = "more replicates, 12 or more, for the"
    assert replicates in finding.settle


def test_four_of_five_levels_with_an_optimum_support_that_there_is_one():
    surface, _ = planted(0.0, noise=0.02, n_given=5)
    surface.scores[0] = np.arange(9)[:, None] + 0.01 * surface.scores[0]  # monotone
    finding = judge(gather(surface), ["H8"])[0]
    assert finding.verdict == "supported" and finding.reason.startswith("4 of 5 levels") and finding.settle is None
