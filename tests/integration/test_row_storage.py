"""The storage of studies: Optuna's test suite for storages, and the same trials as Optuna's own RDBStorage."""

import gc
import math
import warnings
from contextlib import suppress
from datetime import timedelta

import optuna
import pytest
import sqlalchemy
from batchlaw.errors import WorkFailed
from batchlaw.storage import Along, SlotCounts, Slots, batched_writes, open_storage
from batchlaw.storage.optuna_internals import study_storage
from batchlaw.storage.optuna_internals.needs import mismatch
from batchlaw.storage.optuna_internals.row_storage import OPTUNA_SCHEMA
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

from tests.conftest import EVERY_DATABASE

DATABASES = EVERY_DATABASE

batched = pytest.mark.skipif(mismatch("storage") is not None, reason="public calls write at once")
RATE = FloatDistribution(1e-5, 1.0, log=True)


# Not on MySQL: its times are whole seconds, and four of these tests fail there with Optuna's own storage as well.
@pytest.mark.parametrize(
    "storage_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)  # fmt: skip
class TestOptunaSuite(StorageTestCase):
    @pytest.fixture
    def storage(self, storage):
        """With the cache that a study uses."""
        yield study_storage(storage)
        with warnings.catch_warnings(action="ignore"):  # pickled copies of the storage stay open
            gc.collect()


@pytest.fixture
def plain(storage, storage_url):
    """The same database, opened by Optuna's own storage."""
    opened = RDBStorage(storage_url)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def study_id(storage):
    return storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "ours")


def trial_with_all_calls(storage, study_id):
    """A trial with every kind of call; returns its id and the results of the changes of state."""
    cached = study_storage(storage)
    trial_id = cached.create_new_trial(study_id)
    for name, value, distribution in (("b", 0.1, RATE), ("a", 1, CategoricalDistribution(["x", "y"]))):
        cached.set_trial_param(trial_id, name, value, distribution)
    for step, value in ((3, math.inf), (1, -math.inf), (2, math.nan), (4, 0.5)):
        cached.set_trial_intermediate_value(trial_id, step, value)
    cached.set_trial_intermediate_value(trial_id, 4, 0.25)  # a second time
    for attribute in ({"rate": [0.1, None, "λ"]}, {"rate": 2}):
        cached.set_trial_user_attr(trial_id, "config", attribute)
        cached.set_trial_system_attr(trial_id, "rung", attribute)
    answers = [cached.set_trial_state_values(trial_id, state) for state in (TrialState.RUNNING, TrialState.WAITING)]
    answers += [cached.set_trial_state_values(trial_id, TrialState.RUNNING)]
    answers += [cached.set_trial_state_values(trial_id, TrialState.COMPLETE, [-math.inf])]
    return trial_id, answers


def comparable(trial):
    """The parts of a trial that are the same in two databases."""
    facts = {name: getattr(trial, name) for name in ("state", "values", "params", "distributions", "user_attrs")}
    return facts | {
        "order": list(trial.params), "system": trial.system_attrs,
        "reports": {step: repr(value) for step, value in trial.intermediate_values.items()},
    }  # fmt: skip


def test_a_trial_is_stored_as_by_optuna(storage, plain, study_id):
    (ours, answers), (theirs, expected) = trial_with_all_calls(storage, study_id), trial_with_all_calls(plain, study_id)
    assert answers == expected == [False, True, True, True]
    read = {trial._trial_id: trial for trial in plain.get_all_trials(study_id)}
    assert comparable(read[ours]) == comparable(read[theirs])
    assert [read[ours].number, read[theirs].number] == [0, 1]
    assert timedelta(0) <= read[theirs].datetime_start - read[ours].datetime_complete < timedelta(minutes=1)


def test_a_trial_is_read_as_optuna_reads_it(storage, plain, study_id):
    trial_ids = [trial_with_all_calls(storage, study_id)[0] for _ in range(3)]
    waiting = storage.create_new_trial(study_id, optuna.trial.create_trial(state=TrialState.WAITING))
    for trial_id in (*trial_ids, waiting):
        ours, theirs = storage.get_trial(trial_id), plain.get_trial(trial_id)
        assert comparable(ours) == comparable(theirs)
        assert (ours.number, ours.datetime_start, ours.datetime_complete) == (
            theirs.number, theirs.datetime_start, theirs.datetime_complete,
        )  # fmt: skip
    for states in (None, (TrialState.WAITING,), (TrialState.FAIL,)):
        ours, theirs = (each.get_all_trials(study_id, states=states) for each in (storage, plain))
        assert [comparable(trial) for trial in ours] == [comparable(trial) for trial in theirs]


def test_new_and_unfinished_trials_are_read_as_by_optuna(storage, plain, study_id):
    ended, running, young = (storage.create_new_trial(study_id) for _ in range(3))
    storage.set_trial_state_values(ended, TrialState.COMPLETE, [1.0])
    other = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "other")
    storage.create_new_trial(other)
    for included, after in ((set(), -1), ({ended}, -1), ({running}, running), (set(), running), ({ended}, 10**6)):
        ours, theirs = (each._get_trials(study_id, None, included, after) for each in (storage, plain))
        assert [trial._trial_id for trial in ours] == [trial._trial_id for trial in theirs], (included, after)
    assert [trial._trial_id for trial in storage._get_trials(study_id, None, {ended}, running)] == [ended, young]


def test_nothing_is_added_to_a_trial_that_another_process_has_ended(storage, plain, study_id):
    trial_id = storage.create_new_trial(study_id)
    cached = study_storage(storage)
    cached.get_all_trials(study_id)
    cached.set_trial_param(trial_id, "rate", 0.1, RATE)
    plain.set_trial_state_values(trial_id, TrialState.FAIL)
    for late in (
        lambda: cached.set_trial_param(trial_id, "rate", 0.2, RATE),
        lambda: cached.set_trial_intermediate_value(trial_id, 1, 0.5),
        lambda: cached.set_trial_user_attr(trial_id, "key", 1),
        lambda: cached.set_trial_system_attr(trial_id, "key", 1),
        lambda: cached.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5]),
    ):
        with pytest.raises(UpdateFinishedTrialError):
            late()
    found = plain.get_trial(trial_id)
    assert found.state == TrialState.FAIL and found.params == {"rate": 0.1} and found.values is None
    assert not found.intermediate_values and not found.user_attrs and not found.system_attrs


def test_an_unknown_id_is_a_key_error(storage):
    for missing in (
        lambda: storage.get_trial(77),
        lambda: storage.create_new_trial(77),
        lambda: storage.set_trial_intermediate_value(77, 1, 0.5),
        lambda: storage.set_trial_user_attr(77, "key", 1),
        lambda: storage.set_trial_state_values(77, TrialState.COMPLETE, [0.5]),
    ):
        with pytest.raises(KeyError):
            missing()


def test_many_trials_are_read_like_few(storage, plain, study_id):
    study = optuna.load_study(study_name="ours", storage=storage)
    study.add_trials(
        optuna.trial.create_trial(value=float(n), params={"b": 0.1}, distributions={"b": RATE}, user_attrs={"n": n})
        for n in range(130)
    )
    study.ask()
    assert storage.get_all_trials(study_id) == plain.get_all_trials(study_id)
    few = storage._get_trials(study_id, None, set(), storage.get_trial_id_from_study_id_trial_number(study_id, 120))
    assert [trial.number for trial in few] == list(range(121, 131))


def test_an_unreachable_database_raises_optunas_error(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    trial_id = storage.create_new_trial(study_id)
    storage.engine.dispose()
    (tmp_path / "study.db").write_bytes(b"not a database" * 400)
    for file in ("study.db-wal", "study.db-shm"):
        (tmp_path / file).unlink(missing_ok=True)
    for call in (
        lambda: storage.get_trial(trial_id),
        lambda: storage.set_trial_intermediate_value(trial_id, 1, 0.5),
        lambda: storage.create_new_trial(study_id),
    ):
        with pytest.raises((optuna.exceptions.StorageInternalError, WorkFailed)):  # as the callers expect
            call()


def test_tables_of_this_optuna_are_opened_without_its_checks(storage, storage_url):
    assert storage.get_head_version() == storage.get_current_version() == OPTUNA_SCHEMA
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "ours")
    known = open_storage(storage_url)
    trial_id, _ = trial_with_all_calls(known, study_id)
    assert comparable(storage.get_trial(trial_id)) == comparable(known.get_trial(trial_id))
    assert known.get_current_version() == known.get_head_version() == OPTUNA_SCHEMA
    known.engine.dispose()


def running_trial(storage):
    """A running trial in a study whose distributions are known from an earlier trial."""
    study = optuna.load_study(study_name="ours", storage=storage)
    study.ask().suggest_float("rate", 1e-5, 1.0, log=True)
    return study.ask()


def suggest_report_and_set(trial):
    trial.suggest_float("rate", 1e-5, 1.0, log=True)
    for step in (1, 2, 3):
        trial.report(step / 10, step)
    trial.set_user_attr("config", {"rate": 1})


@batched
def test_batched_writes_are_stored_at_the_end(storage, plain, study_id):
    trial = running_trial(storage)
    with batched_writes(trial):
        suggest_report_and_set(trial)
        before = plain.get_trial(trial._trial_id)
    after = plain.get_trial(trial._trial_id)
    assert not before.params and not before.intermediate_values and not before.user_attrs
    assert after.params == trial.params and after.user_attrs == {"config": {"rate": 1}}
    assert after.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


@batched
def test_after_an_exception_no_batched_write_is_stored(storage, plain, study_id):
    trial = running_trial(storage)
    with pytest.raises(RuntimeError), batched_writes(trial):
        suggest_report_and_set(trial)
        raise RuntimeError
    assert not plain.get_trial(trial._trial_id).params
    trial.report(0.5, 7)  # outside of the context
    assert plain.get_trial(trial._trial_id).intermediate_values == {7: 0.5}


def test_an_existing_row_does_not_prevent_the_other_batched_writes(storage, plain, study_id):
    trial = running_trial(storage)
    plain.set_trial_intermediate_value(trial._trial_id, 2, 0.9)
    with batched_writes(trial):
        suggest_report_and_set(trial)
    after = plain.get_trial(trial._trial_id)
    assert after.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3} and after.params == trial.params


def test_batched_writes_add_nothing_to_an_ended_trial(storage, plain, study_id):
    trial = running_trial(storage)
    plain.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError), batched_writes(trial):
        suggest_report_and_set(trial)
    assert not plain.get_trial(trial._trial_id).params


def test_the_end_of_a_trial_is_stored_with_its_batched_writes(storage, plain, study_id):
    trial = running_trial(storage)
    with batched_writes(trial):
        suggest_report_and_set(trial)
        storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])
    after = plain.get_trial(trial._trial_id)
    assert after.state == TrialState.COMPLETE and after.values == [0.5] and after.datetime_complete is not None
    assert after.params == trial.params and after.user_attrs == {"config": {"rate": 1}}
    assert after.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


def test_batched_writes_do_not_end_a_trial_that_another_process_ended(storage, plain, study_id):
    trial = running_trial(storage)
    plain.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError), batched_writes(trial):
        suggest_report_and_set(trial)
        storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])
    after = plain.get_trial(trial._trial_id)
    assert after.state == TrialState.FAIL and after.values is None and not after.intermediate_values


@batched
def test_a_slot_is_done_with_the_end_of_its_trial_or_not_at_all(storage, plain, study_id):
    slots = Slots(storage.engine, study_id)
    with storage.engine.begin() as connection:
        slots.create(connection, 2)
    for ended_elsewhere in (False, True):
        lease, trial = slots.lease(), running_trial(storage)
        finishing = Along(slots.finishing(lease))
        if ended_elsewhere:
            plain.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        with suppress(UpdateFinishedTrialError), batched_writes(trial, along=finishing):
            storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])
        assert finishing.done is not ended_elsewhere
    assert slots.counts() == SlotCounts(open=0, held=1, done=1)


def test_an_existing_report_does_not_prevent_the_end_of_a_trial(storage, plain, study_id):
    trial = running_trial(storage)
    plain.set_trial_intermediate_value(trial._trial_id, 2, 0.9)
    with batched_writes(trial):
        suggest_report_and_set(trial)
        storage.set_trial_state_values(trial._trial_id, TrialState.PRUNED, [0.3])
    after = plain.get_trial(trial._trial_id)
    assert after.state == TrialState.PRUNED and after.values == [0.3]
    assert after.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3} and after.user_attrs == {"config": {"rate": 1}}


@batched
def test_a_waiting_trial_is_given_to_one_of_two_workers_that_ask_at_once(storage, storage_url):
    study = optuna.create_study(storage=storage)
    other, got = open_storage(storage_url), []
    for _ in range(3):
        study.enqueue_trial({})
    first = study.get_trials()[0]._trial_id

    def meanwhile(connection, cursor, statement, *_):
        if "trials" in statement and not got:
            got.append(None)  # once
            got[0] = other.set_trial_state_values(first, TrialState.RUNNING)

    sqlalchemy.event.listen(storage.engine, "after_cursor_execute", meanwhile)
    taken = storage.set_trial_state_values(first, TrialState.RUNNING)
    sqlalchemy.event.remove(storage.engine, "after_cursor_execute", meanwhile)
    assert sorted([taken, *got]) == [False, True]
    assert not storage.set_trial_state_values(first, TrialState.RUNNING)  # it runs
    assert storage.set_trial_state_values(first, TrialState.WAITING)  # its worker is asked to stop
    assert storage.get_trial(first).datetime_start is not None
    storage.set_trial_state_values(first, TrialState.FAIL)
    for state in (TrialState.RUNNING, TrialState.WAITING):
        with pytest.raises(UpdateFinishedTrialError):
            storage.set_trial_state_values(first, state)
    with pytest.raises(KeyError):
        storage.set_trial_state_values(10**6, TrialState.RUNNING)
    other.engine.dispose()
