"""The argument and the options of the commands that read a stored study or a file of runs."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from batchlaw.cli.console import bounded, output
from batchlaw.errors import BatchlawError

StudyOrFileArgument = Annotated[
    str, typer.Argument(metavar="STUDY_OR_FILE", help="A study in the database, or a CSV or CSV.gz file of runs.")
]
LrOption = Annotated[
    str | None, typer.Option("--lr", metavar="COL", help="Column of the learning rate, or an expression.")
]
BatchSizeOption = Annotated[
    str | None, typer.Option("--batch-size", metavar="COL", help="Column of the batch size, or an expression.")
]
ScoreOption = Annotated[
    str | None,
    typer.Option("--score", metavar="COL[,COL…]", help="Column of the score, or several, a seed each."),
]
SeedOption = Annotated[str | None, typer.Option("--seed", metavar="COL", help="Column that names the seed of a row.")]
AverageOption = Annotated[
    str | None,
    typer.Option("--average", metavar="COL,…", help="Average over the levels of these, such as the weight decay."),
]
DirectionOption = Annotated[
    str | None, typer.Option("--direction", help="maximize or minimize the score; by its name.")
]
WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="EXPR", help="Rows to keep, such as 'depth == 2 and alpha < 1e-3'.")
]
MissingOption = Annotated[
    str | None,
    typer.Option("--missing", metavar="KIND", help="'diverged' takes empty scores as diverged runs; missing."),
]
DivergedAboveOption = Annotated[
    float | None,
    typer.Option("--diverged-above", metavar="X", help="Runs with a score above X diverged; with minimize."),
]
DivergedBelowOption = Annotated[
    float | None,
    typer.Option("--diverged-below", metavar="X", help="Runs with a score below X diverged; with maximize."),
]
DivergedWhereOption = Annotated[
    str | None,
    typer.Option("--diverged-where", metavar="EXPR", help="Rows of runs that diverged, such as 'grad_norm > 1e4'."),
]
AlphaOption = Annotated[
    float | None, typer.Option("--alpha", help="Level of the tests, and one less the confidence of intervals; 0.05.")
]
BootstrapSeedOption = Annotated[int, bounded("--bootstrap-seed", 0, 2**63 - 1, "Of draws of optima from their sets.")]


def is_file(study_or_file: str) -> bool:
    """Whether a file is meant: it exists, or its name ends as a file's does."""
    with suppress(OSError, ValueError):  # a name that no file can have
        return study_or_file.endswith((".csv", ".csv.gz")) or Path(study_or_file).is_file()
    return False


def of_a_file(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def check_none_of_a_file(study: str, **options: Any) -> None:
    """Refuse options that a stored study has no use for."""
    for name, value in options.items():
        if value is not None:
            raise BatchlawError(f"goes with a file, and {study!r} names a study", argument=name, got=value)


def show_notes(notes: Sequence[str]) -> None:
    """Print what a reader must know about the runs."""
    for note in notes:
        output.print(f"note: {note}", soft_wrap=True, markup=False)


def show_read(read: str) -> None:
    """Print which columns of a table were recognised."""
    if read:
        output.print(f"read: {read}", soft_wrap=True, markup=False, style="dim")
