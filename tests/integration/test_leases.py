"""What a silent error in the leases would cost: another study's slots, a live worker's slot, a slot that is lost."""

import subprocess
import sys
import time

import pytest
from batchlaw.errors import WorkFailed
from batchlaw.storage import Slots, open_storage
from batchlaw.storage.tables import slots as table
from sqlalchemy import event, select, update

from tests.conftest import EVERY_DATABASE
from tests.waiting import wait_for

DATABASES = EVERY_DATABASE


@pytest.fixture
def engine(storage_url):
    storage = open_storage(storage_url, create=True)
    yield storage.engine
    storage.engine.dispose()


def slots_of(engine, study_id, trials):
    slots = Slots(engine, study_id)
    with engine.begin() as connection:
        slots.create(connection, trials)
    return slots


def states(slots):
    counts = slots.counts()
    return counts.open, counts.held, counts.done


def row_of(engine, lease):
    with engine.connect() as connection:
        return connection.execute(select(table).where(table.c.study_id == 1, table.c.slot == lease.slot)).one()


def change(engine, lease, **values):
    with engine.begin() as connection:
        connection.execute(update(table).where(table.c.holder == lease.holder).values(**values))


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_study_changes_only_its_own_slots(engine):
    slots, other = slots_of(engine, 1, 3), slots_of(engine, 2, 5)
    slots.resize(1)
    assert (states(slots), states(other)) == ((1, 0, 0), (5, 0, 0))
    first, elsewhere = slots.lease(), other.lease()
    assert slots.n_open(range(5)) == 0
    assert slots.lease_more(first, range(5), 5) == []
    assert other.started(elsewhere, 9) and slots.running() == (set(), True)
    assert slots.release(first, attempts=0) and slots.lease() is not None
    assert states(other) == (4, 1, 0)
    assert other.finish(elsewhere) and states(other) == (4, 0, 1)


def test_a_smaller_budget_keeps_the_lowest_open_slots_and_all_that_are_held(engine):
    slots = slots_of(engine, 1, 4)
    leases = [slots.lease() for _ in range(4)]
    assert all(slots.release(lease, attempts=1) for lease in leases[:3])
    slots.resize(2)
    assert states(slots) == (1, 1, 0)
    assert slots.lease().slot == 0


def test_a_budget_of_no_trials_can_grow(engine):
    slots = slots_of(engine, 1, 0)
    slots.resize(2)
    assert [slots.lease().slot, slots.lease().slot] == [0, 1]


def test_one_more_slot_is_the_lowest_whatever_was_written_last(engine):
    slots = slots_of(engine, 1, 4)
    held = [slots.lease() for _ in range(4)]
    for lease in (held[3], held[1], held[2]):  # the rows of a server move when they are written
        assert slots.release(lease, attempts=1)
    assert [lease.slot for lease in slots.lease_more(held[0], range(4), 1)] == [1]
    assert [lease.slot for lease in slots.lease_more(held[0], range(4), 2)] == [1, 2, 3]


def test_a_process_that_is_gone_here_says_nothing_about_another_machine(engine):
    slots = slots_of(engine, 1, 1)
    lease = slots.lease()
    change(engine, lease, pid=dead_pid(), process_space="another machine")
    assert slots.lease() is None and slots.lease_expired() is None
    assert slots.running() == (set(), True) and slots.holds(lease)


def test_the_same_process_number_on_another_machine_is_another_process(engine):
    slots, gone = slots_of(engine, 1, 2), dead_pid()
    there, here = slots.lease(), slots.lease()
    change(engine, here, pid=gone)
    change(engine, there, pid=gone, process_space="another machine")
    assert slots.lease().slot == here.slot and slots.lease() is None


def test_a_finished_slot_is_not_leased_again_when_its_lease_runs_out_or_its_process_goes(engine):
    slots = slots_of(engine, 1, 2)
    lease, released = slots.lease(), slots.lease()
    slots.lease_seconds = -1.0
    assert slots.renew(lease) and slots.renew(released)
    change(engine, lease, pid=dead_pid())
    assert slots.finish(lease) and slots.release(released, attempts=1)
    assert slots.lease_expired() is None
    assert slots.lease().slot == released.slot and states(slots) == (0, 1, 1)


def test_a_held_slot_runs_its_trial_and_an_abandoned_one_can_be_leased_before_the_open_ones(engine):
    slots = slots_of(engine, 1, 2)
    lease = slots.lease()
    assert slots.running() == (set(), True)
    assert slots.started(lease, 77) and slots.running() == ({77}, False)
    assert slots.lease_expired() is None
    change(engine, lease, pid=dead_pid())
    found = slots.lease_expired()
    assert (found.slot, found.abandoned_trial_id, found.attempts) == (0, 77, 1)
    assert not slots.holds(lease) and not slots.started(lease, 78)
    change(engine, found, trial_id=None, pid=dead_pid())
    assert slots.running() == (set(), False)  # nobody is about to start it


def test_a_trial_that_is_named_while_running_slots_are_read_is_never_taken_for_an_orphan(engine):
    slots = slots_of(engine, 1, 1)
    lease, named = slots.lease(), []

    def name_it(connection, statement, *_):
        if "trial_id" in str(statement) and not named:
            named.append(77)
            assert slots.started(lease, 77)

    event.listen(engine, "after_execute", name_it)
    assert slots.running() in [(set(), True), ({77}, False)]
    assert slots.running() == ({77}, False)


def test_a_released_slot_has_no_holder_and_no_trial(engine):
    slots = slots_of(engine, 1, 1)
    lease = slots.lease()
    assert slots.started(lease, 77) and slots.release(lease, attempts=0)
    assert not slots.finish(lease) and not slots.renew(lease)
    again = slots.lease()
    assert again.abandoned_trial_id is None and slots.running() == (set(), True)
    assert slots.finish(again) and not slots.finish(again)


def test_a_renewed_lease_runs_out_as_well(engine):
    slots = slots_of(engine, 1, 1)
    lease = slots.lease()
    slots.lease_seconds = 0.05
    assert slots.renew(lease)
    assert wait_for(slots.lease, seconds=30).attempts == 1


def test_a_lease_is_renewed_at_half_of_its_time_and_not_before(engine):
    slots = slots_of(engine, 1, 1)
    before = time.monotonic()
    lease = slots.lease()
    until = row_of(engine, lease).lease_until
    assert slots.holds(lease) and row_of(engine, lease).lease_until == until
    slots.lease_seconds = time.monotonic() - before  # as if it were nearly over
    assert slots.holds(lease) and row_of(engine, lease).lease_until < until
    slots.lease_seconds = 120.0
    until = row_of(engine, lease).lease_until
    assert slots.holds(lease) and row_of(engine, lease).lease_until == until  # the renewal counts
    assert Slots(engine, 1).holds(lease) and row_of(engine, lease).lease_until > until


@pytest.mark.timeout(60)  # the default is five minutes
def test_a_renewal_gives_up_after_its_own_seconds(tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    storage = open_storage(f"sqlite:///{folder / 'study.db'}", create=True)
    slots = slots_of(storage.engine, 1, 1)
    lease = slots.lease()
    storage.engine.dispose()
    folder.rename(tmp_path / "away")
    with pytest.raises(WorkFailed, match="unable to open"):
        slots.renew(lease, seconds=0.1)
