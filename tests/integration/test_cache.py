"""The cache of trials: the same trials as Optuna's cache, in order, and one query within `cached_reads`."""

import optuna
import pytest
from batchlaw.storage import connections, open_storage
from batchlaw.storage.optuna_internals.cache import IncrementalFilter, TrialCache, cached_reads
from batchlaw.storage.optuna_internals.needs import mismatch
from batchlaw.workers.confirmation import run_of
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy import create_engine, event, text

from tests.conftest import EVERY_DATABASE

DATABASES = EVERY_DATABASE

STATES = (None, (TrialState.COMPLETE,), [TrialState.RUNNING, TrialState.WAITING], {TrialState.PRUNED}, ())


@pytest.fixture
def study_id(storage):
    return storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "ours")


@pytest.fixture
def elsewhere(storage_url):
    """The same database, as another process opens it."""
    opened = RDBStorage(storage_url)
    yield opened
    opened.engine.dispose()


def test_the_trials_equal_optunas_while_others_create_and_end_some(storage, elsewhere, study_id):
    ours, theirs = TrialCache(storage), _CachedStorage(storage)
    kinds = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.PRUNED, TrialState.WAITING, TrialState.RUNNING)
    trial_ids = []
    for number in range(25):
        state = kinds[number % len(kinds)]
        value = float(number) if state == TrialState.COMPLETE else None
        maker = ours if number % 3 else elsewhere
        trial_ids.append(maker.create_new_trial(study_id, create_trial(state=state, value=value)))
        if number % 7 == 6:  # a running trial ends, and later ones still run
            elsewhere.set_trial_state_values(trial_ids[number // 5 * 5 - 4], TrialState.FAIL)
        for states in STATES:
            found, expected = (each.get_all_trials(study_id, states=states) for each in (ours, theirs))
            assert found == expected
    assert [trial.number for trial in ours.get_all_trials(study_id)] == list(range(25))
    assert len(ours.get_all_trials(study_id, states=(TrialState.FAIL,))) == 3


def test_deep_copies_leave_the_cache_alone(storage, study_id):
    cache = TrialCache(storage)
    cache.create_new_trial(study_id)
    cache.get_all_trials(study_id)[0].user_attrs["own"] = 1
    assert cache.get_all_trials(study_id, deepcopy=False)[0].user_attrs == {}


def test_cached_reads_show_the_trials_of_the_first_read(storage, elsewhere, study_id):
    cache = TrialCache(storage)
    first = cache.create_new_trial(study_id)
    with cached_reads():
        assert len(cache.get_all_trials(study_id)) == 1
        elsewhere.create_new_trial(study_id)
        elsewhere.set_trial_system_attr(first, "rung", 1)
        assert len(cache.get_all_trials(study_id)) == 1
        assert cache.get_trial_system_attrs(first) == {}
    assert len(cache.get_all_trials(study_id)) == 2
    with cached_reads():
        assert cache.get_trial_system_attrs(first) == {"rung": 1}


def test_two_contexts_of_one_reading_read_once(storage, elsewhere, study_id):
    cache, read = TrialCache(storage), set()
    for _ in range(2):
        with cached_reads(read):
            assert cache.get_all_trials(study_id) == []
            elsewhere.create_new_trial(study_id)
    assert len(cache.get_all_trials(study_id)) == 2


def test_of_trials_under_way_that_are_known_reports_and_states_alone_are_read(storage, elsewhere, study_id):
    cache, theirs, asked = TrialCache(storage), _CachedStorage(storage), []
    begun = create_trial(
        state=TrialState.RUNNING, params={"rate": 0.5}, distributions={"rate": FloatDistribution(0.0, 1.0)},
        user_attrs={"config": {"rate": 0.5}}, system_attrs={"place": 1},
    )  # fmt: skip
    ids = [elsewhere.create_new_trial(study_id, begun) for _ in range(14)]
    late = elsewhere.create_new_trial(study_id)  # its configuration is not there yet
    assert cache.get_all_trials(study_id) == theirs.get_all_trials(study_id)
    event.listen(storage.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    for number, trial_id in enumerate(ids[3:]):
        elsewhere.set_trial_intermediate_value(trial_id, 1, number / 10)
    elsewhere.set_trial_user_attr(late, "config", {"rate": 0.25})
    elsewhere.set_trial_state_values(ids[0], TrialState.COMPLETE, [0.1])
    elsewhere.set_trial_state_values(ids[1], TrialState.WAITING)
    for _ in range(2):
        found = cache.get_all_trials(study_id)
        found[0].user_attrs = begun.user_attrs  # of an ended trial the cache keeps less
        assert found == elsewhere.get_all_trials(study_id)
    assert any("trial_params" in statement for statement in asked)
    asked.clear()
    cache.get_all_trials(study_id)
    if mismatch("storage") is None:
        assert len(asked) == 2 and not any("trial_params" in statement for statement in asked)


def test_a_trial_created_within_cached_reads_is_a_copy_and_is_read_again_afterwards(storage, elsewhere, study_id):
    cache = TrialCache(storage)
    with cached_reads():
        trial_id = cache.create_new_trial(study_id)
        made = cache.get_trial(trial_id)
    read = elsewhere.get_trial(trial_id)
    assert (made.number, made.state, made.params) == (read.number, read.state, read.params)
    made.params["rate"] = 0.5
    assert cache.get_all_trials(study_id)[0].params == {}
    elsewhere.set_trial_user_attr(trial_id, "key", 1)
    assert cache.get_trial(trial_id).user_attrs == {"key": 1}


def test_of_an_ended_trial_the_cache_keeps_what_others_are_chosen_by(storage, elsewhere, study_id):
    cache = TrialCache(storage)
    attributes = {
        "config": {"batch_size": 8}, "output": ["line"] * 200, "arguments": ["python"], "traceback": "…", "own": 3,
        "outcome": "diverged", "retry_of": 0, "confirms": {"trial": 1, "purpose": "race"}, "threads": 1,
        "result": {"curve": [{"progress": 1.0}] * 20, "seconds": 2.0, "replicate_values": [0.5, 0.75], "device": "cpu"},
    }  # fmt: skip
    ended = cache.create_new_trial(study_id, create_trial(value=1.0, user_attrs=attributes))
    running = cache.create_new_trial(study_id, create_trial(state=TrialState.RUNNING, user_attrs=attributes))
    for reader in (cache, TrialCache(storage)):  # as it made the trials, and as another worker reads them
        kept = reader.get_all_trials(study_id, deepcopy=False)[0]
        assert kept.user_attrs == {
            "own": 3, "outcome": "diverged", "retry_of": 0, "confirms": {"trial": 1, "purpose": "race"}, "threads": 1,
            "result": {"seconds": 2.0, "replicate_values": [0.5, 0.75]},
        }  # fmt: skip
        assert kept.value == 1.0 and reader.get_trial(running).user_attrs == attributes
        assert run_of(kept).scores == [0.5, 0.75] and run_of(kept).seconds == 1.0
    assert storage.get_trial(ended).user_attrs == elsewhere.get_trial(ended).user_attrs == attributes


def test_deleting_a_study_empties_its_cache(storage, study_id):
    cache = TrialCache(storage)
    cache.create_new_trial(study_id, create_trial(value=1.0))
    assert len(cache.get_all_trials(study_id, states=(TrialState.COMPLETE,))) == 1
    cache.delete_study(study_id)
    with pytest.raises(KeyError):
        cache.get_all_trials(study_id, states=(TrialState.COMPLETE,))


def test_a_finished_trial_is_tested_once():
    study, asked = optuna.create_study(), []

    def even(trial):
        asked.append(trial.number)
        return trial.number % 2 == 0

    chosen = IncrementalFilter(even)
    study.add_trials(create_trial(value=0.0) for _ in range(3))
    running = study.ask()
    study.add_trial(create_trial(value=0.0))
    for expected in ([0, 2, 4], [0, 2, 4]):
        assert [trial.number for trial in chosen.matches(study.get_trials())] == expected
    assert asked == [0, 1, 2, 3, 4, 3, 4]  # trials after a running one are tested again
    study.tell(running, 1.0)
    chosen.matches([*study.get_trials(), None])  # a number that has not been read yet
    chosen.matches(study.get_trials())
    assert asked.count(3) == asked.count(4) == 3


@pytest.mark.parametrize("storage_url", ["postgresql", "mysql"], indirect=True)
def test_a_connection_that_broke_while_idle_is_replaced(storage, storage_url, study_id, monkeypatch):
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.0)
    opened = open_storage(storage_url)
    assert opened.get_all_studies()
    other = create_engine(opened.engine.url)
    name, cut = {
        "postgresql": ("SELECT pid FROM pg_stat_activity WHERE datname = current_database()", "pg_terminate_backend"),
        "mysql": ("SELECT id FROM information_schema.processlist WHERE db = database()", "KILL"),
    }[opened.engine.dialect.name]
    with other.connect() as connection:
        own = "pg_backend_pid()" if cut != "KILL" else "connection_id()"
        found = connection.scalars(text(f"{name} AND {'pid' if cut != 'KILL' else 'id'} <> {own}")).all()
        for number in found:
            connection.execute(text(f"KILL {number}" if cut == "KILL" else f"SELECT {cut}({number})"))
    other.dispose()
    assert found and opened.get_all_studies()
    opened.engine.dispose()
