"""A meta-regression of slopes, beside least squares and by simulation."""

import numpy as np
import pytest
from batchlaw.stats.trends import trends


def test_without_variance_between_groups_it_is_weighted_least_squares():
    at = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])
    errors = np.array([0.1, 0.2, 0.1, 0.2, 0.1])
    slopes = 0.2 + 0.1 * at[:, 0] + np.array([0.01, -0.02, 0.0, 0.02, -0.01])
    (found,) = trends(slopes, errors, at)
    expected = np.polyfit(at[:, 0], slopes, 1, w=1 / errors)[0]
    assert found.slope == pytest.approx(expected) and found.degrees_of_freedom == 3
    assert found.standard_error == pytest.approx(np.linalg.inv(_information(at, errors))[1, 1] ** 0.5)


def _information(at, errors):
    design = np.column_stack([np.ones(len(at)), at])
    return design.T @ (design / errors[:, None] ** 2)


def test_intervals_hold_the_trend_as_often_as_they_say_also_where_groups_differ():
    draw = np.random.default_rng(0)
    at = np.stack([np.repeat([0.0, 1.5, 2.3], 4), np.tile([0.0, 0.3, 1.0, 1.3], 3)], axis=1)
    held = []
    for _ in range(400):
        errors = draw.uniform(0.02, 0.1, 12)
        slopes = 0.15 + 0.1 * at[:, 0] + draw.normal(0, 0.08, 12) + draw.normal(0, errors)
        held.append(
            [
                each.ci_low <= truth <= each.ci_high
                for each, truth in zip(trends(slopes, errors, at), (0.1, 0), strict=True)
            ]
        )
    assert (np.mean(held, axis=0) > 0.92).all()  # four standard errors below 95 % are 0.906


def test_factors_that_do_not_vary_apart_have_no_trend():
    at = np.stack([np.arange(6.0), 2 * np.arange(6.0)], axis=1)
    assert trends(np.arange(6.0), np.ones(6), at) is None
    assert trends(np.arange(3.0), np.ones(3), np.arange(3.0)[:, None]) is None
