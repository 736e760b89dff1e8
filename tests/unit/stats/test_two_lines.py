"""The fits of the two-lines test against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from batchlaw.stats.two_lines import robust_fit, two_lines


@pytest.mark.parametrize("seed", range(5))
def test_a_fit_is_statsmodels_with_hc3(seed):
    generator = np.random.default_rng(seed)
    design = np.vander(np.repeat(np.linspace(-0.5, 0.5, 7), 4), 4)
    y = design @ generator.normal(size=4) + generator.normal(size=28) * (1 + design[:, 2])
    expected = sm.OLS(y, design).fit(cov_type="HC3")
    parameters, covariance = robust_fit(design, y)
    np.testing.assert_allclose(parameters, expected.params, rtol=1e-9)
    np.testing.assert_allclose(covariance, expected.cov_params(), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_both_lines_are_those_of_the_interrupted_regressions_at_the_break(seed):
    generator = np.random.default_rng(seed)
    x = np.repeat(np.arange(9.0), 5)
    y = -((x - 3) ** 2) / 4 + generator.normal(size=45)
    found = two_lines(x, y)
    for high, slope, p, position in (
        (x > found.breakpoint, found.slope_before, found.p_before, 1),
        (x >= found.breakpoint, found.slope_after, found.p_after, 2),
    ):
        offset = x - found.breakpoint
        design = np.stack([np.ones(45), np.where(high, 0, offset), np.where(high, offset, 0), high], axis=1)
        expected = sm.OLS(y, design).fit(cov_type="HC3")
        assert (slope, p) == pytest.approx((expected.params[position], expected.pvalues[position]))
