"""Commands on a whole database: storage check, upgrade, copy."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, errors, output
from batchlaw.consoles import marked
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    from batchlaw.storage import Health

ForceOption = Annotated[bool, typer.Option("--force", help="Even while workers are at work.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_BACKUP = {
    "sqlite": "a copy of the file, taken while nobody works on it",
    "postgresql": "pg_dump", "mysql": "mysqldump or mariadb-dump",
}  # fmt: skip


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    storage = typer.Typer(no_args_is_help=True, help="Check a database, upgrade it, or copy its studies.")
    storage.command(epilog="Example: batchlaw storage check --storage postgresql+psycopg://user@host/db")(check)
    storage.command(epilog="Example: batchlaw storage upgrade --storage sqlite:///batchlaw.db --yes")(upgrade)
    storage.command(
        epilog="Example: batchlaw storage copy sqlite:///batchlaw.db postgresql+psycopg://user@host/db --study NAME"
    )(copy)
    app.add_typer(storage, name="storage")


def check(storage: StorageOption = DEFAULT_URL, json_: JsonOption = False) -> int:
    """Check a database: versions, what an upgrade would do, round trip, clock. Changes nothing."""
    from batchlaw.storage import EmptyDatabase, health_of, open_storage, redacted

    try:
        database = open_storage(storage, any_schema=True)
    except EmptyDatabase:
        if json_:
            typer.echo(json.dumps({"empty": True}))
        else:
            line = f"{redacted(storage)}: can be reached and is empty; batchlaw run STUDY.toml makes the tables"
            output.print(line, soft_wrap=True, markup=False)
        return 0
    return _show(health_of(database), storage, json_)


def upgrade(
    storage: StorageOption = DEFAULT_URL, yes: YesOption = False, force: ForceOption = False, json_: JsonOption = False
) -> int:
    """Bring the tables up to date after a new version: say what will be done, ask, do it."""
    from batchlaw.storage import check_idle, health_of, open_storage
    from batchlaw.storage import upgrade as upgraded

    database = open_storage(storage, any_schema=True)
    health = health_of(database)
    if not health.current:
        if not force:
            check_idle(database.engine)
        if not json_:
            _announce(health)
        confirm("Go on?", yes)
        upgraded(database, force=force)
        health = health_of(database)
    return _show(health, storage, json_)


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Database URL.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Database URL; tables are made if they are missing.")],
    study: Annotated[
        list[str] | None, typer.Option("--study", metavar="NAME", help="Only this one; repeat for more.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Copy studies to another database: trials, curves, pages, open trials and seeds. All is copied, or nothing."""
    from rich.progress import Progress

    from batchlaw.storage import redacted
    from batchlaw.study.copying import copy_studies

    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        rows = progress.add_task("rows", total=None)
        names = copy_studies(
            source, target, study, force=force,
            tick=lambda done, total: progress.update(rows, completed=done, total=total),
        )  # fmt: skip
    output.print(f"copied to {redacted(target)}: {', '.join(names) or 'no study'}", soft_wrap=True, markup=False)


def confirm(question: str, yes: bool) -> None:
    """Ask on a terminal.

    Raises:
        typer.Abort: the answer is no.
        BatchlawError: nobody is there to be asked, and --yes was not given.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise BatchlawError("is needed where nobody can be asked", argument="yes")
    typer.confirm(question, abort=True, err=True)


def _announce(health: "Health") -> None:
    """Say what an upgrade will do."""
    if health.optuna_schema != health.optuna_head:
        output.print(f"Optuna will bring its tables from {health.optuna_schema} to {health.optuna_head}.")
    for step in health.missing:
        output.print(f"{step.number}. {step.does}", soft_wrap=True, markup=False)
    output.print(f"Older versions will refuse the database. Make a backup first: {_BACKUP[health.server.split()[0]]}.")


def _show(health: "Health", storage: str, json_: bool) -> int:
    from batchlaw.storage import redacted

    if json_:
        typer.echo(json.dumps(asdict(health) | {"current": health.current}, indent=2))
    else:
        output.print(f"{redacted(storage)}: {health.server}", soft_wrap=True, markup=False)
        output.print(
            f"  Optuna's tables {health.optuna_schema}, wanted {health.optuna_head}", soft_wrap=True, markup=False
        )
        output.print(f"  batchlaw's tables {health.tables}, wanted {health.tables_head}")
        for step in health.missing:
            output.print(f"    missing {step.number}. {step.does}", soft_wrap=True, markup=False)
        output.print(f"  round trip {health.round_trip_seconds * 1e3:.2f} ms, clock {health.clock_skew_seconds:+.2f} s")
        output.print("  writable" if health.writable else marked("  [red]read-only[/]"))
        if not health.current:
            output.print("  out of date: batchlaw storage upgrade")
    return 0 if health.current and health.writable else 1
