"""H20: planted hyperbolas in the curves of a designed study."""

import numpy as np
import pytest
from batchlaw.claims.hypotheses import CATALOGUE
from batchlaw.claims.overall import JUDGES
from batchlaw.claims.to_target import to_targets
from batchlaw.errors import SpecError, StudyError
from batchlaw.results.result import SeedCurvePoint
from batchlaw.spec import fingerprint, parse_spec

from tests.conftest import tiny_study
from tests.unit.claims.conftest import N, table

SIZES, RATES, REPORTS = [4, 8, 16, 32, 64, 128], [0.1, 0.2, 0.4, 0.8], 20
BUDGET = 64_000


def spec(**claim):
    study = tiny_study(task={"train_size": 128})
    del study["search"]
    study["space"] = {"batch_size": SIZES, "base_lr": RATES}
    study["claim"] = {"hypotheses": ["H20"], "replicates": N, "reports": REPORTS} | claim
    return study


def runs(critical=lambda loss: 30.0, off=lambda size: 1.0, noise=0.02, seed=0):
    """The loss is 3 (E/1000)^-½ at E examples of tiny batches; larger ones need (1 + B/B_crit(loss)) as many."""
    generator = np.random.default_rng(seed)
    frame = table(lambda cell: {"examples": BUDGET}, batch_size=SIZES, base_lr=RATES)
    losses = np.geomspace(5, 1e-3, 4000)
    curves = []
    for _, cells in frame.groupby(["batch_size", "base_lr"], sort=False):
        size, lr = int(cells.iloc[0]["batch_size"]), float(cells.iloc[0]["base_lr"])
        needed = 1000 * (3 / losses) ** 2 * (1 + size / critical(losses)) * off(size)
        needed = needed * (1 + np.log2(lr / 0.2) ** 2)  # .2 is the best rate
        seeds = np.exp(noise * generator.normal(size=N))
        at = BUDGET * np.arange(1, REPORTS + 1) / REPORTS
        seen = [np.interp(at / factor, needed, losses) for factor in seeds]
        points = [
            SeedCurvePoint((number + 1) / REPORTS, {"train_loss": [curve[number] for curve in seen]})
            for number in range(REPORTS)
        ]
        curves += [points] * N
    return frame.assign(curves=curves)


def judged(frame, **claim):
    return JUDGES["H20"](CATALOGUE["H20"], frame, parse_spec(spec(**claim), "test"), np.random.default_rng(0))


def growing(loss):
    return 30.0 * (1.2 / loss) ** 1.5


def test_a_planted_hyperbola_that_grows_is_supported():
    finding = judged(runs(growing), targets=[1.2, 0.6])
    assert finding.verdict == "supported"
    first, last = finding.details["targets"]
    assert first["critical_batch_size"]["value"] == pytest.approx(30, rel=0.1)
    assert last["critical_batch_size"]["value"] == pytest.approx(growing(0.6), rel=0.2)


def test_one_that_shrinks_and_steps_on_no_hyperbola_are_refuted():
    assert judged(runs(lambda loss: 30.0 * (loss / 1.2) ** 1.5), targets=[1.2, 0.8]).verdict == "refuted"
    bumpy = judged(runs(growing, off=lambda size: 2.0 if size in (8, 32) else 1.0), targets=[1.2, 0.8])
    assert bumpy.verdict == "refuted" and "misses the steps by" in bumpy.reason


def test_one_that_stays_is_not_supported():
    assert judged(runs(), targets=[1.2, 0.8]).verdict != "supported"


def test_rates_are_tuned_and_batch_sizes_that_do_not_arrive_are_censored():
    (found,) = to_targets(parse_spec(spec(targets=[0.7]), "test"), runs())
    assert set(found.lr) == {0.2} or np.isnan(found.lr).any()
    assert found.reached.tolist() == [True] * 5 + [False]  # 128: 18,400 × 5.3 examples
    assert found.steps[-1] == BUDGET / 128
    assert found.steps[2] == pytest.approx(1000 * (3 / 0.7) ** 2 * (1 + 16 / 30) / 16, rel=0.05)
    assert not found.edge.any()


def test_targets_are_chosen_from_the_curves():
    found = to_targets(parse_spec(spec(), "test"), runs())
    assert len(found) == 3 and [each.target for each in found] == sorted((each.target for each in found), reverse=True)
    assert all(each.reached.sum() >= 3 and not each.left_out for each in found)


def test_curves_that_were_not_recorded_are_named():
    with pytest.raises(StudyError, match="H20 needs train_loss at every report"):
        judged(table(lambda cell: {}, batch_size=SIZES, base_lr=RATES))


@pytest.mark.parametrize(
    ("claim", "space", "message"),
    [
        ({"reports": 4}, {}, "claim.reports: H20 needs 10 or more; got 4"),
        ({"hypotheses": ["H3"], "targets": [0.5]}, {}, "belongs to H20 and H23"),
        ({"targets": [-1.0]}, {}, "claim.targets"),
        ({}, {"decay": ["constant", "cosine"]}, 'space.decay: .*H20 needs "constant"'),
        ({}, {"batch_size": [4, 8, 16]}, "H20 needs 6 levels"),
    ],
)
def test_a_study_that_cannot_tell_is_refused(claim, space, message):
    study = spec(**claim)
    study["space"] |= space
    with pytest.raises(SpecError, match=message):
        parse_spec(study, "test")


def test_a_study_without_targets_keeps_its_fingerprint():
    assert "targets" not in parse_spec(spec(), "test").claim.model_dump()
    assert fingerprint(parse_spec(spec(), "test")) != fingerprint(parse_spec(spec(targets=[0.5]), "test"))
