"""Commands on the studies of a database: list, rename, delete."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, StudyArgument, output
from batchlaw.cli.storing import YesOption
from batchlaw.errors import BatchlawError, StudyError
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.results.status import StudyStatus


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("list", epilog="Example: batchlaw list --storage postgresql+psycopg://user@host/db")(list_)
    app.command(epilog="Example: batchlaw rename digits-joint digits-first")(rename)
    app.command(epilog="Example: batchlaw delete digits-joint --yes")(delete)


def list_(storage: StorageOption = DEFAULT_URL, json_: JsonOption = False) -> None:
    """List the studies of a database: state, trials, best value, live workers."""
    from batchlaw.study.listing import studies

    found = studies(storage)
    if json_:
        typer.echo(json.dumps([status.as_dict() for status in found], indent=2))
        return
    from rich.table import Column, Table

    kept = [Column(name, no_wrap=True) for name in ("state", "trials", "best", "workers", "created")]
    long = [Column(name, overflow="fold") for name in ("study", "metric")]
    grid = Table(*long, *kept, box=None)
    for status in found:
        grid.add_row(*_cells(status))
    output.print(grid if found else "no study")


def _cells(status: "StudyStatus") -> list[str]:
    spec, live = status.spec, [worker for worker in status.at_work if worker.state != "stale"]
    slots = status.slots
    return [
        spec.name, spec.arm.metric, status.state, f"{slots.done}" + f" of {slots.total}" * (not slots.open_ended),
        "" if status.best is None else f"{status.best.value:.4f}", str(len(live)),
        "" if status.created is None else f"{status.created.astimezone():%Y-%m-%d}",
    ]  # fmt: skip


def rename(
    study: StudyArgument,
    name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="A name that no study of the database has.")],
    storage: StorageOption = DEFAULT_URL,
) -> None:
    """Rename a study, also while workers are at work; its former name still leads to it until another takes it."""
    found = _named(study, storage)
    found.rename(name)
    output.print(f"{study} is called {found.name} now; files and commands with the former name still find it.")


def delete(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    yes: YesOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even while workers are at work; their trials are lost.")
    ] = False,
) -> None:
    """Delete a study with its trials from the database. Files of its trials stay."""
    found = _named(study, storage)
    trials = len(found)
    if not yes:
        if not sys.stdin.isatty():
            raise BatchlawError("is needed where nobody can be asked", argument="yes")
        if typer.prompt(f"This deletes {trials} trials. Type the name of the study to go on") != study:
            raise typer.Abort
    folders = found.delete(force=force)
    output.print(f"{study} is deleted, with {trials} trial{'s' * (trials != 1)}.")
    for folder in folders:
        output.print(f"Files of its trials stay in {folder}", soft_wrap=True, markup=False)


def _named(study: str, storage: str) -> Study:
    """The study that has this name now: who deletes by a former name may mean another study.

    Raises:
        StudyError: the study has another name.
    """
    found = Study.open(study, storage)
    if found.name != study:
        raise StudyError(f"study {study!r} is called {found.name!r} now")
    return found
