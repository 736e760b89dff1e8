"""Signals end training at once, and never a write."""

import contextlib
import os
import signal
import threading
import time

import pytest
from batchlaw.errors import Interrupted, ObjectiveError, TimeLimit
from batchlaw.interrupts import STOPPING, Interrupts


@pytest.fixture
def interrupts():
    numbers = (*STOPPING, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    installed = Interrupts()
    installed.install()
    yield installed
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_training_where_it_stands(interrupts, number):
    with pytest.raises(Interrupted), interrupts.armed(None):
        send(number)
        time.sleep(60)
        pytest.fail("training went on")
    assert interrupts.stop_requested


def test_a_signal_outside_training_is_kept_for_the_loop(interrupts):
    send(signal.SIGTERM)
    assert interrupts.stop_requested
    with pytest.raises(Interrupted), interrupts.armed(None):
        pytest.fail("no trial starts after a stop was requested")


def test_a_stop_from_another_thread_ends_training_and_is_not_passed_on():
    before, interrupts = signal.getsignal(signal.SIGALRM), Interrupts()
    with interrupts.installed():
        with pytest.raises(Interrupted), interrupts.armed(None):
            threading.Thread(target=interrupts.stop, args=("now",)).start()
            time.sleep(5)
            pytest.fail("training went on")
        assert interrupts.stop_requested and interrupts.stopped_by is None
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_stop_that_lets_training_finish_starts_no_other():
    interrupts = Interrupts()
    with interrupts.installed():
        with pytest.raises(TimeLimit), interrupts.armed(0.05):
            interrupts.stop("finish")
            time.sleep(5)
        with pytest.raises(Interrupted), interrupts.armed(None):
            pytest.fail("no trial starts after a stop was requested")


def test_outside_the_main_thread_a_stop_is_looked_at_after_a_write():
    interrupts = Interrupts()  # nobody installed it
    with pytest.raises(Interrupted), interrupts.armed(None):
        interrupts.stop("now")
        with interrupts.shielded():
            pass
        pytest.fail("training went on")


def test_a_write_within_training_is_finished_first(interrupts):
    written = []
    with pytest.raises(Interrupted), interrupts.armed(None):
        with interrupts.shielded():
            send(signal.SIGTERM)
            written.append("whole")
        pytest.fail("training went on")
    assert written == ["whole"]


def test_training_may_be_interrupted_again_after_a_write(interrupts):
    with pytest.raises(Interrupted), interrupts.armed(None):
        with interrupts.shielded():
            pass
        send(signal.SIGTERM)
        time.sleep(60)


def test_the_time_limit_ends_one_trial_and_not_the_next(interrupts):
    with pytest.raises(TimeLimit), interrupts.armed(0.05):
        time.sleep(60)
    assert not interrupts.stop_requested
    with interrupts.armed(3600):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_user_code_that_catches_exceptions_does_not_swallow_a_stop(interrupts):
    with pytest.raises(Interrupted), interrupts.armed(None):
        try:
            send(signal.SIGTERM)
            time.sleep(60)
        except Exception:
            pytest.fail("swallowed")


def test_a_write_that_fails_leaves_training_interruptible(interrupts):
    with pytest.raises(Interrupted), interrupts.armed(None):
        with contextlib.suppress(OSError), interrupts.shielded():
            raise OSError("the disk is full")
        send(signal.SIGTERM)
        time.sleep(60)
        pytest.fail("training went on")


def test_a_stop_that_arrives_during_a_write_that_fails_is_not_lost(interrupts):
    with pytest.raises(Interrupted) as stopped, interrupts.armed(None):
        with contextlib.suppress(OSError), interrupts.shielded():
            send(signal.SIGTERM)
            raise OSError("the disk is full")
        pytest.fail("training went on")
    assert isinstance(stopped.value.__context__, OSError)


def test_a_time_limit_that_is_reached_during_a_write_that_fails_is_not_lost(interrupts):
    with pytest.raises(TimeLimit), interrupts.armed(0.01):
        with contextlib.suppress(OSError), interrupts.shielded():
            time.sleep(0.1)
            raise OSError("the disk is full")
        pytest.fail("training went on")


def test_an_alarm_that_somebody_else_set_is_no_time_limit(interrupts):
    with pytest.raises(ObjectiveError, match="set an alarm"), interrupts.armed(3600):
        send(signal.SIGALRM)
        pytest.fail("training went on")
    send(signal.SIGALRM)  # between trials it does nothing


def test_a_write_outside_of_training_raises_its_own_error(interrupts):
    with pytest.raises(OSError, match="full"), interrupts.shielded():
        send(signal.SIGTERM)
        raise OSError("the disk is full")
    assert interrupts.stop_requested


def test_a_write_within_a_write_is_one_write(interrupts):
    written = []
    with pytest.raises(Interrupted), interrupts.armed(None):
        with interrupts.shielded():
            with interrupts.shielded():
                send(signal.SIGTERM)
            written.append("whole")
        pytest.fail("training went on")
    assert written == ["whole"]
