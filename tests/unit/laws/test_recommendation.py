"""The trade of score against time, worked out by hand."""

import json
from dataclasses import replace

import pytest
from batchlaw.errors import BatchlawError
from batchlaw.laws import laws_of
from batchlaw.laws.recommendation import recommend
from batchlaw.results.step_time import Largest, Profile, Row

from tests.unit.laws.conftest import designed, record

SPEC = designed(optimizer="momentum")
# Batch size, loss of each of five seeds about a mean, at the best rate.
LOSSES = {2: 1.00, 4: 1.01, 8: 1.02, 16: 1.20, 32: 1.30}
SPREAD = (-0.04, -0.02, 0.0, 0.02, 0.04)  # a standard error of .0141


def records():
    """The best rate of each batch size, and one at which the loss is 1 higher."""
    rates = {2.0**-5: 0.0, 2.0**-9: 1.0}
    cells = [(size, lr, loss + more) for lr, more in rates.items() for size, loss in LOSSES.items()]
    return [
        record(SPEC, number, {"log2_batch_size": size.bit_length() - 1, "base_lr": lr}, [loss + s for s in SPREAD])
        for number, (size, lr, loss) in enumerate(cells)
    ]


def profile(seconds=lambda batch_size: 1e-3):
    rows = tuple(
        Row(
            optimizer="momentum", batch_size=size, seconds_a_step=seconds(size), iqr_seconds=0.0,
            micro_batch_size=size, peak_memory_bytes=None,
        )
        for size in (1, 2, 4, 8, 16, 32, 64)
    )  # fmt: skip
    return Profile(
        study="tiny", device="cpu", threads=1, precision="float32", replicates=1, versions={}, rows=rows,
        measured_at="2026-01-01T00:00:00+00:00", largest=Largest(64, "training size"),
    )  # fmt: skip


def test_the_fastest_within_one_standard_error_of_the_best():
    found = recommend(SPEC, records(), [], profile())
    assert found.best.config.batch_size == 2
    assert found.chosen.config.batch_size == 4  # 1.01 is within 1.00 + .0141, 1.02 is not
    steps = SPEC.budget.epochs * 4096 / 4
    assert found.chosen.seconds == pytest.approx(steps * 1e-3)
    assert [candidate.config.batch_size for candidate in found.candidates] == [32, 16, 8, 4, 2]
    assert all(candidate.on_front for candidate in found.candidates)


def test_where_small_batches_are_not_slower_nothing_else_is_on_the_front():
    found = recommend(SPEC, records(), [], profile(lambda size: size * 1e-3))
    assert [c.config.batch_size for c in found.candidates if c.on_front] == [2]


def test_a_limit_of_time_takes_the_score_by_then():
    whole = SPEC.budget.epochs * 4096 / 2 * 1e-3  # of batch size 2
    found = recommend(SPEC, records(), [], profile(), seconds=whole * 0.6)
    by_size = {candidate.config.batch_size: candidate for candidate in found.candidates}
    assert by_size[2].progress == pytest.approx(0.6) and by_size[2].value == pytest.approx(1.5)  # half-way, by then
    assert by_size[4].progress == 1 and found.best is by_size[4]
    assert found.chosen is by_size[8]  # 1.02 is within 1.01 + .0141
    assert all(candidate.seconds <= whole * 0.6 + 1e-9 for candidate in found.candidates)


def test_devices_share_a_batch():
    found = recommend(SPEC, records(), [], profile(lambda size: size * 1e-3), devices=4)
    assert {c.config.batch_size for c in found.candidates} == {4, 8, 16, 32}
    assert found.left_out == ("momentum at 2: a batch of 2 does not share out among 4 devices",)
    four = next(c for c in found.candidates if c.config.batch_size == 4)
    assert four.seconds == pytest.approx(SPEC.budget.epochs * 4096 / 4 * 1e-3)  # a step of one example
    with pytest.raises(
        BatchlawError, match="devices: got 4; sharing steps among devices needs a profile of the study; see profile"
    ):
        recommend(SPEC, records(), [], None, devices=4)


def test_measured_devices_are_told_by_their_own_clock():
    one = profile(lambda size: size * 1e-3)
    four = tuple(replace(row, devices=4, seconds_a_step=row.batch_size * 2.5e-4 + 5e-3) for row in one.rows[2:])
    found = recommend(SPEC, records(), [], replace(one, rows=one.rows + four), devices=4)
    seconds = {c.config.batch_size: c.seconds for c in found.candidates}
    steps = SPEC.budget.epochs * 4096 / 16
    assert seconds[16] == pytest.approx(steps * 9e-3)  # on one device 16 ms, without a cost 4
    # Speed-up² / devices at 8: (8 / 7)² / 4; at 16: (16 / 9)² / 4; at 32: (32 / 13)² / 4 = 1.5
    assert {c.config.batch_size: c.devices_deserved for c in found.candidates} == {4: 1, 8: 1, 16: 1, 32: 4}
    assert found.clock.endswith("of 4 devices that share every batch")
    assert "if sharing costs nothing" in recommend(SPEC, records(), [], one, devices=4).clock


def test_without_a_profile_the_trials_own_clocks_count():
    found = recommend(SPEC, records(), [], None)
    assert found.clock == "the trials' own clocks"
    assert found.chosen.seconds == pytest.approx(SPEC.budget.epochs * 4096 / 4 * 1e-3)


def test_the_law_tells_the_rate(sqrt_study):
    spec, stored = sqrt_study
    found = recommend(spec, stored, laws_of(spec, stored), None)
    value, low, high = found.chosen.lr_by_law
    assert low < value < high
    assert f"the law puts the best learning rate there at {value:.4g}" in repr(found)


def test_it_shows_itself():
    found = recommend(SPEC, records(), [], profile())
    assert repr(found).startswith("Recommendation of tiny: momentum, batch size 4, peak learning rate 0.0312, trial 1")
    assert list(found.table["batch_size"]) == [32, 16, 8, 4, 2] and "<table" in found._repr_html_()
    assert json.loads(json.dumps(found.as_dict()))["chosen"]["batch_size"] == 4


def test_a_time_in_which_nothing_reports_is_refused():
    with pytest.raises(BatchlawError, match=r"seconds: got 1e-06; none of 5 candidates reports by then"):
        recommend(SPEC, records(), [], profile(), seconds=1e-6)
