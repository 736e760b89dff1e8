"""The command that serves pages: dashboard."""

import secrets
import webbrowser
from threading import Thread
from typing import Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, StorageOption, bounded, output
from batchlaw.errors import BatchlawError

_TOKEN_LENGTH = 16


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw dashboard --port 8080")(dashboard)


def dashboard(
    storage: StorageOption = DEFAULT_URL,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Address to listen on; one that other machines reach needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, bounded("--port", 0, 65535, "0 takes any free port.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="BATCHLAW_TOKEN", help="16 characters or more; else a random one."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Let the page change and delete studies.")] = False,
) -> None:
    """Browse the studies of a database: a page of each, and optuna-dashboard; read-only unless --write."""
    from batchlaw.dashboard.server import is_loopback, serve
    from batchlaw.storage import open_storage

    if token is not None and not (len(token) >= _TOKEN_LENGTH and token.isascii() and token.replace("-", "").isalnum()):
        raise BatchlawError(
            f"--token: got {len(token)} characters; must be {_TOKEN_LENGTH} or more, letters, digits and hyphens"
        )
    if token is None and not is_loopback(host):
        token = secrets.token_hex(16)

    def ready(address: str) -> None:
        output.print(f"{address}  ({'writable' if write else 'read-only'}; Ctrl-C ends it)", soft_wrap=True)
        if open_:
            # Opening some browsers blocks until they close, so it happens in a thread beside the server.
            here = address.replace("//0.0.0.0:", "//127.0.0.1:")
            Thread(target=webbrowser.open, args=(here,), daemon=True).start()

    try:
        serve(open_storage(storage), host=host, port=port, write=write, token=token, ready=ready)
    except KeyboardInterrupt:
        output.print("")
