"""The race on fresh seeds at the end of a search, by real workers on a real database."""

import os
import random
import signal
from math import log10
from pathlib import Path

import pytest
import torch
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import records_of
from batchlaw.results.standings import Standings
from batchlaw.results.status import status_of
from batchlaw.spec import fingerprint
from batchlaw.storage.attributes import RETRY_OF

from tests.conftest import tiny_spec
from tests.integration.test_worker import own_spec, sqlite, work  # noqa: F401

TRIALS = 40


def train(trial):
    """A valley at a base rate of 0.1, with noise by the seed."""
    noise = random.Random(trial.seed).gauss(0, 0.1)
    return {"validation_loss": (log10(trial.config.base_lr) + 1) ** 2 + noise}


def test_the_last_fifth_of_the_budget_trains_contenders_on_fresh_seeds(storage):
    stored = work(storage, own_spec(trials=TRIALS), train)
    records = records_of(stored)
    assert len(records) == stored.slots.counts().done == TRIALS
    fresh = [record for record in records if record.confirms is not None]
    assert len(fresh) >= 6 and min(record.number for record in fresh) == 0.8 * TRIALS
    assert {record.confirms.purpose for record in fresh} == {"race", "score"}
    assert {record.confirms.fold for record in fresh} == {0}  # code of one's own has none
    seeds = [record.config.seeds for record in fresh]
    assert len(set(seeds)) == len(seeds) and records[0].config.seeds not in seeds
    for record in fresh:
        assert record.params == records[record.confirms.trial].params
        assert records[record.confirms.trial].confirms is None
    best = Standings(stored.spec, records).best
    assert best.confirms is None and best.number in {record.confirms.trial for record in fresh}
    status = status_of(stored)
    assert status.best.number == best.number == status.as_dict()["best"]["trial"]
    scored = [record.value for record in fresh if record.confirms[:2] == (best.number, "score")]
    assert status.named.fresh.scores == tuple(scored) and len(scored) > 1


def test_confirm_false_is_all_search_and_leaves_the_fingerprint_of_earlier_studies(sqlite):  # noqa: F811
    spec = own_spec(trials=TRIALS, confirm=False)
    stored = work(sqlite, spec, train)
    assert not any(record.confirms for record in records_of(stored))
    assert fingerprint(spec) != fingerprint(own_spec(trials=TRIALS))
    assert (
        fingerprint(own_spec(trials=TRIALS, confirm=True)) == "38ccd25f361f9a29"
    )  # by the version before there was `confirm`


def test_a_function_that_takes_no_seed_gives_the_rest_of_the_budget_back_to_the_search(sqlite):  # noqa: F811
    stored = work(
        sqlite, own_spec(trials=TRIALS), lambda trial: {"validation_loss": (log10(trial.config.base_lr) + 1) ** 2}
    )
    records = records_of(stored)
    standings = Standings(stored.spec, records)
    assert sum(record.confirms is not None for record in records) == 6 and standings.race.ignores_seeds
    assert standings.best.value == min(record.value for record in records)
    assert stored.slots.counts().done == TRIALS


def test_a_killed_worker_s_contender_is_run_again_on_the_same_seed(sqlite, tmp_path):  # noqa: F811
    def killed(trial):
        if trial.number == 0.8 * TRIALS + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return train(trial)

    sqlite.engine.dispose()
    if not (child := os.fork()):
        work(sqlite, own_spec(trials=TRIALS), killed)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    stored = work(sqlite, own_spec(trials=TRIALS), train)
    records = records_of(stored)
    (lost,) = [record for record in records if record.outcome == Outcome.LOST]
    trials = stored.study.get_trials()
    (again,) = [record for record in records if trials[record.number].user_attrs.get(RETRY_OF) == lost.number]
    assert again.confirms == lost.confirms is not None and again.config.seeds == lost.config.seeds
    assert stored.slots.counts().done == TRIALS == len(records) - 1


@pytest.mark.slow
def test_a_built_in_task_is_confirmed_and_every_confirmation_replays_to_the_last_bit(sqlite):  # noqa: F811
    stored = work(sqlite, tiny_spec(search={"trials": 32, "pruner": "none"}))
    fresh = [record for record in records_of(stored) if record.confirms is not None]
    assert fresh
    contenders = [record for record in fresh if record.confirms.purpose == "race"]
    assert {record.config.task.fold for record in contenders} == {record.confirms.fold for record in contenders}
    assert all(record.config.task.fold > 0 for record in fresh)
    for record in fresh:
        assert replay(record, stored.spec, Runtime(torch.device("cpu"), Path("unused"))).largest_difference == 0
