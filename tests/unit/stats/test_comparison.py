"""The comparison of two means against SciPy."""

import numpy as np
import pytest
import scipy
from batchlaw.stats.comparison import mean_and_error, welch_p_value


@pytest.mark.parametrize("seed", range(5))
def test_the_test_of_ties_is_scipys_welch(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0.9, 0.01, 4), rng.normal(0.91, 0.03, 6)
    ours = welch_p_value(*mean_and_error(list(a)), 4, *mean_and_error(list(b)), 6)
    assert ours == pytest.approx(scipy.stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert mean_and_error(list(a))[1] == pytest.approx(scipy.stats.sem(a))


def test_known_errors_are_compared_by_the_normal():
    assert welch_p_value(0.95, 0.01, 1, 0.95 - 1.959964 * 0.01 * 2**0.5, 0.01, 1) == pytest.approx(0.05, abs=1e-6)
    assert welch_p_value(0.9, 0.0, 1, 0.9, 0.0, 1) == 1.0
    assert welch_p_value(0.9, 0.0, 1, 0.8, 0.0, 1) == 0.0
