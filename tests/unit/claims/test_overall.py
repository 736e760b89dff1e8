"""Hypotheses judged on all runs together, on tables with a planted truth."""

from typing import get_args

import numpy as np
import pytest
from batchlaw.claims.hypotheses import CATALOGUE, OfTables
from batchlaw.claims.overall import JUDGES
from batchlaw.errors import StudyError
from batchlaw.spec.needs import NEEDS

from tests.unit.claims.conftest import N, judged, table, with_curves


def test_every_hypothesis_has_its_needs_and_the_others_their_judge():
    assert set(NEEDS) == set(CATALOGUE) - set(get_args(OfTables))  # which no designed study has
    assert set(JUDGES) == {name for name, hypothesis in CATALOGUE.items() if hypothesis.given is None} - set(
        get_args(OfTables)
    )
    for hypothesis in CATALOGUE.values():
        assert hypothesis.supports(0.25) and hypothesis.contradicts(0.25) and hypothesis.needs()


BATCHES, RATES = [2**e for e in range(9)], [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        (lambda batch: 1 + 0 * batch, "supported"),
        (lambda batch: max(1, batch / 32), "supported"),  # flat up to a knee
        (lambda batch: batch**0.5, "refuted"),
        (lambda batch: max(1, batch / 2), "refuted"),  # one octave of flatness is too little to be seen
    ],
)
def test_h1_reads_the_time_of_a_step(seconds, verdict):
    generator = np.random.default_rng(0)
    runs = table(
        lambda cell: {"train_seconds": seconds(cell["batch_size"]) * np.exp(0.01 * generator.normal())},
        batch_size=BATCHES, base_lr=RATES,
    )  # fmt: skip
    assert judged("H1", runs).verdict == verdict


@pytest.mark.parametrize(("exponent", "verdict"), [(-0.8, "supported"), (0.3, "refuted"), (0.0, "inconclusive")])
def test_h2_reads_the_time_of_an_epoch(exponent, verdict):
    generator = np.random.default_rng(0)
    runs = table(
        lambda cell: {"train_seconds": cell["batch_size"] ** exponent * np.exp(0.05 * generator.normal())},
        batch_size=BATCHES, base_lr=RATES,
    )  # fmt: skip
    assert judged("H2", runs).verdict == verdict


@pytest.mark.parametrize("name", ["H1", "H2"])
def test_the_time_of_runs_that_shared_a_network_decides_nothing(name):
    runs = table(lambda cell: {"shares_network": cell["base_lr"] > 0.1}, batch_size=BATCHES, base_lr=RATES)
    with pytest.raises(StudyError, match=f"{name} needs runs timed by themselves"):
        judged(name, runs)


def larger(penalty, moves):
    """Losses with their best rate at .4, or in proportion to the batch size where the optimum moves."""

    def value(cell):
        best = 0.1 * cell["batch_size"] / 8 if moves else 0.4
        loss = np.log2(cell["base_lr"] / best) ** 2 / 4 + penalty * (cell["batch_size"] > 8)
        return {"train_loss": loss, "validation_loss": loss}

    return table(value, batch_size=[8, 128], base_lr=[0.1, 0.2, 0.4, 0.8, 1.6])


def test_h3_tells_a_penalty_from_an_untuned_rate():
    real = judged("H3", larger(0.5, moves=False))
    assert real.verdict == "supported"
    untuned = judged("H3", larger(0.0, moves=True))
    assert untuned.verdict != "supported"
    better = judged("H3", larger(-0.5, moves=False))
    assert better.verdict == "refuted"


@pytest.mark.parametrize(("gap", "noise", "verdict"), [(0.0, 0.05, "inconclusive"), (0.5, 0.05, "refuted")])
def test_h11_compares_decay_with_growth(gap, noise, verdict):
    def value(cell):
        grown = cell["decay"] == "batch-growth"
        return {"validation_loss": 1 + gap * grown, "steps": 40 if grown else 100}

    runs = table(value, noise=noise, decay=["step", "batch-growth"])
    runs = with_curves(runs, ("validation_loss", lambda cell: 1 + gap * (cell["decay"] == "step")))
    finding = judged("H11", runs)
    assert finding.verdict == verdict and finding.details["updates_share"] == pytest.approx(0.4)
    assert finding.details["curve_gap"] == pytest.approx(3 * gap, abs=0.05)  # at the last report, training loss exp(-2)


@pytest.mark.parametrize(("gap", "verdict"), [(0.0, "inconclusive"), (0.5, "refuted")])
def test_h21_compares_step_and_seesaw(gap, verdict):
    def value(cell):
        return {"validation_loss": 1 + gap * (cell["decay"] == "seesaw")}

    runs = with_curves(table(value, noise=0.02, decay=["step", "seesaw"]), ("validation_loss", lambda cell: 1.0))
    finding = judged("H21", runs, batch_size=8, base_lr=0.1, decay=["step", "seesaw"])
    assert finding.verdict == verdict and "step less seesaw" in finding.reason


def test_h11_is_supported_where_seeds_move_both_alike():
    runs = table(lambda cell: {}, noise=0.0, decay=["step", "batch-growth"], base_lr=[0.1, 0.2])
    shake = np.random.default_rng(0).normal(size=N)
    runs["validation_loss"] = 1 + 0.1 * shake[runs["replicate"]]
    runs["validation_loss"] += 0.01 * np.random.default_rng(1).normal(size=len(runs))
    assert judged("H11", with_curves(runs, ("validation_loss", lambda cell: 1.0))).verdict == "supported"


@pytest.mark.parametrize(("strongest", "verdict"), [("base_lr", "supported"), ("batch_size", "refuted")])
def test_h13_ranks_main_effects(strongest, verdict):
    levels = {"batch_size": [8, 16, 32], "base_lr": [0.1, 0.2, 0.4], "momentum": [0.5, 0.9]}
    runs = table(lambda cell: {"score": 3 * levels[strongest].index(cell[strongest]) + cell["momentum"]}, **levels)
    finding = judged("H13", runs, **levels)
    assert finding.verdict == verdict
    assert finding.details["first"][strongest] == 1.0


@pytest.mark.parametrize(
    ("gains", "verdict", "words"),
    [
        ({"adam": 1.0}, "supported", "stability only"),
        ({"adam": 1.0, "momentum": 1.0}, "inconclusive", "stability only"),
        ({"adam": 0.2, "momentum": 1.0}, "refuted", "stability only"),
        ({"adam": -1.0, "momentum": -1.0}, "refuted", "gains Adam -"),
    ],
)
def test_h14_asks_who_gains_from_warmup_at_high_rates(gains, verdict, words):
    def value(cell):
        high = cell["base_lr"] >= 0.4
        gain = gains.get(cell["optimizer"], 0.0) if high and cell["warmup_fraction"] > 0 else 0.0
        return {"score": gain - 3 * high}

    runs = table(
        value, noise=0.1, optimizer=["momentum", "adam"], base_lr=[0.1, 0.2, 0.4, 0.8], warmup_fraction=[0.0, 0.1, 0.2]
    )
    finding = judged("H14", runs)
    assert finding.verdict == verdict and words in finding.reason


def test_h14_tells_adam_with_and_without_bias_correction_apart():
    levels = {"optimizer": ["momentum", "adam"], "base_lr": [0.1, 0.2, 0.4, 0.8], "warmup_fraction": [0.0, 0.2]}
    levels |= {"bias_correction": [True, False]}

    def value(cell):
        warm = cell["optimizer"] == "adam" and cell["base_lr"] >= 0.4 and cell["warmup_fraction"] > 0
        return {"score": warm * (1.0 if cell["bias_correction"] else 3.0)}

    finding = judged("H14", table(value, noise=0.1, **levels), batch_size=8, **levels)
    assert finding.verdict == "supported" and finding.details["gain"]["difference"] == pytest.approx(1.0, abs=0.2)
    assert finding.details["tuned"]["uncorrected"]["difference"] == pytest.approx(3.0, abs=0.2)
    assert "more than with it" in finding.reason


@pytest.mark.parametrize(("ratio", "verdict"), [(0.3, "supported"), (3.0, "refuted"), (1.0, "inconclusive")])
def test_h15_reads_how_the_loss_settles(ratio, verdict):
    generator = np.random.default_rng(0)

    def value(cell):
        settled = ratio if cell["decay"] == "cosine" else 1.0
        wild = cell["base_lr"] > 1  # unstable under one of both: no part of it
        return {
            "tail_loss_variance": settled * np.exp(0.1 * generator.normal()) * (1e6 if wild else 1.0),
            "unstable": wild and cell["decay"] == "cosine",
        }

    finding = judged("H15", table(value, decay=["constant", "cosine"], base_lr=[0.1, 0.4, 1.6]))
    assert finding.verdict == verdict and finding.details["n_cells"] == 2
    assert finding.details["ratio"] == pytest.approx(ratio, rel=0.2)


FAMILIES = ["adagrad", "rmsprop", "adam", "adamw"]


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ({"rmsprop": 1.0, "adamw": 1.0}, "supported"),
        ({"rmsprop": 1.0}, "refuted"),  # AdamW and Adam the same
        ({"rmsprop": -1.0, "adamw": 1.0}, "refuted"),
    ],
)
def test_h16_compares_families_each_at_its_best(gains, verdict):
    def value(cell):
        best = {"adagrad": 0.1, "rmsprop": 0.2, "adam": 0.4, "adamw": 0.1}[cell["optimizer"]]
        return {"score": gains.get(cell["optimizer"], 0.0) - abs(np.log2(cell["base_lr"] / best))}

    runs = table(value, noise=0.1, optimizer=FAMILIES, base_lr=[0.1, 0.2, 0.4, 0.8], weight_decay=[0.0, 0.1])
    if verdict == "refuted" and "adamw" not in gains:  # equal to well within a seed's deviation
        same = runs["optimizer"].isin(["adam", "adamw"])
        runs.loc[same, "score"] += np.random.default_rng(0).normal(size=N)[runs.loc[same, "replicate"]]
    assert judged("H16", runs).verdict == verdict


@pytest.mark.parametrize(("sign", "verdict"), [(-1, "supported"), (1, "refuted")])
def test_h17_reads_which_batch_sizes_are_unstable(sign, verdict):
    generator = np.random.default_rng(0)

    def value(cell):
        odds = 2 + 1.5 * np.log2(cell["base_lr"]) + sign * 1.5 * (np.log2(cell["batch_size"]) - 4)
        return {"unstable": generator.random() < 1 / (1 + np.exp(-odds))}

    rates = [2.0**e for e in range(-5, 3)]
    assert judged("H17", table(value, batch_size=BATCHES, base_lr=rates)).verdict == verdict
    assert judged("H17", table(lambda cell: {}, batch_size=BATCHES, base_lr=rates)).verdict == "inconclusive"
