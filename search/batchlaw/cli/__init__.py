"""The command `batchlaw`: the one place that prints and exits."""

import atexit
import gc
import os
import sys
import threading
from itertools import pairwise
from typing import Annotated

import typer

from batchlaw import __version__
from batchlaw.cli import (
    criticality,
    exporting,
    initial,
    judging,
    keeping,
    launching,
    laws,
    planning,
    profiling,
    ranging,
    reading,
    recommending,
    replaying,
    reporting,
    running,
    serving,
    showing,
    storing,
)
from batchlaw.cli.console import errors, line_of
from batchlaw.errors import BatchlawError

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
# Commands that keep all they read in memory. By default Python searches it for garbage after every 700 new objects,
# which took a sixth of the time of `claim` (measured with 5,000 trials).
_KEEPING = {
    "status",
    "list",
    "reap",
    "storage",
    "schema",
    "export",
    "claim",
    "law",
    "transfer",
    "recommend",
    "report",
    "plan",
    "critical",
}
_NEW_OBJECTS = 50_000


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Search batch size and learning rate jointly, and test the claims made about them."""
    if context.invoked_subcommand in _KEEPING:
        gc.set_threshold(_NEW_OBJECTS)
    if version:
        typer.echo(f"batchlaw {__version__}")
        raise typer.Exit


_MODULES = (
    initial, running, launching, profiling, ranging, judging, laws, planning, criticality, recommending, reading,
    replaying, exporting, reporting, showing, serving, storing, keeping,
)  # fmt: skip
for module in _MODULES:
    module.add_commands(app)


def main() -> None:
    """Run the command; a request that cannot be carried out is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except BatchlawError as error:
        errors.print(f"error: {line_of(error)}", soft_wrap=True, markup=False)
        code = error.exit_code
    except typer.Abort:
        code = 130
    except typer.TyperException as error:  # a wrong option or argument
        message = _usage_line(error)
        if message:  # none for a command without arguments, which shows its help
            errors.print(f"error: {message}", soft_wrap=True, markup=False)
        code = 2
    if any(not each.daemon for each in threading.enumerate() if each is not threading.main_thread()):
        # A training function has left threads behind, which Python would wait for.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        atexit._run_exitfuncs()
        os._exit(code or 0)
    gc.freeze()  # else Python searches all that was loaded for garbage at exit, which takes 0.25 s (measured)
    sys.exit(code)


def _usage_line(error: typer.TyperException) -> str:
    """What is wrong with the command line, with the given value, which the parser's message lacks."""
    message = error.format_message()
    options = getattr(getattr(error, "param", None), "opts", [])
    for option, value in pairwise(sys.argv):
        if option in options and message.startswith("Invalid value"):
            return f"{option}: got {value!r}; {message.partition(': ')[2]}"
    return message
