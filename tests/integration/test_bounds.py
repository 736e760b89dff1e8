"""`max_seconds` and `max_memory`: what exceeds them is never named, and the search learns to keep to them."""

import pytest
from batchlaw.cli.ending import conclude
from batchlaw.errors import SpecError
from batchlaw.export.table import trials_table
from batchlaw.recipe.constraints import excesses
from batchlaw.recipe.space import distributions_of
from batchlaw.results.front import front_of
from batchlaw.results.records import records_of
from batchlaw.results.standings import Standings
from batchlaw.results.status import best_line, counts_line, status_of
from batchlaw.sampling import sampler
from batchlaw.spec import fingerprint
from batchlaw.study import Study
from batchlaw.workers import trial as workers_trial

from tests.conftest import tiny_spec
from tests.integration.test_worker import own_spec, work


def train(trial):
    """The smaller the batch, the better and the slower."""
    return {"validation_loss": trial.config.batch_size / 64 + 0.01 * trial.config.base_lr}


def scaled(monkeypatch):
    """Seconds that the load of the machine does not decide: below a batch size of 32 a trial took 1 s, else .01 s."""
    real = workers_trial.with_facts

    def with_facts(outcome, reporter, seconds, replicates):
        slow = reporter.trial.params["log2_batch_size"] < 5
        return real(outcome, reporter, 1.0 if slow else 0.01, replicates)

    monkeypatch.setattr(workers_trial, "with_facts", with_facts)


def test_what_exceeds_a_bound_is_never_named_and_is_counted(storage, monkeypatch):
    scaled(monkeypatch)
    stored = work(storage, own_spec(trials=40, max_seconds=0.5), train)
    records = records_of(stored)
    slow = {record.number for record in records if record.config.batch_size < 32}
    assert slow and {record.number for record in records if record.breaks} == slow
    told = {(record.breaks, record.reason) for record in records if record.number in slow}
    assert told == {(("max_seconds",), "exceeds max_seconds by 100 %")}
    standings = Standings(stored.spec, records)
    assert standings.best.config.batch_size == 32 and not slow & {record.number for record in standings.order}
    assert not slow & {record.confirms.trial for record in records if record.confirms}
    assert not slow & {each.trial for each in front_of(standings)}
    status = status_of(stored)
    assert status.best.number == standings.best.number and status.breaks == {"max_seconds": len(slow)}
    assert f"{len(slow)} complete exceed{'s' * (len(slow) == 1)} max_seconds" in counts_line(status)
    assert status.as_dict()["breaks"] == {"max_seconds": len(slow)}
    cells = list(trials_table(stored.spec, records, {}).columns[1].cells)
    assert cells[min(slow)] == "complete > max_seconds"
    late = [record for record in records[20:] if not record.confirms]
    assert sum(record.number in slow for record in late) < len(late) / 2  # of a space of which half is too slow


def test_where_every_trial_exceeds_a_bound_this_is_said(sqlite_storage, capsys):
    stored = work(sqlite_storage, own_spec(trials=3, max_seconds=1e-9), train)
    assert best_line(status_of(stored)) == "every complete trial exceeds max_seconds"
    study = Study.open("tiny", str(sqlite_storage.engine.url))
    conclude(study, study.storage, stopped=False, again="batchlaw run tiny.toml")
    assert "Every complete trial exceeds max_seconds." in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tpe", "per-second"])
def test_samplers_learn_from_what_exceeds_a_bound(sqlite_storage, monkeypatch, name):
    scaled(monkeypatch)
    stored = work(sqlite_storage, own_spec(trials=30, max_seconds=0.5, sampler=name, confirm=False), train)
    slow = 0
    for slot in range(10):
        stored.study.sampler = sampler(stored.spec, 0, 30 + slot, stored.study)
        trial = stored.study.ask(distributions_of(stored.spec))
        slow += trial.params["log2_batch_size"] < 5
    assert slow <= 4


def test_the_excess_is_of_a_run_and_of_the_whole_budget():
    spec = tiny_spec(search={"max_seconds": 2.0, "max_memory": "2GB", "replicates": 2})
    record = {"seconds": 8.0, "replicate_values": [0.5, 0.6], "peak_memory_bytes": 3_000_000_000, "device": "cuda:0"}
    assert excesses(spec, record) == {"max_seconds": 1.0, "max_memory": 0.5}
    assert excesses(spec, {"seconds": 2.0}, share=0.25) == {"max_seconds": 1.0}  # pruned after a quarter
    assert excesses(spec, record | {"device": "cpu"}) == {"max_seconds": 1.0}  # of the process, with earlier trials
    assert excesses(tiny_spec(), record) == {}


@pytest.mark.parametrize(
    ("given", "bytes_"), [(5, 5), ("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("512MB", 512 * 10**6), ("7B", 7)]
)
def test_memory_is_given_in_bytes_or_in_words(given, bytes_):
    assert tiny_spec(search={"max_memory": given}).search.max_memory == bytes_


@pytest.mark.parametrize(
    ("search", "line"),
    [
        ({"max_memory": "2 gigs"}, r'search\.max_memory: must be a number of bytes, or a text such as "2GB"'),
        ({"max_memory": 0}, r"search\.max_memory: must be greater than or equal to 1; got 0"),
        ({"max_seconds": 0.0}, r"search\.max_seconds: must be greater than 0; got 0"),
    ],
)
def test_a_bound_that_is_none_is_refused(search, line):
    with pytest.raises(SpecError, match=line):
        tiny_spec(search=search)


def test_a_study_without_bounds_keeps_its_fingerprint():
    assert fingerprint(tiny_spec()) == "bbe0879e5de1e5c0"  # by the version before there were any
