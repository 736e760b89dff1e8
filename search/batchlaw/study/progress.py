"""Progress of a run: a live display on a terminal, a bar in a notebook, plain lines elsewhere."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from html import escape
from types import TracebackType
from typing import Any, Literal, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from batchlaw.consoles import PlainConsole, visible
from batchlaw.results.status import StudyStatus, best_line, counts_line, status_of
from batchlaw.storage import StoredStudy
from batchlaw.workers.fleet import Fleet

_LOOK_SECONDS = 1.0  # between looks at the database …
_FIRST_SECONDS = 0.25  # … and until the first trial has ended
_PLAIN_SECONDS = 10.0  # between plain lines
Shown = bool | Literal["plain"]  # "plain": lines even on a terminal or in a notebook


class _Display(Protocol):
    def show(self, status: StudyStatus, *, last: bool = False) -> None: ...


class _Bar:
    """On a terminal: a few lines that are drawn again in place."""

    def __init__(self, study: str, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[done]}"),
            TextColumn("{task.fields[pace]}"), console=console,
        )  # fmt: skip
        self._task = self._bar.add_task(visible(study), total=None, done="", pace="")
        # Whoever started the run says how it ended: the frame goes away, after Ctrl-C too.
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._live.start()

    def show(self, status: StudyStatus, *, last: bool = False) -> None:
        done, total, unit = _progress(status)
        told = f"{done:.0f}/{total:.0f}{unit}"
        self._bar.update(self._task, total=total, completed=done, done=told, pace=_pace(status))
        self._live.update(Group(self._bar, Text(visible(f"{counts_line(status)}\n{best_line(status)}"), style="dim")))
        if last:
            self._live.stop()


class _Cell:
    """In a notebook: one output that is replaced. IPython does this by itself; rich would need ipywidgets."""

    def __init__(self) -> None:
        from IPython.display import display

        self._output: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def show(self, status: StudyStatus, *, last: bool = False) -> None:
        (done, total, _), line = _progress(status), f"{counts_line(status)} · {_pace(status)}"
        html = (
            f'{escape(status.spec.name)} <progress value="{done:g}" max="{total:g}"></progress> '
            f"{escape(line)}<br>{escape(best_line(status))}"
        )
        self._output.update({"text/plain": f"{line} · {best_line(status)}", "text/html": html}, raw=True)


class _Lines:
    """Elsewhere: a line once a trial has ended, and now and then.

    The last is left out: whoever started the run says how it ended.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._next, self._begun = console, time.monotonic() + _PLAIN_SECONDS, False

    def show(self, status: StudyStatus, *, last: bool = False) -> None:
        begins = not self._begun and status.slots.done > 0
        if (begins or time.monotonic() >= self._next) and not last:
            self._begun = self._begun or begins
            self._next = time.monotonic() + _PLAIN_SECONDS
            self._console.print(f"{counts_line(status)} · {_pace(status)} · {best_line(status)}", soft_wrap=True)


class RunProgress:
    """Shows how a study goes on for as long as the context lasts."""

    def __init__(self, stored: StoredStudy, shown: Shown = True, console: Console | None = None) -> None:
        """Say what to show, and where.

        Args:
            stored: the study.
            shown: whether to show anything, or "plain" for lines.
            console: where to show it; None is standard error, or the cell of a notebook.
        """
        self._stored, self._shown, self._since = stored, shown, datetime.now()
        self._console = console or PlainConsole(stderr=True)
        self._display: _Display | None = None
        self._next_look = 0.0
        self.timeout: float | None = None  # seconds of the run after which no trial starts

    def __enter__(self) -> "RunProgress":
        if self._shown is True and self._console.is_jupyter:
            self._display = _Cell()
        elif self._shown is True and self._console.is_terminal:
            self._display = _Bar(self._stored.spec.name, self._console)
        elif self._shown:
            self._display = _Lines(self._console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display:
            self._display.show(self._status(), last=True)

    def look(self) -> None:
        """Show the state of the study, unless it was shown a moment ago."""
        if self._display and time.monotonic() >= self._next_look:
            status = self._status()
            self._display.show(status)
            self._next_look = time.monotonic() + (_LOOK_SECONDS if status.slots.done else _FIRST_SECONDS)

    def _status(self) -> StudyStatus:
        """The state of the study; its time left is at most that of this run."""
        status = status_of(self._stored, self._since)
        if self.timeout is None or status.pace is None:
            return status
        left = max(self.timeout - (datetime.now() - self._since).total_seconds(), 0.0)
        return replace(status, pace=status.pace.within(left, open_ended=status.slots.open_ended))

    def say(self, line: str) -> None:
        """Print a line above the display."""
        if self._display:
            self._console.print(line, soft_wrap=True, markup=False)

    def follow(self, fleet: Fleet, tend: Callable[[], None] = lambda: None) -> None:
        """Return when no worker is left; `tend` looks after them in between."""
        while True:
            tend()
            if not fleet.running:
                return
            self.look()
            time.sleep(0.1)


def _progress(status: StudyStatus) -> tuple[float, float, str]:
    """How much is done, of how much, and its unit: in trials, or in seconds where these bound the study first."""
    slots, budget = status.slots, status.spec.arm.budget_seconds
    by_time = 0.0 if budget is None else min(status.seconds / budget, 1.0)
    if budget is None or (not slots.open_ended and slots.done >= by_time * slots.total):
        return slots.done, slots.total, ""
    return by_time * budget, budget, " s"


def _pace(status: StudyStatus) -> str:
    return str(status.pace) if status.pace else "training" if status.slots.held else "starting"
