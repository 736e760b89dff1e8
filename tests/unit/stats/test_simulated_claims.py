"""The studies that calibrate verdicts have their best levels where they say."""

from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks.simulated_claims import SETTINGS, simulated

WITH_OPTIMA = [setting for setting in SETTINGS if setting.shape.__name__ not in ("flat", "falling")]


@pytest.mark.parametrize("setting", WITH_OPTIMA, ids=lambda setting: setting.name)
def test_the_planted_optimum_is_that_of_the_expected_score(setting):
    fine = {"batch_sizes": 65, "spacing": 0.25, "noise": 0.0, "holes": ""}
    seeds = 2000 if setting.seed_shift or setting.run_shift else 1
    for number in range(2):
        surface, (slope, optimum) = simulated(replace(setting, **fine, seeds=seeds), number)
        surface = surface if setting.hypothesis == "H9" else surface.transposed()
        best = np.log2(surface.tuned)[surface.means.argmax(axis=1)]
        assert np.abs(best - optimum).max() < 0.25
        if slope is not None:
            np.testing.assert_allclose(np.polyfit(np.log2(surface.given), optimum, 1)[0], slope, atol=1e-9)


def test_a_study_depends_on_its_setting_and_number_alone():
    setting = SETTINGS[0]
    one, again, other = (simulated(setting, number)[0].scores for number in (3, 3, 4))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert not np.array_equal(one, simulated(replace(setting, seeds=6), 3)[0].scores[:, :, :5])


def test_without_an_optimum_there_is_no_truth():
    by_shape = {setting.shape.__name__: setting for setting in SETTINGS}
    slope, level = simulated(by_shape["flat"], 0)[1]
    assert slope is None and np.isnan(level).all()
    surface, (slope, level) = simulated(replace(by_shape["falling"], noise=0.0), 0)
    assert slope is None and np.isposinf(level).all() and np.all(np.diff(surface.means) > 0)


def test_names_tell_settings_apart():
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS) <= 50
