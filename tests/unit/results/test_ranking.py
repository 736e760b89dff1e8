"""Which trials are best, with their errors and ties."""

import dataclasses

import pytest
import scipy
from batchlaw.results.order import best_per
from batchlaw.results.result import TrialResult
from batchlaw.results.standings import Standings

from tests.conftest import tiny_spec
from tests.unit.results.conftest import record


def test_replicates_give_the_error_and_one_replicate_falls_back_on_the_validation_sample():
    spec = tiny_spec()
    best, close, far = record(1, [0.95, 0.97, 0.96]), record(2, [0.93, 0.97, 0.95]), record(3, [0.5, 0.51, 0.52])
    one, two, three = Standings(spec, [best, close, far]).configurations([best, close, far])
    assert (one.standard_error_of, one.n_replicates) == ("seeds", 3)
    assert one.standard_error == pytest.approx(scipy.stats.sem([0.95, 0.97, 0.96]))
    assert [c.tied_with_best for c in (one, two, three)] == [True, True, False]
    (single,) = Standings(spec, [record(4, [0.9])]).configurations([record(4, [0.9])])
    assert (single.standard_error, single.standard_error_of) == (0.02, "validation sample")
    unknown = dataclasses.replace(record(5, [0.9]), result=TrialResult())
    assert Standings(spec, [best, unknown]).configuration(unknown).tied_with_best is None


def test_the_best_come_first_in_the_direction_of_the_metric():
    records = [record(0, [0.5]), record(1, [0.9]), record(2, [0.7]), record(3, [0.9])]
    assert [r.number for r in Standings(tiny_spec(), records).order[:3]] == [1, 3, 2]
    loss = tiny_spec(search={"metric": "validation_loss"})
    assert Standings(loss, records).best.number == 0


def test_per_takes_the_best_of_each_value_and_groups_rates_by_half_decades():
    records = [record(0, [0.9], batch_size=8, base_lr=0.02), record(1, [0.8], batch_size=4, base_lr=0.03),
               record(2, [0.7], batch_size=8, base_lr=0.2)]  # fmt: skip
    assert [r.number for r in best_per(records, "batch_size")] == [1, 0]
    assert [r.number for r in best_per(records, "base_lr")] == [0, 2]
