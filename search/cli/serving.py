"""The command that serves pages: dashboard."""

from typing import Annotated

import typer

from search.cli.console import StorageOption, output, within
from search.storage import DEFAULT_URL, open_storage


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw dashboard --port 8080")(dashboard)


def dashboard(
    storage: StorageOption = DEFAULT_URL,
    port: Annotated[
        int, typer.Option("--port", callback=within("--port", 0, 65535), help="On 127.0.0.1; 0 takes any free one.")
    ] = 8080,
    write: Annotated[bool, typer.Option("--write", help="Let the page change and delete studies.")] = False,
) -> None:
    """Browse the studies of a database with optuna-dashboard; read-only unless --write."""
    from search.dashboard import serve

    def ready(address: str) -> None:
        output.print(f"{address}  ({'writable' if write else 'read-only'}; Ctrl-C ends it)", soft_wrap=True)

    try:
        serve(open_storage(storage), port=port, write=write, ready=ready)
    except KeyboardInterrupt:
        output.print("")
