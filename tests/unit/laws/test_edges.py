"""Laws beside divergence: no rate that diverges is predicted, and no critical batch size is one of divergence."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from batchlaw.errors import DataError
from batchlaw.laws import laws_of
from batchlaw.laws.prediction import predict
from batchlaw.laws.tables import law, transfer
from batchlaw.recipe.result import Outcome

from tests.unit.laws.conftest import COLUMNS, designed, planted, record
from tests.unit.laws.test_law import searched

SIZES, RATES = 2.0 ** np.arange(3, 11), 0.0025 * 2.0 ** np.arange(12)
NONE_TRAINS = 64.0


def table_of(best, last, *, sizes=SIZES):
    """Losses that fall as the rate comes from below to `best` of the batch size, and rise above; inf above `last`."""
    generator, rows = np.random.default_rng(0), []
    for size in sizes:
        for rate in RATES:
            off = np.log2(rate / best(size))
            height = (0.2 * max(off, 0)) ** 2 - 0.02 * min(off, 0)
            losses = 0.1 + height + 0.001 * generator.normal(size=5) if rate < 1.01 * last(size) else [np.inf] * 5
            rows += [{"lr": rate, "batch_size": size, "seed": seed, "loss": loss} for seed, loss in enumerate(losses)]
    return pd.DataFrame(rows)


def proportional(size):
    return 0.0025 * size


@pytest.fixture(scope="module")
def cliff():
    """The best rate is the last that trains, and in proportion to the batch size."""
    return law(table_of(proportional, proportional), **COLUMNS)


@pytest.mark.parametrize("size", [8, 11, 24, 64, 96, 400, 1024])
def test_beside_a_cliff_the_rate_trains_and_the_interval_ends_where_runs_diverge(cliff, size):
    value, low, high = cliff.predict(size)
    last = 0.0025 * size
    assert 0.7 * last < value <= last * (1 + 1e-9)
    assert low < last < high <= 2 * last * (1 + 1e-9)


@pytest.mark.parametrize("size", [2, 4, 4096])
def test_beyond_the_batch_sizes_tried_the_edge_moves_on(cliff, size):
    assert cliff.predict(size, extrapolate=True).value <= 0.0025 * size * (1 + 1e-9)


def test_the_edge_moves_as_it_did_where_that_is_faster_than_the_law():
    steady = law(table_of(lambda size: 0.04 * size**0.25, lambda size: 0.01 * size), **COLUMNS)
    assert steady.exponent < 0.6
    assert steady.predict(1, extrapolate=True).value <= 0.0101


def test_a_batch_size_at_which_nothing_trains_has_no_rate():
    def last(size):
        return 0.0 if size == NONE_TRAINS else proportional(size)

    runs = table_of(proportional, last)
    levels = law(runs, **COLUMNS).levels.set_index("batch_size")
    assert levels.loc[NONE_TRAINS, "status"] == "diverged"
    assert levels.loc[NONE_TRAINS, ["best", "low", "high", "predicted", "predicted_low"]].isna().all()
    assert levels.drop(index=NONE_TRAINS)["predicted"].notna().all()
    found = transfer(runs, **COLUMNS, reference_batch_size=32)
    assert NONE_TRAINS not in set(found.costs["batch_size"])
    assert "no cost is told at batch size 64" in " ".join(found.notes)
    with pytest.raises(DataError, match="a cost needs two batch sizes"):
        transfer(table_of(proportional, lambda size: 0.02 if size == 8 else 0.0), **COLUMNS)


def test_a_bend_at_the_edge_of_divergence_is_no_critical_batch_size():
    bent = law(table_of(lambda size: min(0.0025 * size, 0.16), lambda size: min(0.0025 * size, 0.16)), **COLUMNS)
    assert bent.fitted is not None and bent.fitted.fit.curve.bends
    assert bent.critical_batch_size is None and "that is no critical batch size" in repr(bent)
    free = law(table_of(lambda size: min(0.0025 * size, 0.16), lambda _: np.inf), **COLUMNS)
    assert free.fitted.fit.curve.bends and free.critical_batch_size.low < 64 < free.critical_batch_size.high
    json.dumps([bent.as_dict(), free.as_dict()], allow_nan=False)


def beside_a_cliff():
    """A designed study in which rates above 2⁻⁵ × √(B / 22.6), the best, diverge."""
    spec = designed(optimizer="momentum")
    cells = []
    for cell in planted(spec):
        off = np.log2(cell.config.peak_lr) + 5 - 0.5 * (np.log2(cell.config.batch_size) - 4.5)
        if off > 0.3:
            lost = record(spec, cell.number, cell.params, [np.nan] * 5, diverged=[True] * 5)
            cell = replace(lost, outcome=Outcome.DIVERGED, value=None)
        cells.append(cell)
    return spec, cells


def test_a_configuration_says_what_may_diverge():
    spec, records = beside_a_cliff()
    (found,) = laws = laws_of(spec, records)
    by_law = predict(spec, laws, 96)
    last = found.fitted.last_stable(96)
    assert by_law.peak_lr <= last * (1 + 1e-9) < by_law.predicted.ci_high
    assert by_law.predicted.warnings == (
        f"the upper end of the interval may diverge: {last:.3g} is the last that trains at the nearest batch sizes",
    )
    constant = predict(spec, laws, 4, rule="constant")
    assert constant.peak_lr > found.fitted.last_stable(4)
    assert any(warning.startswith("this rate may diverge") for warning in constant.predicted.warnings)


def test_in_a_search_the_edge_is_above_the_highest_rate_with_a_score():
    spec, records = searched(trials=300)
    told = []
    for each in records:
        off = np.log2(each.config.peak_lr) + 5 - 0.5 * (np.log2(each.config.batch_size) - 4.5)
        told.append(replace(each, outcome=Outcome.DIVERGED, value=None) if off > 1 else each)
    (found,) = (law for law in laws_of(spec, told) if law.stratum["optimizer"] == "momentum")
    own = [(each.outcome, each.config) for each in told if each.config.optimizer == "momentum"]
    for size, edge in zip(found.ridge.given, 2 ** found.ridge.edges[:, 1], strict=True):
        scored, lost = (
            [config.peak_lr for outcome, config in own if outcome == wanted and config.batch_size == size]
            for wanted in (Outcome.COMPLETE, Outcome.DIVERGED)
        )
        assert edge == pytest.approx([max(scored), min(lost)] if lost else [np.inf, np.inf])
        assert found.fitted.predict(size)[0] <= edge[0] * (1 + 1e-9)
