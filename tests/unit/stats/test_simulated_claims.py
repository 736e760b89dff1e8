"""The studies that calibrate verdicts have their best levels where they say."""

import importlib
from dataclasses import replace
from pathlib import Path

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


@pytest.fixture
def calibration(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("claim_calibration")


@pytest.mark.parametrize(
    ("slope", "right", "wrong"),
    [
        (0.0, ("refuted", "no relation"), ("supported",)),
        (0.5, ("refuted",), ("supported", "no relation")),
        (0.74, ("refuted",), ("supported", "no relation")),
        (1.0, ("supported",), ("refuted", "no relation")),
        (1.26, ("refuted",), ("supported", "no relation")),
        (None, (), ("supported",)),
    ],
)
def test_what_counts_as_a_wrong_verdict(calibration, slope, right, wrong):
    for verdict in ("supported", "refuted", "no relation", "inconclusive"):
        study = {"slope": slope, "verdict": verdict}
        assert calibration.verdict_is("right", study) == (verdict in right)
        assert calibration.verdict_is("wrong", study) == (verdict in wrong)


def test_coverage_counts_closed_sets_and_single_bounds(calibration):
    levels = [
        ["identified", 1.0, 3.0, 2.0],
        ["identified", 1.0, 2.0, 2.5],
        ["left_censored", None, 3.0, -4.0],
        ["left_censored", 1.0, 3.0, 3.5],
        ["right_censored", 5.0, 6.0, float("inf")],
        ["undecided", 1.0, 9.0, 20.0],
        ["identified", 1.0, 2.0, None],  # every level is best
    ]
    study = {"slope": 1.0, "verdict": "supported", "interval": [0.9, 1.2], "levels": levels, "error": None}
    row = calibration.summary(SETTINGS[0], [study, study | {"slope": 0.7, "verdict": "inconclusive"}])
    found = {name: (row[name]["hits"], row[name]["n"]) for name in ("wrong", "right", "slope", "closed", "bounds")}
    assert found == {"wrong": (0, 2), "right": (1, 2), "slope": (1, 2), "closed": (2, 4), "bounds": (4, 6)}
    assert row["closed_share"] == 6 / 14 and row["closed_width"] == 1.0
    assert row["slope_width"] == pytest.approx(0.3) and row["missed"] == ["levels"]


def test_a_goal_is_missed_where_the_binomial_interval_excludes_it(calibration):
    one = {"verdict": "supported", "interval": [0.8, 1.1], "levels": [], "error": None}
    rare = [one | {"slope": 0.5 if number < 14 else 1.0} for number in range(200)]
    assert calibration.summary(SETTINGS[0], rare)["missed"] == ["wrong"]  # at slope .5 always, if in 7 % of all
    assert calibration.summary(SETTINGS[0], [one | {"slope": 1.0}] * 200)["missed"] == []
    low = [one | {"slope": 1.2 if number < 25 else 1.0} for number in range(200)]
    assert calibration.summary(SETTINGS[0], low)["missed"] == ["slope"]
