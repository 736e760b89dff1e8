"""The page of a study: drawn by one process at a time, and written in one transaction."""

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
import sqlalchemy
import torch
from batchlaw.claims.hypotheses import preregistration
from batchlaw.cli import app
from batchlaw.figures import study_page as drawing
from batchlaw.figures.study_page import FEWEST_OF_A_LAW, save_page
from batchlaw.objectives.runtime import Runtime
from batchlaw.stats.smoothed import FEWEST_POINTS
from batchlaw.storage import load, open_storage, register
from batchlaw.storage.optuna_internals.page import ATTRIBUTES, replace
from batchlaw.storage.tables import pages
from batchlaw.workers.worker import Worker
from optuna_dashboard import get_note, save_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from typer.testing import CliRunner

from tests.conftest import tiny_spec
from tests.integration.test_designed import bowl, own_spec

CPU = torch.device("cpu")
FIGURES = "dashboard:plot_data:batchlaw-"


@pytest.fixture
def stored(storage):
    return register(storage, tiny_spec(), trials=None, version="test")


def change(stored, **values):
    with stored.storage.engine.begin() as connection:
        connection.execute(sqlalchemy.update(pages).values(**values))


def row(stored):
    with stored.storage.engine.connect() as connection:
        return connection.execute(sqlalchemy.select(pages)).one()


def attributes(stored):
    return stored.storage.get_study_system_attrs(stored.study_id)


def figures(stored):
    return get_plotly_graph_objects(attributes(stored))


def work(stored, objective=None, **options):
    Worker(stored, Runtime(CPU, Path("unused"), objective), study_seed=0, **{"figures": True, **options}).work()


def test_the_page_is_drawn_once_a_minute_by_one_process_at_a_time(stored):
    page = stored.page
    assert page.take() is None  # a study that ends within a minute is drawn once, at its end
    change(stored, due=0)
    holder = page.take()
    assert holder is not None and page.take() is None
    before = time.time()
    page.release(holder, seconds=0.5, trials=None)
    assert page.take() is None
    assert before + 60 - 1 <= row(stored).due <= time.time() + 60 + 1  # MySQL's clock has whole seconds
    change(stored, due=0)
    assert page.take() is not None


def test_a_page_that_takes_long_is_drawn_less_often(stored):
    change(stored, due=0)
    holder = stored.page.take()
    before = time.time()
    stored.page.release(holder, seconds=10, trials=None)
    wait = 20 * 10 - 10  # seconds
    assert before + wait - 1 <= row(stored).due <= time.time() + wait + 1


def test_a_finished_study_is_drawn_once_and_again_after_more_trials(stored):
    page = stored.page
    holder = page.take(6)
    assert holder is not None and page.take(6) is None
    page.release(holder, seconds=0.1, trials=None)  # drawing failed
    holder = page.take(6)
    page.release(holder, seconds=0.1, trials=6)
    assert page.take(6) is None
    assert page.take(9) is not None


def test_another_process_draws_after_one_that_died(stored):
    late = stored.page.take(6)
    change(stored, held_until=0)
    holder = stored.page.take(6)
    assert holder is not None
    stored.page.release(late, seconds=0.1, trials=6)  # another process draws now
    assert stored.page.take(6) is None and row(stored).holder == holder


def test_one_of_many_processes_draws(stored):
    change(stored, due=0)
    together = threading.Barrier(8)

    def ask(_):
        together.wait()
        return stored.page.take()

    with ThreadPoolExecutor(8) as pool:
        assert sum(holder is not None for holder in pool.map(ask, range(8))) == 1


def test_texts_are_replaced_and_only_changes_are_written(stored):
    def pieces():
        mine = ATTRIBUTES.c.key.startswith(FIGURES, autoescape=True)
        with stored.storage.engine.connect() as connection:
            rows = connection.execute(
                sqlalchemy.select(ATTRIBUTES.c.key, ATTRIBUTES.c.study_system_attribute_id).where(mine)
            )
            return {key.removeprefix(FIGURES): number for key, number in rows}

    theirs = {"dashboard:plot_data:mine:0": "{}", "dashboard:plot_dataXbatchlaw-": "like ours, but for a wildcard"}
    for key, text in theirs.items():
        stored.storage.set_study_system_attr(stored.study_id, key, text)
    texts = {"a:0": "{1}", "a:1": "ε", "b:0": "x" * 10_000}
    engine, study_id = stored.storage.engine, stored.study_id
    assert replace(engine, study_id, FIGURES, {FIGURES + key: text for key, text in texts.items()})
    first = pieces()
    assert figures(stored) == {"batchlaw-a": "{1}ε", "batchlaw-b": "x" * 10_000, "mine": "{}"}
    assert replace(engine, study_id, FIGURES, {FIGURES + "a:0": "{2}", FIGURES + "b:0": texts["b:0"]})
    second = pieces()
    assert second.keys() == {"a:0", "b:0"} and second["b:0"] == first["b:0"] and second["a:0"] != first["a:0"]
    replace(engine, study_id, FIGURES, {})
    assert pieces() == {} and theirs.items() <= attributes(stored).items()


def test_a_worker_draws_a_finished_study_and_again_after_more_trials(stored, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, "save_page", lambda stored, _: (drawn.append(1), save_page(stored)))
    work(stored)
    work(stored)
    assert len(drawn) == 1
    found = figures(stored)
    assert found and all('"data"' in figure for figure in found.values())
    assert "6 of 6 trials" in get_note(stored.study)
    work(register(stored.storage, tiny_spec(), trials=9, version="test"))
    assert len(drawn) == 2 and "9 of 9 trials" in get_note(stored.study)
    assert figures(stored) != found


@pytest.mark.slow
def test_a_worker_may_draw_in_a_process_of_its_own(stored, monkeypatch):
    monkeypatch.setattr(drawing, "save_page", lambda *_: pytest.fail("drawn in this process"))
    work(stored, draws_apart=True)
    assert row(stored).drawn == 6 and row(stored).holder is None
    assert figures(stored) and "6 of 6 trials" in get_note(stored.study)


def test_several_workers_draw_a_finished_study_once(storage_url, stored, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, "save_page", lambda *_: (time.sleep(0.5), drawn.append(1)))

    def one(_):
        storage = open_storage(storage_url)
        work(load(storage, "tiny"))
        storage.engine.dispose()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, range(3)))
    assert len(drawn) == 1 and row(stored).drawn == 6


def test_a_worker_draws_between_trials_once_the_page_is_due(stored, monkeypatch):
    seen = []
    monkeypatch.setattr(drawing, "save_page", lambda stored, _: seen.append(stored.slots.counts().done))
    monkeypatch.setattr("batchlaw.workers.worker.BEAT_SECONDS", 0.0)
    change(stored, due=0)
    work(stored)
    assert seen == [1, 6]


def test_a_failure_to_draw_is_recorded_and_harms_no_trial(stored, monkeypatch):
    def broken(*_):
        raise ValueError("no such colour\nand more")

    with monkeypatch.context() as patched:
        patched.setattr(drawing, "gallery", broken)
        work(stored)
    assert stored.slots.counts().done == 6
    noted = stored.study.user_attrs["batchlaw:not-drawn"]
    assert "ValueError: no such colour (test_study_page.py:" in noted and "\n" not in noted
    assert figures(stored) == {}
    work(stored)  # the next worker
    assert figures(stored)


def test_a_worker_without_figures_draws_nothing(stored):
    work(stored, figures=False)
    assert figures(stored) == {} and get_note(stored.study) == "" and row(stored).drawn == 0


def test_a_persons_note_is_never_changed(stored):
    work(stored)
    assert get_note(stored.study).startswith("# Does the machinery work?")
    save_note(stored.study, "I think that")  # as the page does
    save_page(stored)
    assert get_note(stored.study) == "I think that"


def test_a_note_written_before_the_first_drawing_is_kept(stored):
    save_note(stored.study, "")
    save_note(stored.study, "mine")
    work(stored)
    assert get_note(stored.study) == "mine" and figures(stored)


@pytest.mark.parametrize("by", ["worker", "claim"])
def test_a_designed_study_shows_its_verdicts_once_it_has_ended(tmp_path, by):
    spec, url = own_spec(), f"sqlite:///{tmp_path / 'study.db'}"
    storage = open_storage(url, create=True)
    stored = register(storage, spec, trials=None, version="test", preregistration=preregistration(spec.claim))
    save_page(stored)
    assert "0 of 64 trials" in get_note(stored.study) and "Verdicts" not in get_note(stored.study)
    work(stored, bowl, figures=by == "worker")
    if by == "claim":
        assert CliRunner().invoke(app, ["claim", spec.name, "--storage", url]).exit_code == 0
    assert "**H9 supported**" in get_note(stored.study) and row(stored).drawn == 64
    assert any(name.endswith("-verdicts") for name in figures(stored))
    storage.engine.dispose()


def test_the_commands_in_the_note_exist(stored):
    save_page(stored)
    commands = re.findall(r"^    batchlaw (\w+) tiny ?(--\w+)?", get_note(stored.study), re.MULTILINE)
    assert len(commands) == 4  # none has a law yet
    for command, option in commands:
        done = CliRunner().invoke(app, [command, "--help"])
        assert done.exit_code == 0 and option in done.stdout


def test_the_page_and_the_law_need_the_same_number_of_trials():
    assert FEWEST_OF_A_LAW == FEWEST_POINTS


def test_a_reused_study_id_starts_without_a_page(stored):
    work(stored)
    optuna.delete_study(study_name="tiny", storage=stored.storage)
    again = register(stored.storage, tiny_spec(), trials=None, version="test")
    work(again)
    assert figures(again) and "6 of 6 trials" in get_note(again.study)


@pytest.mark.slow
def test_a_worker_imports_no_libraries_of_figures_before_it_draws():
    libraries = {"plotly", "pandas", "statsmodels", "optuna_dashboard"}
    code = f"import sys, batchlaw.workers.worker; print(*{libraries} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
