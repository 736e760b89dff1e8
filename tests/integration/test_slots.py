"""The slots of a study, on every database."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from batchlaw.storage import Slots, open_storage

from tests.conftest import EVERY_DATABASE
from tests.waiting import DEADLINE

DATABASES = EVERY_DATABASE

LEASES_ALL = """
import sys
from batchlaw.storage import Slots, open_storage
slots = Slots(open_storage(sys.argv[1]).engine, 1)
print("ready", flush=True)
sys.stdin.readline()  # all at once
while lease := slots.lease():
    print(lease.slot)
    assert slots.finish(lease)
"""


@pytest.fixture
def engine(storage_url):
    storage = open_storage(storage_url, create=True)
    yield storage.engine
    storage.engine.dispose()


@pytest.fixture
def slots(engine):
    slots = Slots(engine, study_id=1)
    create(slots, 3)
    return slots


def create(slots, trials):
    with slots._engine.begin() as connection:
        slots.create(connection, trials)


def states(slots):
    counts = slots.counts()
    return counts.open, counts.held, counts.done


def expire(slots, lease):
    """Renew a lease as if it had been for a time that is over."""
    slots.lease_seconds = -1.0
    assert slots.renew(lease)


def test_each_slot_is_leased_once(slots):
    leases = [slots.lease() for _ in range(4)]
    assert [lease.slot for lease in leases[:3]] == [0, 1, 2]
    assert leases[3] is None
    assert states(slots) == (0, 3, 0)
    assert all(slots.finish(lease) for lease in leases[:3])
    assert states(slots) == (0, 0, 3)
    assert slots.lease() is None


def test_an_open_ended_study_makes_slots_until_it_is_given_a_number(slots):
    slots.resize(None)
    assert slots.counts().open_ended and states(slots) == (3, 0, 0)
    leases = [slots.lease() for _ in range(5)]
    assert [(lease.slot, lease.attempts) for lease in leases] == [(n, 1) for n in range(5)]
    assert slots.finish(leases[4]) and slots.release(leases[3], attempts=1)
    assert slots.lease().slot == 3  # before a new one
    expire(slots, leases[2])
    slots.lease_seconds = 120.0
    assert slots.lease().slot == 2 and not slots.counts().ended
    slots.resize(5, grow=False)
    assert slots.lease() is None and states(slots) == (0, 4, 1)
    create(slots, None)
    assert states(slots) == (0, 0, 0) and slots.counts().open_ended
    assert slots.lease().slot == 0


def test_of_an_open_ended_study_no_slot_goes_to_two_holders(storage_url, engine):
    create(Slots(engine, study_id=1), None)

    def take(_):
        storage = open_storage(storage_url)
        slots = Slots(storage.engine, 1)
        mine = [slots.lease().slot for _ in range(30)]
        storage.engine.dispose()
        return mine

    with ThreadPoolExecutor(2) as pool:
        taken = [slot for mine in pool.map(take, range(2)) for slot in mine]
    assert sorted(taken) == list(range(60))


def test_further_open_slots_are_leased_to_the_same_holder(engine):
    slots = Slots(engine, study_id=1)
    create(slots, 8)
    first = slots.lease()
    assert slots.n_open([1, 3, 5, 7]) == 4
    more = slots.lease_more(first, [1, 3, 5, 7], 3)
    assert [lease.slot for lease in more] == [1, 3, 5]
    assert {lease.holder for lease in more} == {first.holder} and {lease.attempts for lease in more} == {1}
    other = slots.lease()
    assert other.slot == 2
    assert slots.lease_more(other, [1, 3, 5], 3) == [] and slots.n_open([1, 3, 5, 7]) == 1
    assert [lease.slot for lease in slots.lease_more(other, [0, 4, 5, 6], 3)] == [4, 6]
    assert slots.lease_more(other, [], 3) == slots.lease_more(other, [7], 0) == []
    assert all(slots.renew(lease) and slots.started(lease, 70 + lease.slot) for lease in more)
    assert slots.finish(more[0]) and not slots.finish(more[0])  # independent of the other leases
    assert slots.release(more[1], attempts=1)
    assert states(slots) == (2, 5, 1)
    again = slots.lease()
    assert (again.slot, again.attempts) == (3, 2)


def test_no_slot_goes_to_two_holders(storage_url, engine):
    """Two workers lease from the same slots at the same time."""
    create(Slots(engine, study_id=1), 60)

    def take(_):
        storage = open_storage(storage_url)
        slots, mine = Slots(storage.engine, 1), []
        while lease := slots.lease():
            mine += [lease, *slots.lease_more(lease, range(60), 4)]
        storage.engine.dispose()
        return mine

    with ThreadPoolExecutor(2) as pool:
        taken = [lease.slot for leases in pool.map(take, range(2)) for lease in leases]
    assert sorted(taken) == list(range(60))


def test_a_released_slot_is_open_again_and_counts_the_attempt_on_request(slots):
    lease = slots.lease()
    assert lease.attempts == 1
    assert slots.release(lease, attempts=0)
    lease = slots.lease()
    assert (lease.slot, lease.attempts) == (0, 1)
    assert slots.release(lease, attempts=1)
    lease = slots.lease()
    assert (lease.slot, lease.attempts, lease.abandoned_trial_id) == (0, 2, None)


def test_after_a_lease_ran_out_another_worker_has_the_slot_and_the_first_cannot_change_it(engine, slots):
    slow = Slots(engine, 1)
    first = slow.lease()
    assert slow.started(first, trial_id=77)
    others = [slots.lease(), slots.lease()]
    assert slots.lease() is None  # the lease is still valid
    expire(slow, first)
    second = slots.lease()
    assert (second.slot, second.attempts, second.abandoned_trial_id) == (first.slot, 1, 77)
    assert not slow.renew(first)
    assert not slow.finish(first)
    assert not slow.release(first, attempts=0)
    assert slots.finish(second)
    assert all(slots.finish(lease) for lease in others)


def test_a_renewed_lease_holds(slots):
    leases = [slots.lease() for _ in range(3)]
    for lease in leases[:2]:
        expire(slots, lease)
    slots.lease_seconds = 120.0
    assert slots.renew(leases[0])
    assert slots.lease().slot == 1  # the one that was not renewed
    assert slots.lease() is None


def test_the_slot_of_a_dead_process_of_this_machine_is_free_at_once(storage_url, engine, slots):
    script = (
        "import sys; from batchlaw.storage import *; print(Slots(open_storage(sys.argv[1]).engine, 1).lease().slot)"
    )
    dead = subprocess.run([sys.executable, "-c", script, storage_url], capture_output=True, text=True, check=True)
    assert int(dead.stdout) == 0
    assert [slots.lease().slot for _ in range(3)] == [1, 2, 0]


def test_resizing_adds_and_removes_open_slots_only(slots):
    held = slots.lease()
    slots.resize(5)
    assert states(slots) == (4, 1, 0)
    slots.resize(2)
    assert states(slots) == (1, 1, 0)
    slots.resize(1)
    assert states(slots) == (0, 1, 0)
    assert slots.finish(held)
    slots.resize(1)
    assert states(slots) == (0, 0, 1)
    slots.resize(2)
    assert slots.lease().slot == 1


def test_studies_do_not_share_slots(engine, slots):
    other = Slots(engine, study_id=2)
    create(other, 1)
    assert other.lease().slot == 0
    assert other.lease() is None
    assert states(slots) == (3, 0, 0)


def test_a_reused_study_id_starts_with_open_slots(slots):
    slots.finish(slots.lease())
    create(slots, 2)
    assert states(slots) == (2, 0, 0)


def test_concurrent_processes_never_share_a_slot(popen, storage_url, engine):
    create(Slots(engine, 1), 60)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [popen([sys.executable, "-c", LEASES_ALL, storage_url], **pipes) for _ in range(4)]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 4
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    claimed = [[int(line) for line in racer.communicate(timeout=DEADLINE)[0].split()] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert sorted(slot for one in claimed for slot in one) == list(range(60))
    assert states(Slots(engine, 1)) == (0, 0, 60)


def test_threads_of_one_worker_may_use_its_slots(slots):
    with ThreadPoolExecutor(3) as pool:
        leases = list(pool.map(lambda _: slots.lease(), range(3)))
    assert sorted(lease.slot for lease in leases) == [0, 1, 2]
