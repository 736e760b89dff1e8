"""Hypotheses about the course of training, on curves with a planted truth."""

import numpy as np
import pytest
from batchlaw.claims.training_curves import oscillation_above
from batchlaw.errors import StudyError
from batchlaw.stats.optimum import ridge

from tests.unit.claims.conftest import N, judged, table, with_curves
from tests.unit.stats.conftest import planted

LEVELS = {"batch_size": [4, 16, 64, 256], "base_lr": [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]}


def losses(penalty):
    return ("validation_loss", penalty), ("validation_accuracy", lambda cell: -penalty(cell))


@pytest.mark.parametrize(("gap", "verdict"), [(0.5, "supported"), (-0.5, "refuted"), (0.0, "refuted")])
def test_h4_compares_batch_sizes_where_the_training_loss_is_the_same(gap, verdict):
    runs = table(lambda cell: {}, **LEVELS)
    runs = with_curves(runs, *losses(lambda cell: 1 + gap * (cell["batch_size"] > 16)), shared=0.05)
    finding = judged("H4", runs)
    assert finding.verdict == verdict
    assert finding.details["train_loss"] == pytest.approx(np.exp(-2), rel=1e-6)
    # At the planted loss, 3 times the cell's value.
    assert finding.details["gap"]["difference"] == pytest.approx(3 * gap, abs=0.03)


def test_h4_is_not_judged_where_one_end_does_not_train():
    runs = with_curves(table(lambda cell: {}, **LEVELS), *losses(lambda cell: 1.0))
    for batch_size, curve in zip(runs["batch_size"], runs["curves"], strict=True):
        for point in curve if batch_size == 256 else []:
            point.metrics["train_loss"] = [None] * N
    assert judged("H4", runs).verdict == "inconclusive"


def test_curves_that_were_not_recorded_are_named():
    with pytest.raises(StudyError, match="H4 needs train_loss at every report"):
        judged("H4", table(lambda cell: {}, **LEVELS))


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        ((-1, -1, -1), "supported"),
        ((-1, -1, 0), "supported"),
        ((1, 1, 1), "refuted"),
        ((-1, 0, 0), "inconclusive"),
        ((-1, -1, 1), "inconclusive"),  # measures that contradict each other decide nothing
    ],
)
def test_h5_reads_sharpness_given_the_learning_rate(signs, verdict):
    names = ("worst_sharpness", "average_sharpness", "hessian_eigenvalue")
    generator = np.random.default_rng(0)

    def value(sign):
        noise = 0.05 if sign else 50.0
        ratio = lambda cell: np.log2(cell["base_lr"] / cell["batch_size"])  # noqa: E731
        # It falls with ε by itself as well, which is not what is asked.
        return lambda cell: 20 + sign * ratio(cell) - np.log2(cell["base_lr"]) + noise * generator.normal()

    columns = [(name, value(sign)) for name, sign in zip(names, signs, strict=True)]
    runs = with_curves(table(lambda cell: {}, **LEVELS), *columns, noise=0.2)
    if 0 in signs:  # what has no relation differs from seed to seed
        for curve in runs["curves"]:
            for name, sign in zip(names, signs, strict=True):
                for point in curve if sign == 0 else []:
                    point.metrics[name] = list(100 * generator.normal(size=N))
    finding = judged("H5", runs)
    assert finding.verdict == verdict
    for name, sign in zip(names, signs, strict=True):
        found = finding.details["correlations"][name]["slope"]
        assert sign == 0 or found * sign > 0.8


@pytest.mark.parametrize(
    ("loss", "verdict", "words"),
    [
        (lambda octave: 2 - 0.2 * octave, "supported", "improves up to the largest in 4"),
        (lambda octave: 2 + 0.2 * octave, "refuted", "worsens in 4"),
        (lambda octave: 2 + 0.2 * (octave - 3) ** 2, "refuted", "a peak, not a trend"),
        (lambda octave: 2 + 0 * octave, "inconclusive", ""),
    ],
)
def test_h12_tells_a_peak_from_a_trend(loss, verdict, words):
    rates = [0.1 * 2**octave for octave in range(7)]
    runs = table(lambda cell: {}, base_lr=rates, batch_size=[4, 16, 64, 256])
    generator = np.random.default_rng(3)
    runs = with_curves(runs, *losses(lambda cell: loss(np.log2(cell["base_lr"] / 0.1)) + 0.02 * generator.normal()))
    finding = judged("H12", runs, batch_size=[4, 16, 64], base_lr=rates)
    assert finding.verdict == verdict and words in finding.reason


def test_h12_leaves_out_rates_that_do_not_come_so_far():
    rates = [0.1 * 2**octave for octave in range(8)]
    runs = with_curves(
        table(lambda cell: {}, base_lr=rates), *losses(lambda cell: 1.0), slow=lambda cell: cell["base_lr"] < 0.15
    )
    finding = judged("H12", runs, batch_size=8, base_lr=rates)
    assert finding.details["series"][0]["n_lrs"] == 7


@pytest.mark.parametrize(("exponent", "verdict"), [(0.3, "supported"), (-0.3, "refuted"), (0.0, "inconclusive")])
def test_h18_reads_the_steps_on_the_plateau(exponent, verdict):
    generator = np.random.default_rng(0)
    runs = table(
        lambda cell: {
            "plateau_steps": 10 / cell["base_lr"] * cell["batch_size"] ** exponent * np.exp(0.1 * generator.normal())
        },
        **LEVELS,
    )
    finding = judged("H18", runs)
    assert finding.verdict == verdict and finding.slope.slope == pytest.approx(exponent, abs=0.03)


def test_h18_counts_a_run_that_never_leaves_with_all_its_steps():
    def value(cell):
        stuck = cell["batch_size"] == 256
        return {"plateau_steps": float("nan") if stuck else 25.0, "steps": 100}

    finding = judged("H18", table(value, **LEVELS))
    assert finding.verdict == "supported" and finding.details["share_left"] == 0.75
    assert finding.details["median_steps"]["256"] == pytest.approx(100)


def test_the_loss_above_the_best_rate_is_told_beside_h19():
    surface, _ = planted(0.5, noise=0.1)  # given the batch size, here, and tuned the learning rate
    found = ridge(surface, np.random.default_rng(0))
    runs = table(
        lambda cell: {"tail_loss_variance": 4.0 ** np.log2(cell["base_lr"]) / cell["batch_size"]},
        batch_size=surface.given.tolist(), base_lr=surface.tuned.tolist(),
    )  # fmt: skip
    told = oscillation_above(found, runs, 0.05)
    assert 4 <= np.exp(told.difference) <= 4**2  # from one to two octaves of the grid above the nearest level
    assert oscillation_above(found, runs.assign(unstable=True), 0.05) is None
