"""Profiles measured: the real step, by a clock that only steps move where a time is looked at."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from batchlaw.errors import WorkFailed
from batchlaw.laws.studies import law_of_study
from batchlaw.measure import profiler as profiling
from batchlaw.measure.profiler import STRETCHES, batch_sizes_of, profile_of
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.step_time import Largest, Profile
from batchlaw.storage import load, note_profile, profiles_of, register
from batchlaw.train import memory
from batchlaw.train.parallel_runs import ParallelRuns

from tests.conftest import tiny_spec

HERE = Runtime(torch.device("cpu"), Path("unused"))


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(memory, "_LARGEST", {})


def profiled(spec=None, **options) -> Profile:
    return profile_of(spec or tiny_spec(), HERE, **{"seconds": 0.01} | options)


@pytest.fixture
def clock(monkeypatch):
    """Steps take what `cost(batch_size, now, first)` says, and nothing else takes time."""
    now, backward = [0.0], ParallelRuns._backward
    fresh: set[int] = set()

    def install(cost):
        def timed(stack, batch, share):
            first = id(stack) not in fresh
            fresh.add(id(stack))
            now[0] += cost(len(batch[1]), now[0], first)
            return backward(stack, batch, share)

        built = ParallelRuns.__init__
        monkeypatch.setattr(
            ParallelRuns, "__init__", lambda stack, *args: (fresh.discard(id(stack)), built(stack, *args))[1]
        )
        monkeypatch.setattr(ParallelRuns, "_backward", timed)
        monkeypatch.setattr(profiling, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    return install


@pytest.fixture
def room_for(monkeypatch):
    """An accelerator's error where more examples are computed at once; it cannot be had without one."""
    backward = ParallelRuns._backward

    def install(examples):
        def limited(stack, batch, share):
            if len(batch[1]) > examples:
                raise torch.OutOfMemoryError("out of memory")
            return backward(stack, batch, share)

        monkeypatch.setattr(ParallelRuns, "_backward", limited)

    return install


@pytest.mark.parametrize(
    ("dimension", "sizes"),
    [
        ({"low": 8, "high": 64, "log2": True}, [8, 16, 32, 64]),
        ({"low": 7, "high": 33}, [8, 16, 32]),
        ({"low": 3, "high": 64, "log": True}, [4, 8, 16, 32, 64]),
        ({"low": 5, "high": 7}, [5, 7]),
        ([48, 10, 33], [10, 33, 48]),
        (20, [20]),
    ],
    ids=str,
)
def test_the_batch_sizes_are_the_levels_of_the_space(dimension, sizes):
    assert batch_sizes_of(tiny_spec(space={"batch_size": None} | {"batch_size": dimension}).space) == sizes


def test_a_profile_has_a_row_for_each_optimizer_and_batch_size():
    profile = profiled()
    measured = [(row.optimizer, row.batch_size) for row in profile.rows]
    assert measured == [(family, size) for family in ("momentum", "adam") for size in (8, 16, 32, 64)]
    for row in profile.rows:
        assert row.seconds_a_step > 0 <= row.iqr_seconds
        assert (row.micro_batch_size, row.grad_accum_steps) == (row.batch_size, 1)
        assert row.peak_memory_bytes is None
    assert profile.largest == Largest(64, "training size")
    assert (profile.study, profile.threads, profile.replicates) == ("tiny", torch.get_num_threads(), 1)
    assert profile.device.startswith("cpu (") and profile.versions["torch"] == torch.__version__


def test_families_of_ones_own_choice_and_every_stretch_told():
    told = []
    profile = profiled(families=("adam",), tick=lambda done, total: told.append((done, total)))
    assert profile.optimizers == ("adam",)
    total = 4 * (STRETCHES + 1)
    assert told == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"space": {"warmup": "untuned"}},
        {"budget": {"lr_time": 1.0, "min_steps": 2, "max_steps": 4}},
        {"space": {"decay": ["batch-growth", "cosine"], "scaling_rule": ["linear", "sqrt"], "warmup_fraction": 0.2}},
        {"space": {"beta2_half_life_examples": 1000.0, "weight_decay": [0.0, 0.1]}},
    ],
    ids=str,
)
def test_the_budget_and_the_schedule_of_the_study_have_no_part_in_it(changes):
    assert len(profiled(tiny_spec(**changes), families=("adam",)).rows) == 4


def test_a_row_is_the_median_time_of_a_step_after_its_warm_up(clock):
    clock(lambda size, now, first: 1.0 if first else 1e-3 + 1e-5 * size)
    profile = profiled(seconds=0.5)
    for row in profile.rows:
        assert row.seconds_a_step == pytest.approx(1e-3 + 1e-5 * row.batch_size, rel=1e-6)
        assert row.iqr_seconds == pytest.approx(0, abs=1e-9)


def test_a_machine_that_slows_down_does_not_make_a_trend(clock):
    clock(lambda size, now, first: 1e-3 * (1 + now))  # e-fold in a thousand steps, whatever the batch size
    rows = profiled(seconds=0.05, families=("adam",)).rows
    x, y = np.log2([[row.batch_size, row.seconds_a_step] for row in rows]).T
    drift = [row.iqr_seconds / row.seconds_a_step for row in rows]
    assert min(drift) > 0.03  # it did slow down
    assert abs(np.polyfit(x, y, 1)[0]) < 0.2 * np.log2(1 + min(drift))


def test_a_batch_that_does_not_fit_is_computed_in_parts(room_for):
    room_for(20)
    profile = profiled()
    parts = {8: (8, 1), 16: (16, 1), 32: (16, 2), 64: (16, 4)}
    for row in profile.rows:
        assert (row.micro_batch_size, row.grad_accum_steps) == parts[row.batch_size]
    assert profile.largest == Largest(16, "out of memory", 32)


def test_the_largest_batch_is_looked_for_beyond_the_space(room_for):
    spec = tiny_spec(space={"batch_size": [8, 10]})
    assert profiled(spec).largest == Largest(64, "training size")
    room_for(40)
    assert profiled(spec).largest == Largest(40, "out of memory", 64)
    room_for(30)
    assert profiled(spec).largest == Largest(20, "out of memory", 40)


def test_the_limit_of_the_study_is_none_of_the_device():
    profile = profiled(tiny_spec(task={"micro_batch_size": 16}))
    assert [row.grad_accum_steps for row in profile.rows[:4]] == [1, 1, 2, 4]
    assert profile.largest == Largest(64, "training size")


def test_no_room_for_one_example_is_one_line(room_for):
    room_for(0)
    with pytest.raises(WorkFailed, match="mlp on cpu: mlp does not fit cpu with one example at a time"):
        profiled()


def test_a_cpu_is_not_filled_to_the_brim(monkeypatch):
    spec = tiny_spec(space={"batch_size": [8, 16]})
    monkeypatch.setattr(profiling, "_free_bytes", lambda: memory.peak_bytes(HERE.device) - 1)
    assert profiled(spec).largest == Largest(16, "free memory")


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs Linux's /proc/meminfo as the oracle")
def test_free_memory_is_at_most_what_the_system_says():
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kibibytes = {name.rstrip(":"): int(value) for name, value, *_ in lines}
    assert 0 < profiling._free_bytes() < kibibytes["MemAvailable"] * 1024 * 1.5


def test_a_profile_is_kept_with_its_study_one_a_device(storage):
    stored = register(storage, tiny_spec(), trials=None, version="1")
    assert profiles_of(stored) == []
    first, second = profiled().as_record(), profiled(families=("adam",)).as_record()
    elsewhere = second | {"device": "another"}
    for record in (first, elsewhere, second):
        note_profile(stored, record)
    kept = profiles_of(load(storage, "tiny"))
    assert kept == [json.loads(json.dumps(record)) for record in (elsewhere, second)]
    assert Profile.from_record(kept[1]).as_record() == second
    rows = Profile.from_record(kept[1]).rows
    assert all(a.batch_size < b.batch_size for a, b in pairwise(rows))


@pytest.mark.slow
def test_two_devices_share_every_batch():
    spec = tiny_spec(space={"batch_size": [5, 16, 64]})
    told = []
    profile = profiled(spec, families=("adam",), devices=[2], tick=lambda done, total: told.append((done, total)))
    assert [(row.devices, row.batch_size) for row in profile.rows] == [(1, 5), (1, 16), (1, 64), (2, 16), (2, 64)]
    assert [row.micro_batch_size for row in profile.rows] == [5, 16, 64, 8, 32]
    total = 5 * (STRETCHES + 1)
    assert told == [(done, total) for done in range(1, total + 1)]
    assert {each.batch_size for each in profile.sharings("adam")} == {16, 64}


def test_a_law_says_how_many_devices_a_batch_size_deserves(storage):
    stored = register(storage, tiny_spec(), trials=None, version="1")
    assert "sharing" not in law_of_study(stored).as_dict()
    profile = profiled(families=("adam",))
    shared = tuple(replace(row, devices=2, seconds_a_step=row.seconds_a_step / 1.8) for row in profile.rows[1:])
    note_profile(stored, replace(profile, rows=profile.rows + shared).as_record())
    (law,) = (part for part in law_of_study(stored).strata if part.stratum == {"optimizer": "adam"})
    line = "batch sizes that deserve 2 devices: 16, 32, 64 (efficiency 90%)"
    assert line in law.lines() and line in repr(law)
    assert [each["deserved"] for each in law.as_dict()["sharing"]] == [False, True] * 3
