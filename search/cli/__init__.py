"""The command `batchlaw`: the one place that prints and exits."""

import sys

import typer

from search.cli import reading, running, serving
from search.cli.console import errors
from search.errors import BatchlawError

app = typer.Typer(
    help="Search batch size and learning rate jointly, and test the claims made about them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for module in (running, reading, serving):
    module.add_commands(app)

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # what every wrong option or argument is an instance of


def main() -> None:
    """Run the command; a request that cannot be carried out is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except BatchlawError as error:
        errors.print(f"error: {error}", soft_wrap=True, markup=False)
        code = error.exit_code
    except typer.Abort:
        code = 130
    except _UsageError as error:
        message = getattr(error, "format_message", error.__str__)()
        if message:  # none for a command without arguments, which shows its help
            errors.print(f"error: {message}", soft_wrap=True, markup=False)
        code = 2
    sys.exit(code)
