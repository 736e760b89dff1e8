"""What a verdict rests on: its boundaries, its reason, and the runs that would settle it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from batchlaw.claims.evidence import gather, gather_adaptive
from batchlaw.claims.hypotheses import CATALOGUE
from batchlaw.claims.reasons import closed, octaves
from batchlaw.claims.verdict import judge, side_of, slope_verdict
from batchlaw.stats.cells import Runs
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
        (0.2, 1.2, "inconclusive", "out of [0.75, 1.25]"),  # the interval reaches over 0
    ],
)
def test_growth_is_supported_by_any_slope_above_0(slope, noise, verdict, words):
    finding = judge(gather(planted(slope, noise=noise, seeds=3)[0], "train_size"), ["H10"])[0]
    assert finding.verdict == verdict and f"{words}; " in finding.reason
    assert (finding.settle is not None) == (verdict == "inconclusive")


def finding_on(slope, name="H9", **options):
    return judge(gather(planted(slope, **options)[0]), [name])[0]


def test_a_slope_says_how_it_was_found_and_where_optima_are_censored():
    finding = finding_on(1.0, noise=0.05, n_tuned=7)
    assert finding.reason.startswith("the slope is ") and finding.advice is None
    bounded = closed(finding.side).sum()
    assert (
        f"found by aligning the curves of 8 learning rates, of which {bounded}, over {bounded - 1} octaves"
        in finding.reason
    )
    status = finding.side.ridge.status
    assert "left_censored" in status and "right_censored" in status
    for side, word in (("left_censored", "above"), ("right_censored", "below")):
        n = status.count(side)
        assert f"; the best batch size is only bounded {word} at {n} learning rate" in finding.reason


def test_noise_asks_for_seeds_and_a_narrow_interval_on_the_border_for_nothing():
    finding = finding_on(0.75, noise=0.3)
    assert finding.verdict == "inconclusive" and finding.advice.seeds > 5
    assert finding.settle.endswith(f"{finding.advice.seeds} seeds in place of 5")
    finding = finding_on(0.75, noise=0.02)
    assert finding.verdict == "inconclusive" and finding.advice.seeds is None
    assert finding.settle.startswith("nothing of this kind: the slope lies at the border of the band, 0.75")


def test_a_steep_wall_asks_for_a_finer_spacing_and_not_for_seeds():
    def wall(off):
        return np.where(off < 0, -8.0, -np.abs(off) / 2)

    finding = finding_on(1.2, noise=0.25, n_given=5, middle=5.3, curve=wall)
    assert finding.verdict == "inconclusive" and finding.advice.spacing == 0.5 and finding.advice.seeds is None
    assert "batch sizes half an octave apart" in finding.settle


def test_optima_beyond_the_edge_ask_for_levels_there():
    finding = finding_on(0.0, noise=0.05, middle=14.0)
    assert finding.settle == "batch sizes up to 8192, 4 octaves above those tried"
    assert (finding.advice.above, finding.advice.below, finding.advice.seeds) == (4, 0, None)


def test_one_run_a_cell_asks_for_seeds():
    finding = finding_on(1.0, noise=0.05, seeds=1)
    assert finding.verdict == "inconclusive" and finding.settle == "5 seeds in place of 1"


def test_too_few_batch_sizes_ask_for_more_octaves():
    finding = finding_on(0.5, noise=0.05, n_given=6, n_tuned=4)
    assert finding.slope is None and "4 levels over 3.0 octaves" in finding.reason
    assert finding.advice.below + finding.advice.above >= 1


def test_a_bend_is_not_settled_by_more_runs_of_its_kind():
    x, y = np.arange(10) - 9.0, np.arange(11) + 1.0
    best = 6 + 1.6 * np.abs(x + 4.5) - 3
    scores = -(((y - best[:, None]) / 2) ** 2)[:, :, None] + 0.02 * np.random.default_rng(0).normal(size=(10, 11, 5))
    finding = judge(gather(Surface(2.0**x, 2.0**y, scores, np.zeros(scores.shape, dtype=bool))), ["H9"])[0]
    assert finding.slope is None and "contradict" in finding.reason
    assert finding.settle.startswith("nothing of this kind: the optima lie on no one line")


def test_levels_without_a_score_and_levels_that_diverged_are_named():
    surface, _ = planted(0.5, noise=0.05)
    surface.scores[0], surface.scores[-1] = np.nan, surface.scores.min()
    surface.unstable[-1] = True
    finding = judge(gather(surface), ["H9"])[0]
    assert finding.side.ridge.status[0] == "missing" and finding.side.ridge.status[-1] == "diverged"
    assert "aligning the curves of 6 learning rates" in finding.reason
    assert finding.reason.endswith(
        "; every run diverged at 1 learning rate (0.5); no run has a score at 1 learning rate (0.003906)"
    )


def test_almost_four_octaves_are_four():
    surface, _ = planted(0.5, noise=0.02, n_tuned=5)
    tuned = surface.tuned.copy()
    tuned[-1] *= 2**-0.0004
    finding = judge(gather(replace(surface, tuned=tuned)), ["H9"])[0]
    assert finding.slope is not None
    assert octaves(3.9996) == "4 octaves" and octaves(1.04) == "1 octave" and octaves(2.46) == "2.5 octaves"


def test_an_adaptive_design_asks_for_runs():
    surface, _ = planted(0.76, noise=0.3)
    evidence = gather_adaptive(Runs.of(surface), surface.tuned)
    finding = judge(evidence, ["H9", "H8"])[0]
    assert finding.verdict == "inconclusive" and finding.advice.runs > surface.scores.size
    assert finding.settle.endswith(f"{finding.advice.runs} runs in place of {surface.scores.size}")


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
            assert finding.reason.startswith("0 of 5 learning rates have an identified optimum (0 rise and then fall")
            assert f", {expected} are shown flat" in finding.reason
            assert finding.verdict == ("refuted" if expected >= 4 else "inconclusive")
            assert (finding.settle is None) == (finding.verdict == "refuted")


def test_levels_without_any_noise_are_not_shown_flat():
    surface = flat_surface([0.0] * 5)
    surface.scores[:2] = 1.0  # the first two are equal in every run: 0/0
    finding = judge(gather(surface), ["H8"], margin=0.1)[0]
    assert finding.verdict == "inconclusive" and ", 0 are shown flat" in finding.reason
    assert finding.margin == 0.1 and finding.settle


def test_a_flat_level_is_flat_where_some_scores_are_missing():
    surface, _ = planted(0.0, noise=1.0, curve=lambda off: 0 * off, seeds=20)
    surface.scores[:, ::2, :3] = np.nan  # some seeds of some cells
    surface.scores[1, 4] = np.nan  # a whole cell
    finding = judge(gather(surface), ["H8"])[0]
    assert finding.verdict == "refuted" and "8 are shown flat" in finding.reason


def test_four_of_five_levels_with_an_optimum_support_that_there_is_one():
    surface, _ = planted(0.0, noise=0.02, n_given=5)
    surface.scores[0] = np.arange(9)[:, None] + 0.01 * surface.scores[0]  # monotone
    finding = judge(gather(surface), ["H8"])[0]
    assert (
        finding.verdict == "supported" and finding.reason.startswith("4 of 5 learning rates") and finding.settle is None
    )
