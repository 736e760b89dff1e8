"""Live progress of a run: a Rich display on a terminal, plain lines elsewhere."""

import time
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from batchlaw.results.status import StudyStatus, best_line, counts_line, status_of
from batchlaw.storage import StoredStudy

_LOOK_SECONDS = 1.0  # between looks at the database
_PLAIN_SECONDS = 10.0  # between plain lines


class Fleet(Protocol):
    """Workers, wherever they run."""

    @property
    def running(self) -> int:
        """Those that have not ended."""
        ...

    def stop(self) -> None:
        """Ask every worker to hand its trial back and end."""
        ...


class RunProgress:
    """Shows a run until its workers end."""

    def __init__(self, stored: StoredStudy, console: Console, *, plain: bool) -> None:
        self._stored, self._console = stored, console
        self._since = datetime.now()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"),
            console=console,
        )  # fmt: skip
        self._task = self._bar.add_task(stored.spec.name, total=None, pace="")
        self._live = None if plain or not console.is_terminal else Live(console=console, refresh_per_second=4)
        self._next_line = time.monotonic() + _PLAIN_SECONDS

    def __enter__(self) -> "RunProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._show(status_of(self._stored, self._since))
            self._live.stop()

    def follow(self, fleet: Fleet) -> None:
        """Return when no worker is left."""
        next_look = 0.0
        while fleet.running:
            if time.monotonic() >= next_look:
                self._show(status_of(self._stored, self._since))
                next_look = time.monotonic() + _LOOK_SECONDS
            time.sleep(0.1)

    def _show(self, status: StudyStatus) -> None:
        if self._live:
            self._bar.update(self._task, total=status.slots.total, completed=status.slots.done, pace=_pace(status))
            self._live.update(Group(self._bar, Text(f"{counts_line(status)}\n{best_line(status)}", style="dim")))
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _PLAIN_SECONDS
            self._console.print(f"{counts_line(status)} · {_pace(status)} · {best_line(status)}", soft_wrap=True)


def _pace(status: StudyStatus) -> str:
    if status.trials_a_minute is None or status.seconds_left is None:
        return "starting"
    left = timedelta(seconds=round(status.seconds_left))
    return f"{status.trials_a_minute:.0f} trials/min, ETA {left}"
