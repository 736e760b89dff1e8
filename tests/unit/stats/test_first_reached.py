"""When a curve first falls to a target: interpolated, monotone, and not early by noise."""

import numpy as np
import pytest
from batchlaw.stats.first_reached import first_reached

SEEN = np.arange(1, 21) * 100.0


def test_a_power_law_is_interpolated_exactly():
    losses = 5 * SEEN**-0.5
    assert first_reached(SEEN, losses, 5 * 730**-0.5) == pytest.approx(730, rel=1e-9)


def test_what_is_never_reached_and_what_was_reached_before_the_first_report_differ():
    losses = 5 * SEEN**-0.5
    assert first_reached(SEEN, losses, 0.01) == np.inf
    assert np.isnan(first_reached(SEEN, losses, 1.0))
    assert first_reached(SEEN, np.full(20, np.nan), 1.0) == np.inf


def test_a_run_that_diverged_counts_up_to_there():
    losses = 5 * SEEN**-0.5
    losses[10:] = np.nan
    assert first_reached(SEEN, losses, 5 * 730**-0.5) == pytest.approx(730)
    assert first_reached(SEEN, losses, 5 * 1500**-0.5) == np.inf


def test_noise_does_not_make_it_early():
    """The first report below the target is early by a tenth here, though it counts up to the report after it."""
    generator, found, minimum = np.random.default_rng(0), [], []
    target = 5 * 1000**-0.5
    for _ in range(300):
        losses = 5 * SEEN**-0.5 * np.exp(generator.normal(scale=0.15, size=20))
        found.append(first_reached(SEEN, losses, target))
        minimum.append(SEEN[(losses <= target).argmax()])
    assert np.median(minimum) <= 900
    assert 950 <= np.median(found) <= 1100


def test_a_curve_that_rises_again_counts_up_to_its_lowest():
    losses = np.concatenate([5 * SEEN[:10] ** -0.5, 5 * SEEN[9] ** -0.5 * np.linspace(1.1, 3, 10)])
    assert first_reached(SEEN, losses, 5 * 730**-0.5) == pytest.approx(730)
