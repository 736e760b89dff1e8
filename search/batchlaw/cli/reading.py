"""Commands that read: status, reap, storage, schema. None of them imports torch."""

import json
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, StudyArgument, output
from batchlaw.errors import BatchlawError
from batchlaw.study import Study

if TYPE_CHECKING:
    from rich.console import Group

    from batchlaw.results.status import StudyStatus

_WATCH_SECONDS = 2.0


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw status digits-joint --watch")(status)
    app.command(epilog="Example: batchlaw reap digits-joint")(reap)
    app.command(epilog="Example: batchlaw storage check --storage postgresql+psycopg://user@host/db")(storage)
    app.command(epilog="Example: batchlaw schema > batchlaw.schema.json")(schema)


def status(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every other second until the study ends.")] = False,
    json_: JsonOption = False,
) -> None:
    """Show the progress of a study and its workers; trials of dead workers are released."""
    found = Study.open(study, storage)
    now = found.status()
    if json_:
        typer.echo(json.dumps(now.as_dict(), indent=2))
        return
    if not watch:
        output.print(_overview(now))
        return
    from rich.live import Live

    with suppress(KeyboardInterrupt), Live(_overview(now), console=output, auto_refresh=False) as live:
        while now.slots.done < now.slots.total:
            time.sleep(_WATCH_SECONDS)
            now = found.status()
            live.update(_overview(now), refresh=True)


def _overview(now: "StudyStatus") -> "Group":
    """The study in a few lines, and its workers in a table."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    from batchlaw.results.status import best_line, counts_line, pace_line

    lines = [
        f"[bold]{now.spec.name}[/]: {escape(now.spec.question)}",
        f"{counts_line(now)} · {now.slots.held} running · {now.slots.open} waiting",
        escape(best_line(now)),
        pace_line(now),
    ]
    if not now.at_work:
        return Group(*lines)
    grid = Table("worker", "device", "state", "trial", "done", "last seen", box=None)
    for worker in now.at_work:
        state = f"[red]{worker.state}[/]" if worker.state == "stale" else worker.state
        grid.add_row(
            f"{worker.host}:{worker.pid}", worker.device, state, "" if worker.trial is None else str(worker.trial),
            str(worker.trials_done), f"{worker.silent_seconds:.0f} s ago",
        )  # fmt: skip
    return Group(*lines, grid)


def reap(study: StudyArgument, storage: StorageOption = DEFAULT_URL) -> None:
    """Mark the trials of dead workers as lost, so that they are run again."""
    from batchlaw.storage import load, open_storage
    from batchlaw.workers.recovery import reap as clear

    lost = clear(load(open_storage(storage), study))
    output.print(f"{lost} trial{'s' * (lost != 1)} found lost.")


def storage(
    action: Annotated[str, typer.Argument(metavar="check|upgrade", help="check, or bring the tables up to date.")],
    storage: StorageOption = DEFAULT_URL,
    json_: JsonOption = False,
) -> int:
    """Check a database, or upgrade it after a new version; Optuna's own tables are upgraded by Optuna."""
    from batchlaw.storage import health_of, open_storage, redacted, upgrade

    if action not in ("check", "upgrade"):
        raise BatchlawError(f"check|upgrade: got {action!r}; must be one of check, upgrade")
    database = open_storage(storage, any_schema=True, create=action == "upgrade")
    if action == "upgrade":
        upgrade(database)
    health = health_of(database)
    if json_:
        typer.echo(json.dumps(asdict(health) | {"current": health.current}, indent=2))
    else:
        output.print(f"{redacted(storage)}: {health.server}", soft_wrap=True)
        output.print(f"  Optuna's tables {health.optuna_schema}, wanted {health.optuna_head}", soft_wrap=True)
        output.print(f"  batchlaw's tables {health.tables}, wanted {health.tables_head}")
        output.print(f"  round trip {health.round_trip_seconds * 1e3:.2f} ms, clock {health.clock_skew_seconds:+.2f} s")
        output.print(f"  {'writable' if health.writable else '[red]read-only[/]'}")
        if not health.current:
            output.print("  out of date: batchlaw storage upgrade")
    return 0 if health.current and health.writable else 1


def schema() -> None:
    """Print the JSON Schema of a study file, for editors."""
    from batchlaw.spec import StudySpec

    typer.echo(json.dumps(StudySpec.model_json_schema(), indent=2))
