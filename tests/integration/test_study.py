"""`batchlaw.Study`: from a file or keywords to results, in this process and with worker processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from inspect import signature
from pathlib import Path

import batchlaw as bl
import pytest
import tomli_w
from batchlaw.spec import StudySpec, differing_fields, read_spec
from batchlaw.storage import load, open_storage
from batchlaw.study.code import code_for

from tests.conftest import tiny_study
from tests.waiting import DEADLINE

OWN = {"name": "own", "metric": "loss", "direction": "minimize", "train_size": 1000, "epochs": 2, "pruner": "none",
       "space": {"batch_size": (8, 64), "base_lr": (1e-3, 1.0)}}  # fmt: skip


def train(trial):
    loss = abs(trial.config.base_lr - 0.03) + trial.batch_size / 1000
    trial.report(0.5, {"loss": loss + 1})
    return {"loss": loss}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(tiny_study()))
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One of 24 finished trials; read it, do not change it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('results') / 'study.db'}"
    return own(url, trials=24).run(workers=0, progress=False)


def own(url, **keywords):
    return bl.Study.create(storage=url, **{**OWN, "objective": train, "trials": 6, **keywords})


class TestCreate:
    def test_from_a_file_and_again_and_by_its_name(self, file, url):
        study = bl.Study.create(file, url)
        assert study.spec == read_spec(file) and len(study) == 1  # which waits: a published default
        assert repr(study) == "Study('tiny', 0 of 6 trials, maximize validation_accuracy)"
        assert bl.Study.create(str(file), url).name == bl.Study.open("tiny", url).name == "tiny"
        assert study.storage == url

    def test_the_tables_of_a_file_as_keywords_are_the_same_study(self, file, url):
        bl.Study.create(file, url)
        bl.Study.create(storage=url, **tiny_study())  # opens it: the fingerprints agree

    def test_another_specification_of_the_name_is_refused(self, file, url):
        bl.Study.create(file, url)
        with pytest.raises(bl.StudyError, match=r"budget\.epochs: stored 2\.0, given 3\.0"):
            bl.Study.create(storage=url, **tiny_study(budget={"epochs": 3}))

    def test_a_changed_file_under_a_new_name(self, file, url):
        bl.Study.create(file, url)
        file.write_text(tomli_w.dumps(tiny_study(budget={"epochs": 3})))
        forked = bl.Study.create(file, url, name="forked", trials=2)
        assert forked.spec.budget.epochs == 3 and forked.status().slots.total == 2

    def test_every_key_of_a_file_is_a_keyword(self):
        assert set(StudySpec.model_fields) - set(signature(bl.Study.create).parameters) == set()

    def test_beside_a_file_other_keywords_are_refused(self, file, url):
        with pytest.raises(bl.SpecError, match="epochs: got 3; belongs in the study file"):
            bl.Study.create(file, url, epochs=3)
        with pytest.raises(bl.SpecError, match=r"objective: got .*names None"):
            bl.Study.create(file, url, objective=train)

    def test_what_is_wrong_writes_nothing(self, tmp_path, url):
        for keywords in (
            {"epochs": 0},
            {"space": {"batch_size": 2000, "base_lr": 0.1}},
            {"objective": "nowhere:train"},
        ):
            with pytest.raises(bl.BatchlawError):
                own(url, **keywords)
        with pytest.raises(bl.ObjectiveError, match="must be a function that is defined with def"):
            own(url, objective=lambda trial: {"loss": 1.0})
        assert list(tmp_path.iterdir()) == []

    def test_the_database_is_named_by_the_environment_or_lies_in_the_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("BATCHLAW_STORAGE", raising=False)
        assert own(None).storage == "sqlite:///batchlaw.db" and (tmp_path / "batchlaw.db").is_file()
        monkeypatch.setenv("BATCHLAW_STORAGE", f"sqlite:///{tmp_path / 'other.db'}")
        own(None)
        assert (tmp_path / "other.db").is_file()

    def test_an_unknown_name_lists_the_known(self, url):
        own(url)
        with pytest.raises(bl.StudyError, match=r"no study 'nobody' in the database; it holds own"):
            bl.Study.open("nobody", url)


class TestRunHere:
    def test_to_the_end_of_the_budget_and_on(self, storage_url):
        study = own(storage_url)
        assert study.run(workers=0, progress=False) is study
        trials = study.trials()
        assert list(trials["number"]) == list(range(6)) and set(trials["outcome"]) == {"complete"}
        assert len(study) == 6
        best = study.best(3)
        assert [each.value for each in best] == sorted(trials["value"])[:3] and len(best) == 3
        study.run(workers=0, progress=False, trials=8)
        assert len(study) == len(bl.Study.open("own", storage_url)) == 8

    def test_numbers_are_those_of_the_configurations(self, url):
        study = own(url, trials=3, space={"batch_size": [16], "base_lr": [0.1], "weight_decay": 0.25}).run(workers=0)
        row = study.trials().iloc[0]
        assert (row.batch_size, row.base_lr, row.weight_decay, row.peak_lr) == (16, 0.1, 0.25, pytest.approx(0.01))
        assert row.value == pytest.approx(0.07 + 0.016) and row.steps == 125 and row.seconds > 0
        assert study.trials()["steps"].dtype == "Int64"

    def test_a_notebook_function_runs_in_this_process_by_default(self, url):
        def inner(trial):
            return {"loss": float(os.getpid())}

        study = own(url, objective=inner, trials=1).run(progress=False)
        assert study.best()[0].value == os.getpid()
        with pytest.raises(bl.ObjectiveError, match=r"cannot be imported by worker processes.*workers=0"):
            study.run(workers=1, trials=2)

    @pytest.mark.slow
    def test_a_built_in_task_is_equal_to_the_bit_in_worker_processes(self, file, tmp_path):
        here = bl.Study.create(file, f"sqlite:///{tmp_path / 'here.db'}", trials=2).run(workers=0, progress=False)
        there = bl.Study.create(file, f"sqlite:///{tmp_path / 'there.db'}", trials=2).run(workers=1, progress=False)
        assert list(here.trials()["value"]) == list(there.trials()["value"])
        assert here.replay(0).largest_difference == 0

    def test_signal_handlers_are_as_before(self, url):
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
        own(url).run(workers=0, progress=False)
        assert {number: signal.getsignal(number) for number in before} == before

    def test_outside_the_main_thread(self, url):
        study = own(url)
        thread = threading.Thread(target=study.run, kwargs={"workers": 0, "progress": False})
        thread.start()
        thread.join()
        assert len(study) == 6

    @pytest.mark.slow
    def test_outside_the_main_thread_the_time_limit_is_looked_at_between_reports(self, url):
        def slow(trial):
            for part in range(1000):
                threading.Event().wait(0.05)
                trial.report((part + 1) / 1000, {"loss": 1.0})
            return {"loss": 1.0}

        search = {"trials": 1, "trial_seconds": 0.2, "metric": "loss", "direction": "minimize", "pruner": "none"}
        short = {key: OWN[key] for key in ("name", "train_size", "epochs", "space")}
        study = bl.Study.create(storage=url, objective=slow, search=search, **short)
        thread = threading.Thread(target=study.run, kwargs={"workers": 0, "progress": False})
        thread.start()
        thread.join()
        [trial] = study.trials().itertuples()
        assert trial.outcome == "pruned" and trial.reason == "past trial_seconds = 0.2"

    def test_an_interrupt_hands_the_trial_back_and_is_raised_again(self, url):
        def interrupted(trial):
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(60)
            return {"loss": 1.0}

        study = own(url, objective=interrupted, trials=2)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        try:
            with pytest.raises(KeyboardInterrupt):
                study.run(workers=0, progress=False)
        finally:
            signal.signal(signal.SIGINT, before)
        assert list(study.trials()["outcome"]) == ["waiting"]
        assert bl.Study.open("own", url).status().slots.held == 0

    def test_failures_in_a_row_are_raised_with_their_reason(self, url):
        def broken(trial):
            raise ValueError("no such luck")

        with pytest.raises(
            bl.WorkFailed, match=r"3 configurations failed here and none.*; trial 4: ValueError: no such luck"
        ):
            own(url, objective=broken).run(workers=0, progress=False)

    def test_options_that_are_wrong(self, url):
        study = own(url)
        for options, words in (
            ({"workers": -1}, "workers: got -1; must be at least 0"),
            ({"workers": "two"}, "workers: got 'two'; must be a whole number"),
            ({"trials": 0}, "trials: got 0; must be at least 1"),
            ({"trials": 2.5}, "trials: got 2.5; must be a whole number"),
            ({"device": "abacus"}, "device: got 'abacus'; must be auto, cpu"),
        ):
            with pytest.raises(bl.BatchlawError, match=words):
                study.run(**options)
        assert study.trials()["outcome"].tolist() == ["waiting"]


class TestRunProcesses:
    def test_a_function_of_a_module(self, tmp_path, url):
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "__init__.py").touch()
        (tmp_path / "package" / "own_training.py").write_text(
            "def train(trial):\n    return {'loss': trial.config.base_lr}\n"
        )
        script = tmp_path / "script.py"
        script.write_text(
            "import batchlaw as bl\n"
            "from package.own_training import train\n"
            f"study = bl.Study.create(storage={url!r}, objective=train, trials=3, **{OWN!r})\n"
            "print(study.run(workers=2))\n"
        )
        done = subprocess.run([sys.executable, script], cwd="/", capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        assert "3 of 3 trials" in done.stdout
        stored = load(open_storage(url), "own")
        assert stored.spec.objective == "package.own_training:train"

    def test_code_is_run_only_from_this_machine(self, tmp_path, url):
        (tmp_path / "mine.py").write_text("def train(trial):\n    return {'loss': 1.0}\n")
        file = tmp_path / "mine.toml"
        tables = {key: OWN[key] for key in ("name", "train_size")} | {
            "question": "Why?", "objective": "mine:train", "budget": {"epochs": 2},
            "space": {"batch_size": 8, "base_lr": 0.1},
            "search": {"trials": 2, "metric": "loss", "direction": "minimize"},
        }  # fmt: skip
        file.write_text(tomli_w.dumps(tables))
        bl.Study.create(file, url)
        with pytest.raises(bl.ObjectiveError, match="code is run only from a study file or a function on this machine"):
            bl.Study.open("own", url).run(workers=1, progress=False)
        bl.Study.open("own", url, file=file).run(workers=1, progress=False)
        assert len(bl.Study.open("own", url)) == 2
        file.write_text(tomli_w.dumps(tables | {"train_size": 999}))
        with pytest.raises(bl.StudyError, match="is not the file of study 'own'; train_size: stored 1000, given 999"):
            bl.Study.open("own", url, file=file)


class TestAskAndTell:
    def test_a_plain_loop_spends_the_budget_exactly(self, storage_url):
        study = bl.Study.create(storage=storage_url, trials=5, **OWN)
        numbers = []
        while trial := study.ask():
            assert isinstance(trial, bl.Trial)
            numbers.append(trial.number)
            study.tell(trial, train(trial))
        assert numbers == [0, 1, 2, 3, 4] and study.ask() is None
        trials = study.trials()
        assert set(trials["outcome"]) == {"complete"} and trials["seconds"].notna().all()
        assert study.best()[0].value == trials["value"].min()

    def test_each_ending_has_its_outcome(self, url):
        study = bl.Study.create(storage=url, trials=5, **OWN)
        endings = [
            {"result": {"loss": float("nan")}}, {"result": bl.Diverged({"loss": 2.5})}, {"result": bl.Pruned()},
            {"error": ValueError("no such luck")}, {"error": "the disk is full"}, {"result": {"loss": 1.0}},
            {"result": {"loss": 2.0}},
        ]  # fmt: skip
        for ending in endings:
            study.tell(study.ask(), **ending)
        trials = study.trials()
        assert list(trials["outcome"]) == ["diverged", "diverged", "pruned", "failed", "failed", "complete", "complete"]
        assert list(trials["reason"])[3:5] == ["ValueError: no such luck", "the disk is full"]
        assert trials["value"][1] == 2.5
        assert study.ask() is None  # failed trials were run again, and fill no slot

    def test_reports_prune(self, url):
        study = bl.Study.create(storage=url, trials=12, **{**OWN, "pruner": "median"})
        while trial := study.ask():
            try:
                for part in range(1, 11):
                    trial.report(part / 10, {"loss": float(trial.number)})
                study.tell(trial, {"loss": float(trial.number)})
            except bl.Pruned as pruned:
                study.tell(trial, pruned)
        outcomes = list(study.trials()["outcome"])
        assert outcomes[0] == "complete" and "pruned" in outcomes[5:] and len(outcomes) == 12

    def test_replicates_are_told_one_for_each_seed(self, url):
        study = bl.Study.create(storage=url, trials=1, replicates=2, **OWN)
        trial = study.ask()
        assert len(trial.config.seeds) == 2
        with pytest.raises(bl.BatchlawError, match=r"result: .*must be the metrics of each of the 2 seeds"):
            study.tell(trial, {"loss": 1.0})
        study.tell(trial, [{"loss": 1.0}, {"loss": 2.0}])
        [best] = study.best()
        assert best.value == 1.5 and best.replicate_values == [1.0, 2.0]

    def test_what_cannot_be_told(self, url):
        study, other = (bl.Study.create(storage=url, trials=2, **{**OWN, "name": name}) for name in ("one", "other"))
        trial = study.ask()
        with pytest.raises(bl.ObjectiveError, match="metric: 'loss' is not among the metrics: accuracy"):
            study.tell(trial, {"accuracy": 1.0})
        with pytest.raises(bl.BatchlawError, match="result: "):
            study.tell(trial)
        with pytest.raises(bl.StudyError, match="waits for no result"):
            other.tell(trial, {"loss": 1.0})
        study.tell(trial, {"loss": 1.0})  # the refusals have not ended it
        with pytest.raises(bl.StudyError, match="waits for no result"):
            study.tell(trial, {"loss": 1.0})

    def test_more_than_are_left_cannot_be_asked_for(self, url):
        study = bl.Study.create(storage=url, trials=2, **OWN)
        trials = [study.ask(), study.ask()]
        with pytest.raises(bl.StudyError, match="tell the results of 0, 1"):
            study.ask()
        for trial in trials:
            study.tell(trial, {"loss": 1.0})
        assert study.ask() is None

    def test_a_trial_that_was_taken_over_is_refused(self, url):
        study = bl.Study.create(storage=url, trials=1, **OWN)
        study.stored.slots.lease_seconds = 0.0
        trial = study.ask()
        rival = bl.Study.open("own", url)
        again = rival.ask()
        assert again.number == 1 and again.config == trial.config
        with pytest.raises(bl.StudyError, match="trial 0 was given to another worker"):
            study.tell(trial, {"loss": 1.0})
        rival.tell(again, {"loss": 2.0})
        assert list(rival.trials()["outcome"]) == ["lost", "complete"]

    def test_a_trial_that_has_ended_takes_no_reports(self, url):
        study = bl.Study.create(storage=url, trials=1, **OWN)
        trial = study.ask()
        study.tell(trial, {"loss": 1.0})
        time.sleep(0.6)  # reports are written every half second
        with pytest.raises(bl.StudyError, match="trial 0 has ended; it takes no more reports"):
            trial.report(0.5, {"loss": 1.0})

    def test_what_is_no_result_is_refused_and_the_trial_stays(self, url):
        study = bl.Study.create(storage=url, trials=1, **OWN)
        trial = study.ask()
        for told, words in (
            (0.3, "metrics: got 0.3; must be a mapping of names to numbers"),
            ([0.3], "metrics: got 0.3; must be a mapping of names to numbers"),
            ({"loss": None}, "loss: must be a number"),
            ({"loss": 0.3, "note": "good"}, "note: got 'good'; must be a number"),
        ):
            with pytest.raises(bl.ObjectiveError) as refused:
                study.tell(trial, told)
            assert str(refused.value) == words
        study.tell(trial, {"loss": 0.3})
        assert study.best()[0].value == 0.3

    @pytest.mark.parametrize("progress", [50, -0.5, float("nan"), "half", None])
    def test_progress_is_a_share_of_the_budget(self, url, progress):
        study = bl.Study.create(storage=url, trials=1, **OWN)
        trial = study.ask()
        with pytest.raises(bl.ObjectiveError, match=r"^progress: .*must be (a number|above 0 and at most 1)$"):
            trial.report(progress, {"loss": 1.0})

    def test_loops_and_workers_share_a_study(self, url):
        study = own(url, trials=12)
        worker = threading.Thread(target=own(url, trials=12).run, kwargs={"workers": 0, "progress": False})
        worker.start()
        while trial := study.ask():
            study.tell(trial, train(trial))
        worker.join()
        trials = study.trials()
        assert len(trials) == 12 and set(trials["outcome"]) == {"complete"}

    def test_a_trial_of_a_process_that_ended_is_run_again(self, url):
        script = (
            f"import batchlaw as bl; study = bl.Study.create(storage={url!r}, trials=2, **{OWN!r})\n"
            "trial = study.ask(); print(trial.config.base_lr)"
        )
        lr = float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        study = bl.Study.create(storage=url, trials=2, **OWN)
        rates = []
        while trial := study.ask():
            rates.append(trial.config.base_lr)
            study.tell(trial, train(trial))
        assert lr in rates and len(rates) == 2
        assert sorted(study.trials()["outcome"]) == ["complete", "complete", "lost"]

    def test_a_study_of_ask_and_tell_has_nothing_to_run(self, url):
        study = bl.Study.create(storage=url, trials=2, **OWN)
        for workers in (0, 1, None):
            with pytest.raises(bl.ObjectiveError, match="has no training function: its trials are asked for and told"):
                study.run(workers=workers, progress=False)


class TestResults:
    @pytest.mark.parametrize("n", [0, -1, "all"])
    def test_a_ranking_of_no_such_length_is_refused(self, study, n):
        with pytest.raises(bl.BatchlawError, match=f"n: got {n!r}; must be"):
            study.best(n)

    def test_a_ranking_is_a_sequence_that_shows_itself(self, study):
        best = study.best(4)
        assert isinstance(best, bl.Ranking) and isinstance(best[0], bl.Configuration)
        assert len(best[:2]) == 2 and isinstance(best[:2], bl.Ranking)
        assert list(best.frame["trial"]) == [each.trial for each in best]
        assert "Best configurations of own by loss" in repr(best) and "<table" in best._repr_html_()
        assert "own" in study._repr_html_() and "24 of 24 trials" in study._repr_html_()

    def test_of_a_study_without_trials(self, url):
        study = own(url)
        assert len(study.best()) == 0 and study.trials()["outcome"].tolist() == ["waiting"] and bool(study)
        assert "no completed trial" in repr(study.best()) and "<" in study._repr_html_()
        with pytest.raises(bl.StudyError, match="no finished trial to export"):
            study.export()

    def test_exports(self, study, tmp_path):
        text = study.export("python", tmp_path / "best.py")
        assert (tmp_path / "best.py").read_text().strip() == text.strip() and "PEAK_LR" in text
        for arguments, words in (
            ({"format": "pyton"}, "format: got 'pyton'; must be one of table, json"),
            ({"top": 0}, "top: got 0; must be at least 1"),
            ({"verify": 1}, "verify: got 1; must be at least 2"),
            ({"for_batch_size": "x"}, "for_batch_size: got 'x'; must be a whole number"),
            ({"format": "python", "top": 2}, "top: got 2; must be 1"),
            ({"trial": 99}, "trial: got 99; must be a completed trial"),
            ({"rule": "sqrt"}, "rule: got 'sqrt'; goes with a batch size.*see for_batch_size"),
            ({"for_batch_size": 16, "trial": 3}, "for_batch_size: got 16; must stand without trial"),
            ({"path": "/no/such/folder/x"}, "path: got '/no/such/folder/x'"),
        ):
            with pytest.raises(bl.BatchlawError, match=words):
                study.export(**arguments)

    def test_a_prediction_warns_of_what_it_rests_on(self, study):
        with pytest.warns(UserWarning, match="searched trials are a guide"):
            text = study.export("json", for_batch_size=24, rule="sqrt")
        assert '"batch_size": 24' in text

    def test_figures_by_name(self, study):
        figure = study.figure("history")
        assert figure.data and "history" in study.figures()
        with pytest.raises(bl.BatchlawError, match=r"name: got 'mood'; study 'own' has .*history"):
            study.figure("mood")

    def test_a_report_is_one_file(self, study, tmp_path):
        assert study.report(tmp_path / "report.html") == tmp_path / "report.html"
        assert "own" in (tmp_path / "report.html").read_text()
        with pytest.raises(bl.BatchlawError, match="path: got"):
            study.report(tmp_path / "missing" / "report.html")

    def test_replay_names_the_trials_that_there_are(self, study):
        assert study.replay(0).largest_difference == 0
        with pytest.raises(bl.BatchlawError, match="number: got 99; study 'own' has the trials 0 to 23"):
            study.replay(99)


def test_the_spec_of_a_worker_is_that_of_the_study(url):
    study = own(url)
    with code_for(study.spec, None, train).worker_arguments(study.spec) as arguments:
        assert differing_fields(study.spec, read_spec(Path(arguments[0]))) == []
        assert arguments[1:] == ["--folder", str(Path(__file__).parents[2])]
