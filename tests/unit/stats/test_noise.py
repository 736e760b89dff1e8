"""The noise scale from its parts: the ratio of means, and the coverage of its interval by simulation."""

import numpy as np
import pytest
from batchlaw.stats.noise import simple_noise_scale
from scipy import stats


def test_parts_are_averaged_before_dividing():
    found = simple_noise_scale(np.array([0.1, -0.05, 0.25]), np.array([3.0, 4.0, 5.0]))
    assert found.value == pytest.approx(4.0 / 0.1)
    assert found.ci_low < found.value < found.ci_high


def test_reports_of_a_run_stand_together_and_may_be_missing():
    norm2 = np.array([[0.3, 0.1], [0.4, np.nan], [0.2, 0.2], [0.3, 0.2]])
    variance = np.array([[5.0, 2.0], [6.0, np.nan], [4.0, 3.0], [5.0, 1.0]])
    found = simple_noise_scale(norm2, variance)
    assert found.value == pytest.approx(np.nanmean(variance) / np.nanmean(norm2))
    assert found == simple_noise_scale(np.nansum(norm2, axis=1), np.nansum(variance, axis=1))
    # Told apart, what two reports of one run have in common would be counted twice.
    repeated = simple_noise_scale(np.repeat(norm2[:, :1], 2, axis=1), np.repeat(variance[:, :1], 2, axis=1))
    assert repeated == simple_noise_scale(norm2[:, 0], variance[:, 0])


@pytest.mark.parametrize("norm2", [[0.0, 0.0], [-0.2, 0.1]])
def test_a_gradient_that_is_lost_in_its_noise_has_no_scale(norm2):
    assert simple_noise_scale(np.array(norm2), np.array([1.0, 2.0])) is None


def test_a_single_run_has_no_interval():
    found = simple_noise_scale(np.array([[0.1, 0.3]]), np.array([[2.0, 2.0]]))
    assert (found.value, found.ci_low, found.ci_high) == (pytest.approx(10), 0.0, np.inf)


def rejects(ratio, norm2, variance, alpha):
    """Whether a t-test rejects a ratio; Fieller's interval holds the ratios that it does not reject."""
    return stats.ttest_1samp(variance - ratio * norm2, 0.0).pvalue < alpha


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize(
    ("mean", "spread", "unbounded"),
    [(1.0, 0.2, False), (0.5, 1.0, True)],
)
def test_the_interval_holds_the_ratios_that_a_t_test_does_not_reject(mean, spread, unbounded, alpha):
    generator = np.random.default_rng(2)
    norm2, variance = generator.normal(mean, spread, 6), generator.normal(20, 4, 6)
    found = simple_noise_scale(norm2, variance, alpha=alpha)
    assert rejects(found.ci_low * 0.999, norm2, variance, alpha)
    assert not rejects(found.ci_low * 1.001, norm2, variance, alpha)
    if unbounded:
        assert found.ci_high == np.inf and not rejects(1e9, norm2, variance, alpha)
    else:
        assert rejects(found.ci_high * 1.001, norm2, variance, alpha)
        assert not rejects(found.ci_high * 0.999, norm2, variance, alpha)


def test_where_neither_part_is_told_from_0_nothing_is_known():
    found = simple_noise_scale(np.array([3.0, -2.0, 0.1]), np.array([0.0, 9.0, 0.0]))
    assert (found.ci_low, found.ci_high) == (0.0, np.inf)


@pytest.mark.parametrize("n_runs", [4, 20])
def test_the_interval_covers_the_truth(n_runs):
    """Runs of five reports. Both parts fall during a run, each run has its own level, and estimates may be negative."""
    generator = np.random.default_rng(0)
    course = np.geomspace(1, 0.1, 5)
    covered = 0
    for _ in range(2000):
        level = generator.lognormal(0, 0.3, (n_runs, 1))
        variance = 50 * level * course * generator.gamma(20, 1 / 20, (n_runs, 5))
        norm2 = level * course + generator.normal(0, 0.5, (n_runs, 5))
        found = simple_noise_scale(norm2, variance)
        covered += found is not None and found.ci_low <= 50 <= found.ci_high
    assert 0.93 <= covered / 2000 <= 0.97
