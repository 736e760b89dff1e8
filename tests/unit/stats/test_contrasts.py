"""Contrasts, timings, stability and importance, each against an independent oracle or a planted truth."""

import numpy as np
import pytest
from batchlaw.stats.contrast import beyond, paired, seed_deviation, tuned
from batchlaw.stats.importance import first_ranked, main_effects
from batchlaw.stats.stability import instability
from batchlaw.stats.timing import knee, theil_sen
from scipy import stats


def test_a_paired_contrast_is_scipys():
    a, b = np.random.default_rng(0).normal(size=(2, 8))
    found, test = paired(a, b), stats.ttest_1samp(a - b, 0)
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert paired(a, a).p_value == 1.0 and paired(a + 1.0, a).p_value < 1e-6


def test_a_difference_beyond_a_margin_is_a_shifted_t_test():
    a, b = np.random.default_rng(0).normal([[2.0], [0.0]], 1.0, (2, 8))
    expected = 2 * stats.ttest_1samp(a - b, 0.5, alternative="greater").pvalue
    assert beyond(a, b, 0.5) == pytest.approx(expected) == beyond(b, a, 0.5)
    assert beyond(a, b, 50.0) == 1.0


def test_nothing_is_scored_on_the_seeds_that_selected_it():
    """In pure noise the best cell looks good on the seeds that chose it; the cross-fitted score does not."""
    naive, honest = [], []
    for seed in range(200):
        scores = np.random.default_rng(seed).normal(size=(30, 5))
        naive.append(scores[scores.mean(axis=1).argmax()].mean())
        honest.append(tuned(scores).mean())
    assert np.mean(naive) > 0.7
    assert abs(np.mean(honest)) < 3 * np.std(honest) / np.sqrt(200)


def test_a_cell_that_is_clearly_best_is_the_one_scored():
    scores = np.random.default_rng(0).normal(size=(4, 6))
    scores[2] += 100
    np.testing.assert_array_equal(tuned(scores), scores[2])


def test_the_deviation_of_a_seed_is_pooled_over_cells():
    scores = np.array([[0.0, 2.0], [10.0, 14.0]])
    assert seed_deviation(scores) == pytest.approx(np.sqrt((2 + 8) / 2))


def timed(at, noise=0.02, seed=0):
    x = np.repeat(np.arange(10.0), 3)
    return x, np.maximum(x - at, 0) + noise * np.random.default_rng(seed).normal(size=30)


def test_a_knee_is_found_where_it_was_planted():
    found = knee(*timed(5.0))
    assert found.at == 5.0 and found.octaves_below == 5.0
    assert found.below.ci_low < 0 < found.below.ci_high and found.below.ci_high < 0.1


def test_one_line_has_no_knee():
    x, _ = timed(0.0)
    found = knee(x, 0.4 * x + 0.05 * np.random.default_rng(1).normal(size=30))
    assert found.at == 9.0 and found.below.slope == pytest.approx(0.4, abs=0.05)


def test_theil_sen_takes_the_median_of_slopes():
    x, y = np.arange(5.0), np.array([0.0, 1.0, 2.0, 3.0, 100.0])
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i in range(5) for j in range(i + 1, 5)]
    assert theil_sen(x, y)[0] == pytest.approx(np.median(slopes))


def test_stability_follows_the_cliff():
    """Runs with a large ε/B are unstable, so both coefficients differ from 0 and have opposite signs."""
    generator = np.random.default_rng(0)
    cells = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij"), axis=-1).reshape(-1, 2)
    odds = 1.5 * (cells[:, 1] - cells[:, 0]) + 1
    unstable = generator.random((64, 6)) < 1 / (1 + np.exp(-odds))[:, None]
    batch_size, lr = instability(cells, unstable, generator)
    assert batch_size.ci_low <= -1.5 <= batch_size.ci_high < 0 < lr.ci_low <= 1.5 <= lr.ci_high


def test_stability_without_a_cliff_says_nothing():
    generator = np.random.default_rng(0)
    cells = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij"), axis=-1).reshape(-1, 2)
    by_chance = generator.random((64, 6)) < 0.3
    batch_size, _ = instability(cells, by_chance, generator)
    assert batch_size.ci_low < 0 < batch_size.ci_high
    assert instability(cells, np.zeros((64, 6), dtype=bool), generator) is None


def test_main_effects_are_the_sums_of_squares_of_a_balanced_anova():
    generator = np.random.default_rng(0)
    means = generator.normal(size=(3, 4, 2))
    total = ((means - means.mean()) ** 2).sum()
    for axis, share in enumerate(main_effects(means)):
        others = tuple(other for other in range(3) if other != axis)
        marginal = means.mean(axis=others)
        squares = ((marginal - means.mean()) ** 2).sum() * means.size / means.shape[axis]
        assert share == pytest.approx(squares / total)


def test_the_first_in_rank_is_sure_only_where_the_seeds_agree():
    generator = np.random.default_rng(0)
    effect = np.arange(4.0)[:, None, None] + 0.1 * np.arange(3.0)[None, :, None]
    assert first_ranked(effect + 0.01 * generator.normal(size=(4, 3, 5)), generator)[0] == 1.0
    assert 0.05 < first_ranked(generator.normal(size=(4, 4, 5)), generator)[0] < 0.95
