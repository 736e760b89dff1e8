"""The measurement that decides whether replicates train stacked."""

import pytest

from search.schedule import schedule_of
from search.train import stacking
from search.train.data import load_parts
from search.train.stacking import stacking_pays
from tests.unit.train.conftest import CPU, NOWHERE, config_of, run


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch):
    monkeypatch.setattr(stacking, "_PAYS", {})


@pytest.fixture
def verdict(monkeypatch):
    """Measure for real, then answer these seconds a step in turn; the number of measurements is kept."""
    measure, measured = stacking.seconds_a_step, []

    def install(*seconds):
        def timed(lane, steps):
            assert measure(lane, steps) > 0
            measured.append(len(lane.seeds))
            return seconds[(len(measured) - 1) % len(seconds)]

        monkeypatch.setattr(stacking, "seconds_a_step", timed)
        return measured

    return install


def pays(config):
    return stacking_pays(config, config.task, load_parts(config.task, CPU, NOWHERE).train, schedule_of(config))


@pytest.mark.parametrize(("stacked", "single", "expected"), [(2.9, 1.0, True), (3.1, 1.0, False), (1.0, 1.0, True)])
def test_a_stack_pays_when_it_is_faster_than_its_members_in_turn(verdict, stacked, single, expected):
    measured = verdict(stacked, single)
    assert pays(config_of(seeds=(1, 2, 3), batch_size=2)) is expected
    assert measured == [3, 1]


def test_a_shape_of_work_is_measured_once_and_others_anew(verdict):
    measured = verdict(1.0, 1.0)
    base = {"seeds": (1, 2), "batch_size": 2}
    pays(config_of(**base))
    pays(config_of(**base | {"base_lr": 0.3, "seeds": (5, 6)}))
    assert len(measured) == 2
    for other in (
        {"batch_size": 1},
        {"optimizer": "adam"},
        {"seeds": (1, 2, 3)},
        {"task": {"model_options": {"widths": [9]}}},
    ):
        before = len(measured)
        pays(config_of(**base | other))
        assert len(measured) == before + 2


def test_a_run_too_short_to_time_trains_in_turn(verdict):
    measured = verdict(0.0, 1.0)
    assert not pays(config_of(seeds=(1, 2), budget={"steps": 23}, batch_size=2))
    assert measured == []
    assert pays(config_of(seeds=(1, 2), budget={"steps": 24}, batch_size=2))


@pytest.mark.parametrize("choice", [True, False])
@pytest.mark.parametrize("family", ["momentum", "adam"])
def test_measuring_leaves_no_trace_in_the_scores(verdict, choice, family):
    config = config_of(seeds=(1, 2), batch_size=2, optimizer=family)
    told = run(config, stacked=choice)
    measured = verdict(0.0 if choice else 9.0, 1.0)
    found = run(config)
    assert measured == [2, 1]
    assert (found.stacked, found.replicates) == (choice, told.replicates)


@pytest.mark.parametrize("changes", [{"seeds": (1,)}, {"seeds": (1, 2), "task": {"model": "cnn", "model_options": {}}}])
def test_nothing_is_measured_where_nothing_can_be_stacked(verdict, changes):
    measured = verdict(0.0, 1.0)
    assert not run(config_of(**changes), stacked=None).stacked
    assert not run(config_of(**changes), stacked=True).stacked
    assert measured == []
