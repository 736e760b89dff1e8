"""The law of a study, from its records."""

import json

import numpy as np
import pytest
from batchlaw.claims.evidence import gather
from batchlaw.claims.runs import runs_of
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.errors import StudyError
from batchlaw.laws import laws_of
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import point_of
from batchlaw.results.result import CurvePoint
from batchlaw.spec import parse_spec

from tests.conftest import tiny_study
from tests.unit.laws.conftest import SEEDS, designed, parabola, planted, record


def test_the_planted_exponent_comes_out(sqrt_study):
    (law,) = laws_of(*sqrt_study)
    assert law.lack is None and law.name == "" and law.grade == "designed"
    assert law.low < 0.5 < law.high
    assert 2 ** law.fitted.fit.mean(np.array([4.5]))[0] == pytest.approx(2**-5, rel=0.05)
    json.dumps(law.as_dict(), allow_nan=False)


def test_it_is_the_slope_that_claims_are_judged_by(sqrt_study):
    spec, records = sqrt_study
    ((_, surface),) = surfaces_of(spec, runs_of(spec, records), "lr")
    reverse = gather(surface).reverse.slope
    law = laws_of(spec, records)[0]
    assert (law.exponent, law.low, law.high) == pytest.approx((reverse.slope, reverse.ci_low, reverse.ci_high))


def test_each_optimizer_has_its_own():
    spec = designed(optimizer=["momentum", "adam"])
    records = planted(spec, lambda config: 1.0 if config.optimizer == "momentum" else 0.5)
    laws = {law.stratum["optimizer"]: law for law in laws_of(spec, records)}
    assert laws["momentum"].exponent == pytest.approx(1.0, abs=0.1)
    assert laws["adam"].exponent == pytest.approx(0.5, abs=0.1)
    assert {record.config.optimizer for record in laws["adam"].records} == {"adam"}
    number = laws["adam"].records[0].number
    assert [law.exponent for law in laws_of(spec, records, of={number})] == [laws["adam"].exponent]
    assert laws["adam"].fitted.bent.curve.name == "surge" and laws["momentum"].fitted.bent.curve.name == "mccandlish"


def test_a_study_that_cannot_tell_says_what_is_missing():
    spec = designed(optimizer="momentum")
    flat = [record(spec, r.number, r.params, [1.0, 1.1, 0.9, 1.05, 0.95]) for r in planted(spec)]
    (law,) = laws_of(spec, flat)
    assert law.fitted is None and law.exponent is None and "a slope needs 3" in law.lack
    with pytest.raises(StudyError, match="1 of 88 cells have no result yet"):
        laws_of(spec, planted(spec)[1:])
    few = planted(small := designed(optimizer="momentum", base_lr=[2.0**k for k in range(-6, 0)]))
    assert laws_of(small, few)


def searched(trials=150, seed=0):
    """A search over two optimizers, whose trials lie about their ridges; the first 20 pruned."""
    table = tiny_study(task=None, objective="mine:train", train_size=4096)
    table["space"] = {
        "batch_size": {"low": 2, "high": 256, "log2": True}, "base_lr": {"low": 2.0**-12, "high": 1.0, "log": True},
        "family_factors": False, "optimizer": ["momentum", "adam"],
    }  # fmt: skip
    table["search"] = {"trials": trials, "metric": "validation_loss"}
    spec, generator = parse_spec(table, "test"), np.random.default_rng(seed)
    records = []
    for number in range(trials):
        exponent = int(generator.integers(1, 9))
        best = 0.5 * (exponent - 4.5) - 5
        lr = 2.0 ** np.clip(best + 2.5 * generator.normal(), -12, 0)
        params = {"log2_batch_size": exponent, "base_lr": float(lr), "optimizer": "momentum" if number % 8 else "adam"}
        config = derive(spec, point_of(params, spec), SEEDS)
        records.append(record(spec, number, params, [float(parabola(config, slope=0.5, noise=0.2)[0])]))
    return spec, records


def test_a_search_gives_a_guide_for_the_optimizers_it_tried_often():
    spec, records = searched()
    laws = {law.stratum["optimizer"]: law for law in laws_of(spec, records)}
    found = laws["momentum"]
    assert found.grade == "fitted" and "do not test it" in found.lines()[-1]
    assert found.exponent == pytest.approx(0.5, abs=0.25)
    assert laws["adam"].fitted is None and laws["adam"].lack


def test_the_noise_scale_is_that_of_the_best_runs():
    spec = designed(optimizer="momentum")
    records = []
    for cell in planted(spec):
        good = cell.value < 1.2
        parts = {"gradient_norm2": 2.0 if good else 100.0, "gradient_variance": 64.0}
        curve = [CurvePoint(point.progress, point.metrics | parts) for point in cell.result.curve]
        records.append(record(spec, cell.number, cell.params, cell.result.replicate_values, curve=curve))
    assert laws_of(spec, records)[0].noise_scale.value == pytest.approx(32.0)
    assert laws_of(spec, planted(spec))[0].noise_scale is None
