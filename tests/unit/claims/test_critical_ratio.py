"""H23: planted critical batch sizes of two optimizers in the curves of a designed study."""

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims.critical_ratio import _ratio
from batchlaw.claims.hypotheses import CATALOGUE
from batchlaw.claims.overall import JUDGES
from batchlaw.claims.to_target import ToTarget
from batchlaw.errors import SpecError
from batchlaw.spec import parse_spec

from tests.unit.claims.test_to_target import runs, spec

BOTH = {"optimizer": ["adamw", "muon"]}


def study(space=None, **claim):
    table = spec(hypotheses=["H23"], **claim)
    table["space"] |= BOTH | (space or {})
    return parse_spec(table, "test")


def judged(muon, adamw, *, seed=0, noise=0.02, off=lambda size: 1.0, targets=(1.2, 0.8)):
    arms = [
        runs(lambda loss, size=size: size, off=off, noise=noise, seed=2 * seed + number).assign(optimizer=name)
        for number, (name, size) in enumerate((("muon", muon), ("adamw", adamw)))
    ]
    frame = pd.concat(arms, ignore_index=True)
    return JUDGES["H23"](CATALOGUE["H23"], frame, study(targets=list(targets)), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("muon", "adamw", "verdict"), [(60.0, 20.0, "supported"), (20.0, 60.0, "refuted"), (30.0, 30.0, "inconclusive")]
)
def test_planted_ratios_get_their_verdicts(muon, adamw, verdict):
    finding = judged(muon, adamw)
    assert finding.verdict == verdict
    ratio = finding.details["targets"][-1]["ratio"]
    assert ratio["low"] < muon / adamw < ratio["high"] and ratio["value"] == pytest.approx(muon / adamw, rel=0.2)
    assert finding.details["targets"][-1]["target"] == 0.8 and "at easier targets" in finding.reason


def test_targets_are_chosen_that_both_reach():
    finding = judged(60.0, 20.0, targets=())
    assert finding.verdict == "supported" and len(finding.details["targets"]) == 3


def test_a_critical_batch_size_beyond_those_tried_still_has_a_bound():
    finding = judged(3e4, 20.0)
    assert finding.verdict == "supported" and finding.details["targets"][-1]["ratio"]["high"] is None
    assert judged(3e4, 3e4).verdict == "inconclusive"


def test_a_target_that_one_never_reaches_decides_nothing():
    finding = judged(60.0, 20.0, targets=(0.05,))
    assert finding.verdict == "inconclusive" and "no target is reached by both" in finding.reason


@pytest.mark.slow
@pytest.mark.parametrize("off", [lambda size: 1.0, lambda size: 1.15 if size in (8, 32) else 1.0])
def test_equal_critical_batch_sizes_are_rarely_told_apart(off):
    found = [judged(30.0, 30.0, seed=seed, noise=0.1, off=off, targets=(0.8,)).verdict for seed in range(10)]
    assert sum(verdict != "inconclusive" for verdict in found) <= 1


def test_the_interval_from_two_fits_is_that_of_variance_estimates_recovery():
    """Of two fits without noise of seeds: the squares of log distances to the ends add up."""
    size = np.array([4.0, 8, 16, 32, 64, 128])
    wobble = np.exp(0.05 * np.array([1, -1, 1, -1, 1, -1]))
    fits = []
    for critical in (50.0, 10.0):
        logs = np.log(100 * (1 + critical / size) * size * wobble)[:, None].repeat(3, axis=1)
        each = ToTarget(1.0, size, logs, np.full(6, 1e9), np.ones(6), np.zeros(6, dtype=bool), ())
        fits.append((each, each.fitted(0.05)))
    (_, one), (_, other) = fits
    found = _ratio(*fits, 0.05)
    top, bottom = (np.log([c.critical.low, c.critical.value, c.critical.high]) for c in (one, other))
    assert np.log(found.value) == pytest.approx(top[1] - bottom[1])
    below = ((top[1] - top[0]) ** 2 + (bottom[2] - bottom[1]) ** 2) ** 0.5
    assert np.log(found.value / found.low) == pytest.approx(below)


@pytest.mark.parametrize(
    ("space", "claim", "message"),
    [
        ({"optimizer": ["adamw", "sgd"]}, {}, "space.optimizer: .*H23 needs muon as well"),
        ({"decay": ["constant", "cosine"]}, {}, 'space.decay: .*H23 needs "constant"'),
        ({"batch_size": [4, 8, 16]}, {}, "H23 needs 6 levels"),
        ({}, {"reports": 4}, "claim.reports: H23 needs 10 or more; got 4"),
    ],
)
def test_a_study_that_cannot_tell_is_refused(space, claim, message):
    with pytest.raises(SpecError, match=message):
        study(space, **claim)
