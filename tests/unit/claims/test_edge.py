"""Hypotheses about the edge of stability, on runs with a planted truth."""

import numpy as np
import pytest
from batchlaw.errors import StudyError
from batchlaw.results.result import SeedCurvePoint

from tests.unit.claims.conftest import REPORTS, N, judged, table

FINE = [2.0 ** (k / 4) for k in range(-8, 9)]
COARSE = [2.0**k for k in range(-4, 5)]


def warmed(rates, *, shift, gain=0.0, edge=0.0, spread=0.3, seed=0, **further):
    """Each seed has an edge, in octaves, which warmup moves; warmup raises every score by `gain`."""
    generator = np.random.default_rng(seed)
    runs = table(lambda cell: {}, base_lr=rates, warmup_fraction=[0.0, 0.1, 0.2], noise=0.004, seed=seed, **further)
    edges = edge + generator.uniform(-0.5, 0.5) + spread * generator.normal(size=(2, N))
    warm = (runs["warmup_fraction"] == 0.2).to_numpy(int)
    octave, replicate = np.log2(runs["base_lr"].to_numpy()), runs["replicate"].to_numpy()
    runs["unstable"] = octave > edges[warm, replicate] + shift * warm
    runs["score"] += 0.02 * generator.normal(size=N)[replicate]  # each seed's own, with warmup and without
    runs["score"] += np.where(runs["unstable"], -2.3, gain * warm - 0.1 * (octave + 1) ** 2)
    return runs


def judged_edge(runs, rates, **further):
    return judged("H24", runs, batch_size=8, base_lr=rates, warmup_fraction=[0.0, 0.1, 0.2], **further)


@pytest.mark.parametrize(
    ("shift", "gain", "spread", "verdict", "words"),
    [
        (0.9, 0.0, 0.2, "supported", "moves the largest ε that trains by"),
        (0.0, 0.0, 0.05, "refuted", "gains"),  # no shift
        (-0.6, 0.0, 0.1, "refuted", "gains"),
        (0.9, 0.2, 0.2, "refuted", "one seed's standard deviation"),  # the best loss moves too
        (0.3, 0.0, 0.6, "inconclusive", "gains"),
    ],
)
def test_h24_reads_the_shift_of_the_edge_and_the_tuned_gain(shift, gain, spread, verdict, words):
    finding = judged_edge(warmed(FINE, shift=shift, gain=gain, spread=spread), FINE)
    assert finding.verdict == verdict and words in finding.reason
    assert (finding.settle is None) == (verdict != "inconclusive")
    assert finding.details["ci_low"] - 0.1 <= shift <= finding.details["ci_high"] + 0.1
    assert finding.details["gain"]["difference"] == pytest.approx(gain, abs=0.05)


def test_h24_does_not_tell_a_shift_finer_than_the_rates():
    finding = judged_edge(warmed(COARSE, shift=0.0, spread=0.05), COARSE)
    assert finding.verdict == "inconclusive" and "finer spacing" in finding.settle
    assert finding.details["ci_high"] - finding.details["ci_low"] >= 2  # an octave on either side


@pytest.mark.parametrize(("edge", "ends"), [(9.0, (-np.inf, np.inf)), (1.7, (-0.8, np.inf)), (-9.0, (-np.inf, np.inf))])
def test_h24_knows_a_bound_only_where_an_edge_lies_beyond_the_rates(edge, ends):
    finding = judged_edge(warmed(FINE, shift=0.9, edge=edge, spread=0.0), FINE)
    found = finding.details["ci_low"], finding.details["ci_high"]
    assert found[1] == ends[1] and (found[0] == ends[0] or found[0] >= ends[0])
    assert "on both sides of the edge" in (finding.settle or "on both sides of the edge")


def test_h24_is_judged_over_the_levels_of_further_factors():
    sizes = [8, 32]
    one = warmed(FINE, shift=0.9, spread=0.2)
    runs = warmed(FINE, shift=0.9, spread=0.2, batch_size=sizes)
    finding = judged("H24", runs, batch_size=sizes, base_lr=FINE, warmup_fraction=[0.0, 0.1, 0.2])
    assert finding.verdict == "supported"
    assert finding.details["shift"] == pytest.approx(judged_edge(one, FINE).details["shift"])


def test_the_interval_of_the_shift_covers_it():
    """Simulated: the edge lies anywhere between the rates, so there are both errors, of seeds and of the grid."""
    held = []
    for seed in range(40):
        found = judged_edge(warmed(FINE, shift=0.7, spread=0.3, seed=seed), FINE).details
        held.append(found["ci_low"] <= 0.7 <= found["ci_high"])
    assert np.mean(held) >= 0.93


SIZES = [8, 32, 128]


def sharpened(ratio, *, noise=0.05, seed=0, trains=lambda cell: True):
    """Batch sharpness × ε/2 of each cell as a function of the progress."""
    generator = np.random.default_rng(seed)
    runs = table(lambda cell: {}, batch_size=SIZES, base_lr=[0.1, 0.2], optimizer=["sgd"])
    curves = []
    for _, part in runs.groupby(["batch_size", "base_lr"], sort=False):
        cell = part.iloc[0]
        of_seed = 1 + noise * generator.normal(size=N)
        points = []
        for number in range(1, REPORTS + 1):
            value = ratio(cell, number / REPORTS) * of_seed * (1 + noise * generator.normal(size=N))
            loss = 0.1 if trains(cell) else 2.3
            found = {"train_loss": [loss] * N, "batch_sharpness": list(value * 2 / cell["peak_lr"])}
            points.append(SeedCurvePoint(number / REPORTS, found))
        curves += [points] * N
    return runs.assign(curves=curves)


def judged_sharpness(runs):
    return judged("H27", runs, batch_size=SIZES, base_lr=[0.1, 0.2], optimizer="sgd")


def rising(to):
    return lambda cell, progress: to * min(4 * progress, 1.0)


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (rising(1.0), "supported"),
        (rising(0.5), "refuted"),
        (rising(2.5), "refuted"),
        (lambda cell, progress: 1.0 if cell["batch_size"] > 8 else 0.5, "refuted"),  # one batch size is enough
        (lambda cell, progress: 0.5 * progress, "inconclusive"),  # would come to 1 with as much training again
        (lambda cell, progress: 1 - 0.9 * progress, "refuted"),  # falls from the edge
        (lambda cell, progress: 0.7 - 0.6 * progress, "inconclusive"),  # falls before it came there
        (lambda cell, progress: 0.4 + 0.66 * progress, "supported"),  # passes through the band slowly
        (lambda cell, progress: 2.1 * progress**2 - 0.8, "inconclusive"),  # … or too fast to have settled
        (lambda cell, progress: 1.0 if cell["base_lr"] > 0.1 else 0.6 * progress, "supported"),  # others rise still
    ],
)
def test_h27_asks_for_a_ratio_that_has_settled(ratio, verdict):
    finding = judged_sharpness(sharpened(ratio))
    assert finding.verdict == verdict
    assert (finding.settle is None) == (verdict != "inconclusive")


def test_h27_leaves_out_what_does_not_train_but_asks_for_every_batch_size():
    no_rate = sharpened(rising(1.0), trains=lambda cell: cell["base_lr"] == 0.1)
    assert judged_sharpness(no_rate).verdict == "supported"
    assert "3 do not train" in judged_sharpness(no_rate).reason
    no_size = judged_sharpness(sharpened(rising(1.0), trains=lambda cell: cell["batch_size"] > 8))
    assert no_size.verdict == "inconclusive" and "higher learning rates that train" in no_size.settle
    nothing = judged_sharpness(sharpened(rising(1.0), trains=lambda cell: False))
    assert nothing.verdict == "inconclusive" and nothing.reason == "in no cell all runs train"


def test_h27_is_not_decided_by_noisy_runs():
    assert judged_sharpness(sharpened(rising(0.7), noise=0.5)).verdict == "inconclusive"
    assert judged_sharpness(sharpened(rising(1.0), noise=0.5)).verdict == "inconclusive"


def test_h27_seldom_refutes_what_lies_at_the_border():
    """At 1.25 exactly each cell is outside in half of the samples: the error of the whole is at most alpha."""
    refuted = [
        judged_sharpness(sharpened(lambda cell, progress: 1.25, noise=0.1, seed=seed)).verdict == "refuted"
        for seed in range(40)
    ]
    assert np.mean(refuted) <= 0.1


def test_h27_needs_the_measure():
    with pytest.raises(StudyError, match="H27 needs train_loss at every report"):
        judged_sharpness(table(lambda cell: {}, batch_size=SIZES, optimizer=["sgd"]))
