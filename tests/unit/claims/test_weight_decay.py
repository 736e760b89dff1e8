"""H22: planted best weight decays at each batch size, in the runs of a designed study."""

import numpy as np
import pytest
from batchlaw.claims.claim import claim_of
from batchlaw.claims.evidence import gather
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.claims.verdict import judge
from batchlaw.errors import SpecError
from batchlaw.figures.labels import Labels
from batchlaw.figures.parts import part_of
from batchlaw.figures.report import claim_report
from batchlaw.figures.ridges import figures
from batchlaw.spec import parse_spec

from tests.conftest import tiny_study
from tests.unit.claims.conftest import N, table

SIZES, DECAYS = [4, 8, 16, 32, 64, 128], [2.0**e for e in range(-6, 5)]


def spec(budget=None, **space):
    study = tiny_study(task={"train_size": 128})
    del study["search"]
    study["budget"] = budget or {"epochs": 2}
    study["space"] = {"batch_size": SIZES, "base_lr": 0.1, "weight_decay": DECAYS, "optimizer": "adamw"} | space
    study["claim"] = {"hypotheses": ["H22"], "replicates": N}
    return parse_spec(study, "test")


def runs(slope, *, noise=0.05, seed=0, center=-1.0, sizes=SIZES, rates=(0.1,)):
    """Best at log₂ λ = center + slope × (log₂ B - 4.5), and half an octave more at twice the rate."""

    def value(cell):
        best = center + slope * (np.log2(cell["batch_size"]) - 4.5) + np.log2(cell["base_lr"] / 0.1) / 2
        return {"score": -((np.log2(cell["weight_decay"]) - best) ** 2) / 8}

    levels = {"batch_size": sizes, "weight_decay": DECAYS, "base_lr": list(rates), "optimizer": ["adamw"]}
    return table(value, noise=noise, seed=seed, **levels)


def findings(frame, study):
    return [
        (stratum, judge(gather(surface, "batch_size"), ["H22"]))
        for stratum, surface in surfaces_of(study, frame, "batch_size")
    ]


def verdict(*args, **kwargs):
    [(_, [finding])] = findings(runs(*args, **kwargs), spec())
    return finding


@pytest.mark.parametrize(
    ("slope", "expected"), [(1.0, "supported"), (0.0, "no relation"), (0.5, "refuted"), (1.6, "refuted")]
)
def test_planted_slopes_get_their_verdicts(slope, expected):
    finding = verdict(slope)
    assert finding.verdict == expected and finding.slope.ci_low < slope < finding.slope.ci_high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slope", "right"), [(0.0, {"no relation", "refuted"}), (0.5, {"refuted"}), (1.0, {"supported"})]
)
def test_noisy_studies_are_judged_rightly_or_not_at_all(slope, right):
    found = [verdict(slope, noise=0.2, seed=seed).verdict for seed in range(6)]
    assert set(found) <= right | {"inconclusive"} and set(found) & right


def test_optima_at_an_edge_decide_nothing_and_say_where_to_look():
    finding = verdict(1.0, center=-9.0)
    assert finding.verdict == "inconclusive" and "the best weight decay is only bounded above" in finding.reason
    assert finding.settle.startswith("weight decays down to")


def test_every_learning_rate_is_judged_by_itself():
    found = findings(runs(1.0, rates=(0.1, 0.2)), spec(base_lr=[0.1, 0.2]))
    assert [stratum for stratum, _ in found] == [{"base_lr": 0.1}, {"base_lr": 0.2}]
    assert {finding.verdict for _, [finding] in found} == {"supported"}


def test_its_levels_figures_and_page_are_about_weight_decay():
    [(stratum, judged)] = findings(runs(1.0), spec())
    claim = claim_of([[(stratum, judged)]], "H22", "designed", title="t", question="", score="s", direction="maximize")
    levels = claim.levels
    assert set(levels["given"]) == {"batch_size"} and levels["value"].tolist() == SIZES
    low, high = levels["low"].to_numpy(), levels["high"].to_numpy()
    best = 2.0 ** (-1 + np.log2(SIZES) - 4.5)
    assert ((low <= best) & (best <= high)).all()
    [surface] = claim.as_dict()["surfaces"]
    assert surface["per_batch_size"][0]["weight_decay_opt"] > 0 and surface["cliff_ratio"] is None
    drawn = figures(judged[0].evidence, Labels("t", "", "s", True))
    assert drawn["ridge"].layout.title.text.startswith("Best weight decay against batch size")
    assert drawn["map"].layout.yaxis.title.text == "weight decay"
    part = part_of(stratum, judged)
    assert (part["given"], part["tuned"]) == ("batch size", "weight decay") and part["levels"][0]["best"] > 0


@pytest.mark.parametrize(
    ("budget", "space", "message"),
    [
        (None, {"weight_decay": [0.0, *DECAYS]}, "H22 needs levels above 0, which it compares on a log scale; got"),
        (None, {"weight_decay": DECAYS[:3]}, 'H22 needs 6 levels or more over 5 octaves; got "3 over 2.0"'),
        (None, {"batch_size": [8, 16, 32]}, "H22 needs 5 levels or more over 4 octaves"),
        (None, {"optimizer": ["adamw", "adam"]}, "space.optimizer: .*H22 is about adamw, muon"),
        ({"steps": 100}, {}, "budget: .*H22 needs one horizon for all batch sizes"),
    ],
)
def test_a_study_that_cannot_tell_is_refused(budget, space, message):
    with pytest.raises(SpecError, match=message):
        spec(budget, **space)


def test_the_page_says_how_to_read_its_own_ridge():
    page = claim_report([findings(runs(1.0), spec())], Labels("decay", "", "score", False), [])
    reading = page[page.index("How to read this") :]
    assert "The best weight decay for each batch size is" in reading and "ε·N/B" not in reading
