"""H25: planted widths of the valley of learning rates at each batch size."""

import numpy as np
import pytest
from batchlaw.claims.hypotheses import CATALOGUE
from batchlaw.claims.overall import JUDGES
from batchlaw.errors import SpecError
from batchlaw.spec import parse_spec

from tests.conftest import tiny_study
from tests.unit.claims.conftest import N, table

SIZES, RATES = [4, 8, 16, 32, 64, 128], [2.0**e for e in range(-9, 1)]
NOISE = 0.1


def spec(**space):
    study = tiny_study(task={"train_size": 128})
    del study["search"]
    study["space"] = {"batch_size": SIZES, "base_lr": RATES, "optimizer": "sgd"} | space
    study["claim"] = {"hypotheses": ["H25"], "replicates": N}
    return parse_spec(study, "test")


def judged(shrink, *, ridge=0.5, width=3.0, center=0.0, wall=512, seed=0, momenta=(0.9,), noise=NOISE):
    """Valleys `width` + `shrink` × (log₂ B - 4.5) octaves wide, whose bottom moves; from `wall` on a rate diverges."""

    def value(cell):
        octave = np.log2(cell["batch_size"]) - 4.5
        off = np.log2(cell["base_lr"]) + 4.5 - center - ridge * octave
        half = (width + shrink * octave) / 2
        diverges = cell["batch_size"] >= wall and off >= half
        return {"score": -2.3 if diverges else -2.77 * NOISE * (off / half) ** 2, "unstable": bool(diverges)}

    frame = table(
        value, noise=noise, seed=seed, batch_size=SIZES, base_lr=RATES, optimizer=["sgd"], momentum=list(momenta)
    )
    space = {"momentum": list(momenta)} if len(momenta) > 1 else {}
    return JUDGES["H25"](CATALOGUE["H25"], frame, spec(**space), np.random.default_rng(0))


def test_seeds_that_do_not_differ_say_nothing():
    finding = judged(-0.4, noise=0.0)
    assert finding.verdict == "inconclusive" and "seeds do not differ" in finding.reason


@pytest.mark.parametrize(("shrink", "verdict"), [(-0.4, "supported"), (0.4, "refuted"), (0.0, "inconclusive")])
def test_planted_tolerance_gets_its_verdict(shrink, verdict):
    finding = judged(shrink)
    assert finding.verdict == verdict and finding.slope.ci_low < shrink < finding.slope.ci_high
    assert finding.details["threshold"] == pytest.approx(2.77 * NOISE, rel=0.25)
    assert [row["batch_size"] for row in finding.details["widths"]] == SIZES


def test_walls_at_large_batches_of_the_same_width_are_no_loss_of_tolerance():
    assert {judged(0.0, wall=32, seed=seed).verdict for seed in range(4)} == {"inconclusive"}


def test_valleys_open_at_the_edge_are_told_and_decide_nothing_by_themselves():
    finding = judged(0.0, width=7.0, ridge=1.0)
    assert finding.verdict == "inconclusive" and "≥ " in finding.reason
    assert finding.settle == "learning rates beyond those tried"


def test_further_factors_have_offsets():
    finding = judged(-0.4, momenta=(0.5, 0.9))
    assert finding.verdict == "supported" and len(finding.details["widths"]) == 2 * len(SIZES)


@pytest.mark.slow
def test_verdicts_are_rarely_wrong_whatever_the_ridge():
    found = [judged(0.0, ridge=ridge, seed=seed).verdict for ridge in (0.0, 0.3, 1.0) for seed in range(8)]
    assert sum(verdict != "inconclusive" for verdict in found) <= 2


def test_a_study_with_too_few_rates_is_refused():
    with pytest.raises(SpecError, match="H25 needs 8 levels or more over 6 octaves"):
        spec(base_lr=RATES[:5])
