"""Commands that read: status, reap, schema. None of them imports torch."""

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, StudyArgument, output
from batchlaw.consoles import marked
from batchlaw.errors import WorkFailed
from batchlaw.study import Study

if TYPE_CHECKING:
    from rich.console import Group

    from batchlaw.results.status import StudyStatus

_WATCH_SECONDS = 2.0


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw status digits-joint --watch")(status)
    app.command(epilog="Example: batchlaw reap digits-joint")(reap)
    app.command(epilog="Example: batchlaw schema > batchlaw.schema.json")(schema)


def status(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every other second until the study ends.")] = False,
    json_: JsonOption = False,
) -> None:
    """Show the progress of a study and its workers; trials of dead workers are released."""
    from batchlaw.results.code_changes import code_changes
    from batchlaw.results.status import status_of
    from batchlaw.workers import recovery

    found = Study.open(study, storage)
    if json_:
        typer.echo(json.dumps(found.status().as_dict(), indent=2))
        return
    if note := code_changes(found.stored):
        output.print(f"note: {note}", soft_wrap=True)
    now = status_of(found.stored, failures=1, gain=True)
    if not watch:
        output.print(_overview(now), soft_wrap=True)  # first, since clearing up may have to wait for the database
        with suppress(WorkFailed):  # of a database that may only be read
            if lost := recovery.reap(found.stored):
                output.print(f"{lost} trial{'s' * (lost != 1)} of dead workers found lost, to be run again")
        return
    from rich.live import Live

    with suppress(KeyboardInterrupt), Live(_overview(now), console=output, auto_refresh=False) as live:
        while not now.slots.ended:
            time.sleep(_WATCH_SECONDS)
            now = found.status()
            live.update(_overview(now), refresh=True)


def _overview(now: "StudyStatus") -> "Group":
    """The study in a few lines, and its workers in a table."""
    from rich.console import Group, RenderableType
    from rich.table import Table

    from batchlaw.results.status import best_line, counts_line, example_lines, front_lines, gain_lines, pace_line

    lines: list[RenderableType] = [
        marked("[bold]{}[/]: {}", now.spec.name, now.spec.purpose),
        f"{counts_line(now)} · {now.slots.open} waiting",
        best_line(now),
        *front_lines(now),
        *example_lines(now),
        pace_line(now),
        *(fit.line(device) for device, fit in now.fits.items()),
        *gain_lines(now),
    ]
    if not now.at_work:
        return Group(*lines)
    grid = Table("worker", "device", "threads", "state", "trial", "done", "last seen", box=None)
    for worker in now.at_work:
        state = marked("[red]{}[/]", worker.state) if worker.state == "stale" else worker.state
        grid.add_row(
            f"{worker.host}:{worker.pid}", worker.device, str(worker.threads), state,
            "" if worker.trial is None else str(worker.trial), str(worker.trials_done),
            f"{worker.silent_seconds:.0f} s ago",
        )  # fmt: skip
    return Group(*lines, grid)


def reap(study: StudyArgument, storage: StorageOption = DEFAULT_URL) -> None:
    """Mark the trials of dead workers as lost, so that they are run again."""
    from batchlaw.storage import load, open_storage
    from batchlaw.workers.recovery import reap as clear

    lost = clear(load(open_storage(storage), study))
    output.print(f"{lost} trial{'s' * (lost != 1)} found lost.")


def schema() -> None:
    """Print the JSON Schema of a study file, for editors."""
    from batchlaw.spec.schema import schema as made

    typer.echo(json.dumps(made(), indent=2))
