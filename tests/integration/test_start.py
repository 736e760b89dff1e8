"""Configurations that are tried first: once each, whatever happens to workers."""

import pytest
from batchlaw import Study
from batchlaw.recipe.space import point_of, suggest
from batchlaw.results.records import records_of
from batchlaw.results.status import status_of
from batchlaw.storage import register
from batchlaw.storage.attributes import RETRY_OF
from batchlaw.workers.recovery import reap, retry
from batchlaw.workers.slot_trial import SlotTrial

from tests.conftest import tiny_spec
from tests.integration.test_recovery import outcomes, states
from tests.integration.test_worker import own_spec, work

POINTS = [{"base_lr": 0.5, "batch_size": 16}, {"base_lr": 0.02, "optimizer": "adam", "momentum": 0.9}]


def started(stored):
    """How often each point ended with a result, and the numbers of these trials."""
    ended = [record for record in records_of(stored) if record.outcome in ("complete", "pruned")]
    points = [point_of(record.params, stored.spec) for record in ended]
    return [
        [record.number for record, point in zip(ended, points, strict=True) if point_has(point, given)]
        for given in POINTS
    ]


def point_has(point, given):
    return all(point.value_of(name) == value for name, value in given.items())


def test_they_are_the_first_trials_of_the_budget(storage):
    stored = work(storage, tiny_spec(search={"start": POINTS}))
    assert started(stored) == [[0], [1]]
    assert len(records_of(stored)) == stored.slots.counts().done == 6
    work(storage, stored.spec)  # opened, not registered again
    assert len(records_of(stored)) == 6


def test_they_wait_in_the_status_of_a_new_study(sqlite_storage):
    stored = register(sqlite_storage, tiny_spec(search={"start": POINTS}), trials=None, version="test")
    status = status_of(stored)
    assert (status.slots.total, status.slots.open, status.outcomes) == (6, 6, {"waiting": 2})


@pytest.mark.parametrize("stage", ["asked", "named", "drew"])
def test_a_worker_s_death_does_not_lose_one(sqlite_storage, stage):
    stored = register(sqlite_storage, tiny_spec(search={"start": POINTS}), trials=None, version="test")
    for _ in range(3):  # both, and a repeat
        lease, trial = stored.slots.lease(), stored.study.ask()
        if stage != "asked":
            stored.slots.started(lease, trial._trial_id)
        if stage == "drew":
            trial.suggest_float("base_lr", 0.01, 1.0, log=True)
        stored.slots.lease_seconds = -1.0  # it is gone
        stored.slots.renew(lease)
        stored.slots.lease_seconds = 120.0
        assert reap(stored) == 1 and states(stored) == (6, 0, 0)
    work(sqlite_storage, stored.spec)
    assert [len(numbers) for numbers in started(stored)] == [1, 1]
    assert outcomes(stored).count("lost") == 3 and states(stored) == (0, 0, 6)


def test_one_whose_slot_goes_to_another_worker_meanwhile_waits_again(sqlite_storage, monkeypatch):
    stored = register(sqlite_storage, tiny_spec(search={"start": POINTS}), trials=None, version="test")
    lease = stored.slots.lease()
    monkeypatch.setattr(stored.slots, "started", lambda lease, trial_id: False)
    assert SlotTrial.ask(stored, 0, lease) is None
    assert outcomes(stored) == ["waiting", "waiting"]


def test_one_that_fails_is_retried_like_any_other_trial(sqlite_storage):
    def train(trial):
        if trial.config.base_lr == POINTS[0]["base_lr"]:
            raise RuntimeError("no such luck")
        return {"validation_loss": trial.config.base_lr}

    stored = work(sqlite_storage, own_spec(start=POINTS, max_retries=1, trials=4), train)
    failed = [record for record in records_of(stored) if record.outcome == "failed"]
    assert [record.params["base_lr"] for record in failed] == [0.5] * 2
    assert states(stored) == (0, 0, 4)
    assert retry(stored) == 1
    waiting = stored.study.get_trials()[-1]
    assert waiting.user_attrs[RETRY_OF] == failed[-1].number
    work(sqlite_storage, stored.spec, lambda trial: {"validation_loss": 1.0})
    assert started(stored)[0] == [waiting.number] and states(stored) == (0, 0, 4)


@pytest.mark.parametrize("when", ["before the count", "after it", "no other"])
def test_a_repeat_that_is_left_to_others_is_run_by_them_or_here(storage, monkeypatch, when):
    stored = register(storage, own_spec(trials=2 if when != "no other" else 1), trials=None, version="test")
    first = SlotTrial.ask(stored, 0, stored.slots.lease())
    suggest(first.trial, stored.spec)
    first.fail("once", {}, attempts=0)
    lease, counts, others = stored.slots.lease(), stored.slots.counts, []

    def another_worker_asks():
        if when != "no other" and not others:
            others.append(SlotTrial.ask(stored, 0, stored.slots.lease()))

    def counted():
        found = counts()
        another_worker_asks()
        return found if when == "after it" else counts()

    monkeypatch.setattr(stored.slots, "counts", counted)
    mine = SlotTrial.ask(stored, 0, lease, postponed={0})
    assert RETRY_OF in (others or [mine])[0].trial.user_attrs
    assert outcomes(stored) == ["failed", *["running"] * (len(others) + 1)]


def test_one_that_waits_when_the_race_begins_is_no_contender(sqlite_storage):
    spec = own_spec(trials=40, start=POINTS[:1])
    stored = register(sqlite_storage, spec, trials=None, version="test")
    elsewhere = SlotTrial.ask(stored, 0, stored.slots.lease())

    def train(trial):
        if trial.number == 35:
            elsewhere.hand_back()
        return {"validation_loss": trial.config.base_lr + trial.seed % 1000 / 1e6}

    work(sqlite_storage, spec, train)
    records = records_of(stored)
    assert records[34].confirms and records[39].confirms and records[0].confirms is None
    assert started(stored)[0] == [0] and states(stored) == (0, 0, 40)


def test_a_loop_of_one_s_own_is_given_them_first(tmp_path):
    study = Study.create(
        name="own", storage=f"sqlite:///{tmp_path}/own.db", metric="loss", direction="minimize", trials=3,
        space={"batch_size": [16, 32], "base_lr": (1e-3, 1.0)}, train_size=64, epochs=1,
        start=[{"base_lr": 0.25, "batch_size": 32}],
    )  # fmt: skip
    trial = study.ask()
    assert (trial.config.base_lr, trial.config.batch_size) == (0.25, 32)
    study.tell(trial, {"loss": 0.1})
