"""The cost of transferring a learning rate, against values worked out by hand."""

import numpy as np
import pytest
from batchlaw.stats.curves import LINE
from batchlaw.stats.surface import Surface
from batchlaw.stats.transfer import scores_at, transfer_by_law, transfer_by_rule, tuned_rates
from scipy.interpolate import Akima1DInterpolator

X, Y = np.arange(8) + 1.0, np.arange(13) - 12.0


def surface(slope, noise=0.0, seeds=5, seed=0):
    """Parabolas -(off/2)² around a line with the given slope through the middle of the rates."""
    best = Y.mean() + slope * (X - X.mean())
    scores = np.repeat(-(((Y[None] - best[:, None]) / 2) ** 2)[:, :, None], seeds, axis=2)
    scores = scores + noise * np.random.default_rng(seed).normal(size=scores.shape)
    return Surface(2.0**X, 2.0**Y, scores, np.zeros(scores.shape, dtype=bool)), best


def test_the_rule_that_was_planted_costs_nothing_and_another_what_the_parabola_says():
    planted, best = surface(0.5)
    reference = 3
    np.testing.assert_allclose(tuned_rates(planted), np.repeat(best[:, None], 5, axis=1), atol=1e-9)
    right, wrong = transfer_by_rule(planted, reference, 0.5), transfer_by_rule(planted, reference, 0.0)
    np.testing.assert_allclose(right.regrets, 0, atol=1e-9)
    off = best - best[reference]
    np.testing.assert_allclose(wrong.regrets.mean(axis=1), (off / 2) ** 2, atol=1e-9)
    assert not wrong.beyond.any()
    rows = np.array([0, 1, 2, 4, 5, 6, 7])
    assert wrong.less(right, rows).difference == pytest.approx(((off / 2) ** 2)[rows].mean(), abs=1e-9)


def test_a_rate_beyond_those_tried_counts_as_the_last_one():
    planted, _ = surface(0.0)
    carried = transfer_by_rule(planted, 0, 1.0)
    assert carried.beyond.tolist() == [False] * 7 + [True]  # from -6, seven octaves up
    np.testing.assert_allclose(carried.regrets[7], 9.0)  # six octaves off at the edge


def test_between_levels_scores_are_scipys_akima():
    planted, _ = surface(0.5, noise=0.3)
    rates = np.random.default_rng(1).uniform(-12, 0, (8, 5))
    found = scores_at(planted, rates)
    assert found[2, 3] == Akima1DInterpolator(Y, planted.scores[2, :, 3])(rates[2, 3])


def test_no_seed_is_scored_at_a_rate_that_it_chose():
    planted, _ = surface(0.5, noise=0.2)
    before = tuned_rates(planted)
    changed = planted.scores.copy()
    changed[:, :, 2] = -changed[:, :, 2]
    after = tuned_rates(Surface(planted.given, planted.tuned, changed, planted.unstable))
    np.testing.assert_allclose(before[:, 2], after[:, 2], rtol=1e-12)
    assert not np.allclose(before[:, 0], after[:, 0])


def test_the_law_predicts_batch_sizes_that_it_has_not_seen():
    planted, best = surface(0.7, noise=0.05)
    by_law = transfer_by_law(planted, LINE)
    np.testing.assert_allclose(by_law.rates.mean(axis=1), best, atol=0.25)  # optima count as the best of rates tried
    spoiled = planted.scores.copy()
    spoiled[4] = spoiled[4][::-1]  # another optimum at one batch size
    again = transfer_by_law(Surface(planted.given, planted.tuned, spoiled, planted.unstable), LINE)
    assert np.abs(by_law.rates[4] - again.rates[4]).max() < 0.3  # where the row moved by octaves


def test_where_optima_cannot_be_told_there_is_no_law():
    assert transfer_by_law(surface(0.5, noise=20.0)[0]) is None
