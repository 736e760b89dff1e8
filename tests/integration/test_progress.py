"""What a run shows while it goes on: on a terminal, elsewhere, and if nothing is asked for."""

import io
import re

import batchlaw as bl
import pytest
from batchlaw.study import progress
from batchlaw.study.progress import RunProgress
from rich.console import Console


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A function that finishes three trials, and gives what was shown meanwhile."""
    monkeypatch.setattr(progress, "_LOOK_SECONDS", 0.0)
    study = bl.Study.create(
        storage=f"sqlite:///{tmp_path / 'study.db'}", name="own", metric="loss", direction="minimize", trials=3,
        train_size=1000, epochs=2, space={"batch_size": (8, 64), "base_lr": (1e-3, 1.0)},
    )  # fmt: skip

    def show(form, *, terminal):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
        with RunProgress(study.stored, form, console) as run:
            while trial := study.ask():
                study.tell(trial, {"loss": 0.5})
                run.look()
        return console.file.getvalue()

    return show


def test_on_a_terminal_a_bar_ends_at_the_state_of_the_study(shown):
    text = shown(True, terminal=True)
    assert "━" in text and "3/3" in text and "3 of 3 trials · 3 complete" in text and "best loss 0.5" in text


def test_elsewhere_a_line_now_and_then(shown, monkeypatch):
    monkeypatch.setattr(progress, "_PLAIN_SECONDS", 0.0)
    lines = shown(True, terminal=False).splitlines()
    assert [line.partition(" · ")[0] for line in lines] == ["1 of 3 trials", "2 of 3 trials", "3 of 3 trials"]


def test_a_short_run_has_a_line_once_its_first_trial_has_ended(shown):
    [line] = shown(True, terminal=False).splitlines()
    assert line.startswith("1 of 3 trials · 1 complete")


def test_lines_on_a_terminal_if_asked_for(shown, monkeypatch):
    monkeypatch.setattr(progress, "_PLAIN_SECONDS", 0.0)
    text = shown("plain", terminal=True)
    assert "━" not in text and "3 of 3 trials" in text


def test_nothing_if_nothing_is_asked_for(shown, monkeypatch):
    monkeypatch.setattr(progress, "_PLAIN_SECONDS", 0.0)
    assert shown(False, terminal=True) == ""


def test_the_time_left_is_at_most_that_of_the_run(tmp_path):
    study = bl.Study.create(
        storage=f"sqlite:///{tmp_path / 'study.db'}", name="own", metric="loss", direction="minimize", trials=10_000,
        train_size=1000, epochs=2, space={"batch_size": (8, 64), "base_lr": (1e-3, 1.0)},
    )  # fmt: skip
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with RunProgress(study.stored, "plain", console) as run:
        run.timeout = 30.0
        for _ in range(12):
            study.tell(study.ask(), {"loss": 0.5})
        run.look()
    assert re.search(r" trials/min, 0:00:\d\d to go", console.file.getvalue())
