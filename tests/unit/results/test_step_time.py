"""Profiles read: interpolated, bent where a knee was planted, and back from their JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest
from batchlaw.errors import BatchlawError
from batchlaw.figures.profile import profile_figure, profile_page, sharing_figure
from batchlaw.results.step_time import Knee, Largest, Profile, Row
from scipy.interpolate import interp1d

SIZES = [2**exponent for exponent in range(1, 10)]


def profile_of(seconds, sizes=SIZES, **changes) -> Profile:
    """Of one optimizer, with seconds a step as a function of the batch size, within a hundredth."""
    noise = np.random.default_rng(7).normal(1, 0.01, len(sizes))
    rows = tuple(
        Row(
            optimizer="adam", batch_size=size, seconds_a_step=float(seconds(size) * factor), iqr_seconds=1e-5,
            micro_batch_size=size, peak_memory_bytes=None,
        )
        for size, factor in zip(sizes, noise, strict=True)
    )  # fmt: skip
    facts = {
        "study": "tiny", "device": "cpu (of mine)", "threads": 2, "precision": "float32", "replicates": 1,
        "measured_at": "2026-01-01T00:00:00+00:00", "versions": {"torch": "2"}, "rows": rows,
        "largest": Largest(512, "training size"),
    }  # fmt: skip
    return Profile(**facts | changes)


def test_seconds_between_batch_sizes_are_scipys_line_in_log_log():
    profile = profile_of(lambda size: 1e-3 + 1e-5 * size)
    x, y = np.log([[row.batch_size, row.seconds_a_step] for row in profile.rows]).T
    oracle = interp1d(x, y)
    for size in (2, 3, 7.5, 100, 511, 512):
        assert profile.seconds_a_step_at(size, "adam") == pytest.approx(np.exp(oracle(np.log(size))))
    for row in profile.rows:
        assert profile.seconds_a_step_at(row.batch_size, "adam") == pytest.approx(row.seconds_a_step)


@pytest.mark.parametrize(
    ("batch_size", "optimizer", "line"),
    [
        (1, "adam", "batch_size: got 1; must be between 2 and 512, as measured"),
        (513, "adam", "batch_size: got 513; must be between 2 and 512, as measured"),
        (8, "lion", "optimizer: got 'lion'; measured are adam"),
    ],
)
def test_nothing_is_extrapolated(batch_size, optimizer, line):
    with pytest.raises(BatchlawError) as refusal:
        profile_of(lambda size: 1e-3).seconds_a_step_at(batch_size, optimizer)
    assert str(refusal.value) == line


@pytest.mark.parametrize("planted", [8, 32, 128])
def test_a_knee_is_found_where_it_was_planted(planted):
    profile = profile_of(lambda size: 1e-3 * max(1, size / planted))
    knee = profile.knee("adam")
    assert knee.batch_size == planted
    assert knee.growth_below == pytest.approx(1, abs=0.03) and knee.growth_above == pytest.approx(2, abs=0.03)
    assert profile.line("adam").startswith(f"knee at {planted}: twice the batch takes ")


@pytest.mark.parametrize(
    ("seconds", "growth"),
    [(lambda size: 1e-3 * size**0.5, 2**0.5), (lambda size: 1e-3, 1), (lambda size: 1e-3 * size, 2)],
    ids=["square root", "flat", "linear"],
)
def test_one_line_has_no_knee_and_says_how_it_rises(seconds, growth):
    profile = profile_of(seconds)
    knee = profile.knee("adam")
    assert (knee.batch_size, knee.growth_above) == (None, None)
    assert knee.growth_below == pytest.approx(growth, rel=0.01)
    assert profile.line("adam").startswith("no knee within 2 … 512: twice the batch takes ")


def test_a_bend_the_other_way_is_no_knee():
    assert profile_of(lambda size: 1e-3 * min(size, 32)).knee("adam").batch_size is None


def test_too_few_batch_sizes_tell_nothing_of_a_knee():
    profile = profile_of(lambda size: 1e-3 * max(1, size / 4), SIZES[:4])
    assert profile.knee("adam") == Knee(None, None, None)
    assert profile.line("adam").startswith("no knee can be told from 4 batch sizes; 5 are needed")
    assert profile_of(lambda size: 1e-3 * max(1, size / 8), SIZES[:6]).knee("adam").batch_size == 8


def test_the_fastest_batch_size_has_the_most_examples_a_second():
    profile = profile_of(lambda size: 1e-3 if size <= 64 else 1e-3 * (size / 64) ** 1.5)
    assert profile.fastest("adam").batch_size == 64
    assert profile.line("adam").endswith("most examples a second at 64")


def test_noise_is_the_share_between_the_quartiles():
    profile = profile_of(lambda size: 1e-3)
    rows = [replace(row, seconds_a_step=1e-3, iqr_seconds=1e-4 * size) for size, row in enumerate(profile.rows)]
    assert replace(profile, rows=tuple(rows)).noise == pytest.approx(0.4)  # the middle of 0, 0.1 … 0.8


def test_a_profile_comes_back_from_its_json_with_what_follows_from_it():
    profile = profile_of(lambda size: 1e-3 * max(1, size / 32))
    row = replace(profile.rows[-1], micro_batch_size=200, peak_memory_bytes=3 << 20)
    profile = replace(profile, rows=(*profile.rows[:-1], row), largest=Largest(200, "out of memory", 512))
    record = json.loads(json.dumps(profile.as_record()))
    assert Profile.from_record(record) == profile
    assert record["rows"][-1]["grad_accum_steps"] == 3
    assert record["rows"][-1]["examples_a_second"] == pytest.approx(512 / row.seconds_a_step)
    assert record["optimizers"]["adam"]["knee"]["batch_size"] == 32


def test_the_largest_batch_says_what_bounds_it():
    assert Largest(2048, "out of memory", 4096).line().endswith(": 2,048; 4,096 ran out of memory")
    assert Largest(800, "training size").line().endswith(": at least 800, the training size")
    assert ": at least 64; a larger one was not tried" in Largest(64, "free memory").line()


def test_the_figure_marks_the_knee_on_both_axes():
    profile = profile_of(lambda size: 1e-3 * max(1, size / 32))
    figure = profile_figure(profile)
    seconds, examples = figure.data
    assert list(seconds.x) == list(examples.x) == SIZES
    assert list(np.multiply(seconds.y, examples.y)) == pytest.approx(SIZES, rel=1e-4)  # of five digits
    for trace in figure.data:
        marked = [size for size, symbol in zip(trace.x, trace.marker.symbol, strict=True) if "diamond" in symbol]
        assert marked == [32]
    assert {axis.type for axis in (*figure.select_xaxes(), *figure.select_yaxes())} == {"log"}


def test_the_page_shows_memory_where_it_is_known():
    profile = profile_of(lambda size: 1e-3)
    assert "peak MiB" not in profile_page(profile)
    known = replace(profile, rows=tuple(replace(row, peak_memory_bytes=5 << 30) for row in profile.rows))
    assert "peak MiB" in profile_page(known) and '<td class="n">5,120</td>' in profile_page(known)


def shared(**seconds):
    """Of each batch size the seconds a step by devices: {1: …, 2: …}."""
    one = profile_of(lambda size: 1.0, [2]).rows[0]
    rows = [
        replace(one, batch_size=int(size[1:]), devices=n, seconds_a_step=each, micro_batch_size=int(size[1:]) // n)
        for size, by_devices in seconds.items()
        for n, each in by_devices.items()
    ]
    return profile_of(lambda size: 1.0, [2], rows=tuple(sorted(rows, key=lambda row: (row.devices, row.batch_size))))


def test_efficiency_and_the_number_of_devices_that_a_batch_deserves():
    profile = shared(
        b8={1: 1.0, 2: 0.9, 4: 0.8}, b16={1: 2.0, 2: 1.2, 4: 1.0}, b32={1: 4.0, 2: 2.0, 4: 1.0}, b2={1: 1.0}
    )
    assert profile.devices == (1, 2, 4)
    found = {(each.batch_size, each.devices): each for each in profile.sharings("adam")}
    assert set(found) == {(size, n) for size in (8, 16, 32) for n in (1, 2, 4)}
    assert found[16, 2].speed_up == pytest.approx(5 / 3) and found[16, 2].efficiency == pytest.approx(5 / 6)
    # Speed-up² / devices of 16: 1, 1.39, 1; of 32: 1, 2, 4; of 8: 1, .62, .39.
    assert {size: n for (size, n), each in found.items() if each.deserved} == {8: 1, 16: 2, 32: 4}
    assert [profile.devices_deserved(size, "adam") for size in (2, 8, 16, 32)] == [1, 1, 2, 4]
    assert profile.sharing_lines("adam") == [
        "batch sizes that deserve one device: 8",
        "batch sizes that deserve 2 devices: 16 (efficiency 83%)",
        "batch sizes that deserve 4 devices: 32 (efficiency 100%)",
    ]
    record = json.loads(json.dumps(profile.as_record()))
    assert record["sharing"][1] == {
        "optimizer": "adam", "batch_size": 8, "devices": 2, "seconds_a_step": 0.9, "speed_up": pytest.approx(1 / 0.9),
        "efficiency": pytest.approx(1 / 1.8), "deserved": False,
    }  # fmt: skip
    assert Profile.from_record(record) == profile


def test_sharing_is_drawn_where_it_was_measured():
    profile = shared(b8={1: 1.0, 2: 0.9}, b32={1: 4.0, 2: 2.0})
    figure = sharing_figure(profile)
    assert list(figure.data[2].y) == [0.9, 2.0] and list(figure.data[3].y) == pytest.approx([0.556, 1], abs=1e-3)
    assert list(figure.data[2].marker.symbol) == ["circle-open", "circle"]
    assert "deserves" in profile_page(profile)
    alone = profile_of(lambda size: 1.0)
    assert sharing_figure(alone) is None and alone.devices_deserved(8, "adam") is None
    assert "sharing" not in alone.as_record()
